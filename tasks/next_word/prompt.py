"""A text, two words that may come next, and the words in it that decide between them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.tables import NO_GOLD

Spans = tuple[tuple[int, int], ...]
OCCURRENCES = ("first", "last", "all")


@dataclass(frozen=True)
class Prompt:
    """A text up to the word that is chosen.

    Args:
        text: what the model reads. Spaces at its end are read together with the next word.
        words: the two words; class k is word k.
        gold: the right one, 0 or 1; `NO_GOLD` where the data do not give it.
        planted: character spans `(start, end)` of the text, by name, e.g. `evidence`.
        counterfactual: another text, whose tokens can replace this text's one by one; used where it has as many tokens.
        tags: facts to group by.
        separator: what stands between text and word, where the text does not end in white space.
    """

    text: str
    words: tuple[str, str]
    gold: int = NO_GOLD
    planted: Mapping[str, Spans] = field(default_factory=dict)
    counterfactual: str | None = None
    tags: Mapping[str, int | str] = field(default_factory=dict)
    separator: str = " "

    def __post_init__(self):
        if not self.text.strip():
            raise ValueError(f"expected a text before the words {' and '.join(self.words)}, got {self.text!r}")
        first, second = (word.strip() for word in self.words)
        if not first or not second or first == second:
            raise ValueError(
                f"expected two different words that may come next, got {self.words[0]!r} and {self.words[1]!r} after "
                f"'{self.text}': give another foil"
            )

    @property
    def content(self) -> tuple:
        """Everything about it, in a form with a stable repr."""
        planted = sorted((name, tuple(spans)) for name, spans in self.planted.items())
        tags = sorted(self.tags.items())
        return (self.text, self.words, self.gold, planted, self.counterfactual, tags, self.separator)


def places(text: str, phrase: str) -> Spans:
    """Where a phrase stands in a text as whole words, as character spans."""
    pattern = rf"(?<!\w){re.escape(phrase.strip())}(?!\w)"
    return tuple(found.span() for found in re.finditer(pattern, text)) if phrase.strip() else ()


def chosen(text: str, phrase: str, occurrence: str | None) -> Spans:
    """The places that count: `first`, `last` or `all`; ValueError where there is none, or several and no choice."""
    found = places(text, phrase)
    if not found:
        raise ValueError(f"the evidence {phrase!r} does not stand in '{text}': give words as they are written there")
    if occurrence is None and len(found) > 1:
        where = " and ".join(str(start) for start, _ in found)
        raise ValueError(
            f"the evidence {phrase!r} stands at characters {where} of '{text}': choose with task.occurrence="
            f"{' or '.join(OCCURRENCES)}"
        )
    return {"first": found[:1], "last": found[-1:]}.get(occurrence or "all", found)
