"""Minimal pairs in the rows of a table."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.local_table import Columns
from tasks.next_word.prompt import Prompt, Spans, chosen, places
from tasks.next_word.tables import phrases, texts
from tasks.table import column


@dataclass(frozen=True)
class PairReader:
    """Where a table's pairs stand, and what is done about evidence that is not clear: see `MinimalPair`."""

    text: str
    good: str
    foil: str
    evidence: str | None
    distractors: str | None
    counterfactual: str | None
    exchange: bool
    occurrence: str | None
    leave_out_unfound: bool

    def read(self, name: str, table: Columns, tags: Mapping[str, str]) -> tuple[list[Prompt], dict[str, int]]:
        """The pairs, how many rows were read, and how many are left out or have their evidence several times."""
        columns = [texts(table, getattr(self, key), key, name) for key in ("text", "good", "foil")]
        cells = [self._cells(table, key, name) for key in ("evidence", "distractors", "counterfactual")]
        found: list[Prompt] = []
        facts = {"rows": len(columns[0]), "evidence_not_found": 0, "evidence_several_times": 0}
        for number, row in enumerate(zip(*columns, *cells, strict=True), start=1):
            text, good, foil, evidence, distractors, counterfactual = row
            stands = [len(places(text, phrase)) for phrase in evidence]
            facts["evidence_several_times"] += max(stands, default=1) > 1
            if self.leave_out_unfound and 0 in stands:
                facts["evidence_not_found"] += 1
                continue
            other = exchanged(text, good, foil) if self.exchange else next(iter(counterfactual), None)
            try:
                planted = self._planted(text, evidence, distractors)
                found.append(Prompt(text, (good, foil), 0, planted, other, tags))
            except ValueError as error:
                raise ValueError(f"row {number} of {name}: {error}") from error
        return found, facts

    def _cells(self, table: Columns, key: str, source: str) -> list[list[str]]:
        name: str | None = getattr(self, key)
        if name is None:
            return [[] for _ in table[self.text]]
        values: list[Any] = column(table, name, key, source)
        return [phrases(value, number, name, source) for number, value in enumerate(values, start=1)]

    def _planted(self, text: str, evidence: Sequence[str], distractors: Sequence[str]) -> dict[str, Spans]:
        planted = {
            "evidence": tuple(span for phrase in evidence for span in chosen(text, phrase, self.occurrence)),
            "distractors": tuple(span for phrase in distractors for span in places(text, phrase)),
        }
        return {name: spans for name, spans in planted.items() if spans}


def exchanged(text: str, one: str, other: str) -> str | None:
    """The text with two words in each other's place; None where one of them does not stand in it."""
    if not places(text, one) or not places(text, other):
        return None
    pattern = rf"(?<!\w)(?:{re.escape(one)}|{re.escape(other)})(?!\w)"
    return re.sub(pattern, lambda found: other if found[0] == one else one, text)
