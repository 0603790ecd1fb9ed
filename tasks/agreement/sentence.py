"""One agreement sentence: the words before the verb, the verb's number, and the position of its subject."""

from __future__ import annotations

from dataclasses import dataclass

SINGULAR = 0
PLURAL = 1


@dataclass(frozen=True)
class Sentence:
    """The words before a verb, and what is known of its subject.

    Indices count from zero in `words`. A source that does not give the subject leaves `subject` and `attractors`
    empty; one that does not give the number of attractors sets `attractor_count` to -1.
    """

    words: tuple[str, ...]
    label: int  # 0 singular, 1 plural
    subject: tuple[int, ...]  # the subject's head noun; both heads of a coordination
    attractors: tuple[int, ...]  # nouns and pronouns of the opposite number between subject and verb
    attractor_count: int  # -1 when unknown
    construction: str
    natural: bool = True  # False where the source chose it for its attractors
