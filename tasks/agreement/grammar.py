"""Sentences of Assay's own grammar, up to the verb, whose subject and attractors are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import ClassVar

from tasks.agreement import lexicon
from tasks.agreement.constructions import WEIGHTS
from tasks.agreement.phrases import DeadEnd, Phrases
from tasks.agreement.sentence import PLURAL, SINGULAR, Sentence

SHORTEST, LONGEST = 2, 25
MOST_SENTENCES = 500_000
# Shares of the attractor counts 0 to 5, per cent. English text has few attractors; a model that should learn what they
# do not change needs to see more of them.
NATURAL = (58, 22, 10, 5, 3, 2)
TRAINING = (44, 24, 13, 9, 6, 4)
# Shares of 0, 1, ... nouns of the subject's own number between it and the verb, without attractors and with them. The
# latter make k attractors next to j such nouns as frequent as j + 1 attractors next to k - 1: so counting singular
# and plural nouns of a sentence does not reveal which of them is the subject. A sentence has at most MOST_NOUNS.
ALONE = (40, 38, 14, 5, 3)
COMPANY = {NATURAL: (51, 23, 12, 8, 6), TRAINING: (36, 20, 17, 14, 13)}
MOST_NOUNS = 7
# Failed attempts per pair still wanted before the grammar counts as exhausted.
PATIENCE = 1000


@dataclass(frozen=True)
class Grammar:
    """Singular and plural subjects in pairs that share construction, length and number of attractors.

    So none of the three reveals the number, in any split. Attractors are the nouns and personal pronouns between the
    subject's head (the first of several) and the verb whose number differs from the verb's; names and mass nouns
    count as singular, and the second head of a coordination is not an attractor. No word sequence occurs twice, within
    a split or across splits. A split does not change with the size of later ones (order: test, validation, train).
    """

    version: ClassVar[str] = "1"  # increased with every change that moves a sentence

    train: int = 56_000
    validation: int = 2_000
    test: int = 10_000
    max_attractors: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            size = getattr(self, name)
            if size < 2 or size % 2:
                raise ValueError(
                    f"{name}: expected an even number of sentences, at least 2, as half are singular and half plural; "
                    f"got {size}; ask for {max(2, size + size % 2)}."
                )
        if not 0 <= self.max_attractors < len(NATURAL):
            raise ValueError(
                f"max_attractors: expected 0 to {len(NATURAL) - 1}; got {self.max_attractors}; the grammar builds no "
                "sentence with more, so choose a number in that range."
            )
        total = self.train + self.validation + self.test
        if total > MOST_SENTENCES:
            raise ValueError(
                f"train, validation, test: expected at most {MOST_SENTENCES} sentences in all, as none may "
                f"occur twice; got {total}; ask for fewer."
            )

    def splits(self) -> dict[str, list[Sentence]]:
        """The sentences of "train", "validation" and "test", each in random order."""
        test, drawn = self._test
        seen = {*drawn}
        validation = self._split("validation", self.validation, NATURAL, seen)
        train = self._split("train", self.train, TRAINING, seen)
        return {"train": train, "validation": validation, "test": [*test]}

    def test_split(self) -> list[Sentence]:
        """The sentences of "test" alone: they are written first and do not depend on the others."""
        return [*self._test[0]]

    @cached_property
    def _test(self) -> tuple[list[Sentence], set[tuple[str, ...]]]:
        """The test sentences, and every word sequence seen in writing them."""
        seen: set[tuple[str, ...]] = set()
        return self._split("test", self.test, NATURAL, seen), seen

    def _split(self, name: str, size: int, shares: tuple[int, ...], seen: set[tuple[str, ...]]) -> list[Sentence]:
        random = Random(f"{self.version} {self.seed} {name}")
        sentences: list[Sentence] = []
        for attractors, pairs in enumerate(_allot(size // 2, shares[: self.max_attractors + 1])):
            company = COMPANY[shares][: MOST_NOUNS - attractors] if attractors else ALONE
            stream = _pairs(random, attractors, company, pairs, seen)
            for _ in range(pairs):
                pair = next(stream, None)
                if pair is None:
                    raise ValueError(
                        f"{name}: expected {pairs} pairs of new sentences with {attractors} attractors; found only "
                        f"{len(sentences) // 2} before the grammar ran out of new ones; ask for fewer sentences."
                    )
                sentences.extend(pair)
        random.shuffle(sentences)
        return sentences


def _allot(total: int, shares: tuple[int, ...]) -> list[int]:
    """Divide a total by shares, the largest remainders rounded up."""
    exact = [total * share / sum(shares) for share in shares]
    parts = [int(part) for part in exact]
    by_remainder = sorted(range(len(shares)), key=lambda i: (parts[i] - exact[i], i))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts


def _pairs(
    random: Random, attractors: int, company: tuple[int, ...], wanted: int, seen: set[tuple[str, ...]]
) -> Iterator[tuple[Sentence, Sentence]]:
    """Pairs of a singular and a plural sentence of one construction and length; ends when no new ones are found."""
    waiting: dict[tuple[str, int, int], list[Sentence]] = {}
    beside = [n for n, share in enumerate(company) for _ in range(share)]
    drawn = [[c for c, weights in WEIGHTS.items() for _ in range(weights[some])] for some in (0, 1)]
    for _ in range(wanted * PATIENCE):
        same = random.choice(beside)
        construction = random.choice(drawn[attractors + same > 0])
        label = random.choice((SINGULAR, PLURAL))
        numbers = [1 - label] * attractors + [label] * same
        random.shuffle(numbers)
        phrases = Phrases(random)
        try:
            heads = construction(phrases, label, numbers)
        except DeadEnd:
            continue
        words = _articles(phrases.words)
        if not SHORTEST <= len(words) <= LONGEST or words in seen:
            continue
        seen.add(words)
        opposite = tuple(i for i, number in phrases.nouns if i > heads[0] and i not in heads and number != label)
        name = construction.__name__.replace("_", " ")
        sentence = Sentence(words, label, heads, opposite, len(opposite), name)
        partners = waiting.get((name, len(words), 1 - label))
        if partners:
            partner = partners.pop()
            yield (sentence, partner) if label == SINGULAR else (partner, sentence)
        else:
            waiting.setdefault((name, len(words), label), []).append(sentence)


def _articles(words: list[str]) -> tuple[str, ...]:
    """Write "a" as "an" where the next word begins with a vowel sound."""
    return tuple(
        "an" if word == "a" and i + 1 < len(words) and vowel_sound(words[i + 1]) else word
        for i, word in enumerate(words)
    )


def vowel_sound(word: str) -> bool:
    """Whether a word takes "an"."""
    if word.startswith(lexicon.SILENT_H):
        return True
    return word[0] in lexicon.VOWELS and not word.startswith(lexicon.CONSONANT_SOUND)
