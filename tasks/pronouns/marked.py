"""Sentences whose referents are marked by hand: "{John|his} asked {Mary|her} about [MASK] book."."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from tasks.download import local
from tasks.pronouns.lines import numbered
from tasks.pronouns.sentence import MASK, MaskedSentence

REFERENT = re.compile(r"\{([^{}|]+)\|([^{}|]+)\}")
FORM = f"two referents as {{word|pronoun}}, or none, and one {MASK}"


def parse(text: str, candidates: tuple[str, str]) -> MaskedSentence:
    """One sentence.

    A referent in braces comes with the pronoun that points to it. Where the two pronouns differ from the candidates,
    they become the sentence's candidates: one that is among the candidates keeps its class, and if neither is, the
    classes follow the order of the referents. A sentence without braces has no referents.
    """
    if (masks := text.count(MASK)) != 1:
        raise ValueError(f"expected one {MASK} in a sentence, got {masks} in '{text}'; write {FORM}")
    plain, start, spans, fillers = "", 0, [], []
    for found in REFERENT.finditer(text):
        plain += text[start : found.start()]
        spans.append((len(plain), len(plain) + len(found[1])))
        plain += found[1]
        fillers.append(found[2].strip())
        start = found.end()
    plain += text[start:]
    if "{" in plain or "}" in plain or len(spans) not in (0, 2):
        raise ValueError(f"expected two whole referents in braces, got {len(spans)} in '{text}'; write {FORM}")
    if spans and fillers[0] == fillers[1]:
        raise ValueError(
            f"expected a pronoun for each referent, got {fillers[0]!r} twice in '{text}'; give them two different ones"
        )
    before, after = plain.split(MASK)
    # spans are in the text without the mask
    spans = [(a, b) if b <= len(before) else (a - len(MASK), b - len(MASK)) for a, b in spans]
    chosen = _ordered(fillers, candidates) if spans else candidates
    return MaskedSentence(
        before=before,
        after=after,
        candidates=chosen,
        referents=tuple(spans),
        points_to={chosen.index(filler): index for index, filler in enumerate(fillers)},
    )


def _ordered(fillers: list[str], candidates: tuple[str, str]) -> tuple[str, str]:
    first, second = fillers
    swapped = candidates[0] == second or candidates[1] == first
    return (second, first) if swapped else (first, second)


def sentences(texts: Iterable[str], candidates: tuple[str, str]) -> tuple[list[MaskedSentence], dict[str, int]]:
    """All sentences, and their number."""
    found = [parse(text, candidates) for text in texts]
    return found, {"read": len(found), "kept": len(found)}


@dataclass(frozen=True)
class Marked:
    """The sentences of a text file, one per line, in the form of `parse`.

    Args:
        path: the file.
    """

    path: str

    his_or_her: ClassVar[bool] = False

    def read(self, candidates: tuple[str, str]) -> tuple[list[MaskedSentence], dict[str, int]]:
        """The sentences of the file."""
        (file,) = local(self.path, ["sentences.txt"])
        return sentences((text for _, text in numbered(file)), candidates)
