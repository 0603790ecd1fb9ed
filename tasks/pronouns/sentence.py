"""A sentence with a masked pronoun and its possible referents."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

MASK = "[MASK]"
GENDERED = re.compile(r"\b(?:he|him|his|himself|she|her|hers|herself)\b", re.IGNORECASE)


@dataclass(frozen=True)
class MaskedSentence:
    """The text on both sides of the mask.

    Args:
        before: up to the mask, with the space before it.
        after: from the mask on.
        candidates: the two words between which the model chooses; class k is candidate k.
        gold: the right candidate, 0 or 1; None where the data do not give it.
        referents: character spans `(start, end)` in `before + after`, that is, without the mask.
        points_to: for each candidate, the referent that a model preferring it is taken to mean.
        tags: facts to group by.
        cluster: what it shares with sentences that depend on it: see `Example`.
    """

    before: str
    after: str
    candidates: tuple[str, str]
    gold: int | None = None
    referents: tuple[tuple[int, int], ...] = ()
    points_to: Mapping[int, int] = field(default_factory=dict)
    tags: Mapping[str, int | str] = field(default_factory=dict)
    cluster: str | None = None

    def __post_init__(self):
        text, mask = self.before + self.after, len(self.before)
        for start, end in self.referents:
            if not (0 <= start < end <= len(text) and (end <= mask or start >= mask) and text[start:end].strip()):
                raise ValueError(
                    f"a referent is a span of words on one side of the mask, got {start} to {end} with the mask at "
                    f"{mask} of {len(text)} characters: {self}"
                )

    def __str__(self):
        return f"{self.before}{MASK}{self.after}"

    @property
    def mentions(self) -> tuple[str, ...]:
        """The words of each referent."""
        text = self.before + self.after
        return tuple(text[start:end] for start, end in self.referents)


class Reader(Protocol):
    """Where masked sentences come from: a frozen dataclass in its own file."""

    his_or_her: ClassVar[bool]  # whether its sentences ask for his or her, and no other candidates

    def read(self, candidates: tuple[str, str]) -> tuple[list[MaskedSentence], dict[str, int]]:
        """The sentences, how many were read and kept, and why the others were not."""
        ...


def referent_name(index: int) -> str:
    """A referent's name in results, counted from 1."""
    return f"referent {index + 1}"
