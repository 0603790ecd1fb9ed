"""Phrases of the agreement grammar: a noun phrase and what may follow its noun, written from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tasks.agreement import lexicon, vocabulary
from tasks.agreement.sentence import PLURAL, SINGULAR

NUMBERS = ("singular", "plural")
# Not before a town's name: "on london".
NO_TOWN = ("on", "below", "above", "around", "opposite", "across", "through", "between", "for", "over")
# Not inside a subject: "near every few house".
OUTER_DETERMINERS = ("every", "each", "all", "few", "both", "one", "another")


class DeadEnd(Exception):  # noqa: N818 - part of the search, not a failure
    """No phrase of the lexicon fits; the sentence is started again."""


class Phrases:
    """Writes the words of one sentence and records its nouns."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.words: list[str] = []
        self.nouns: list[tuple[int, int]] = []  # index in words, number
        self.used: set[str] = set()
        self.clauses = 0
        self.places = 0
        self.owned = False  # the last noun has an owner before it: no "her book by the king"
        self.strict = False  # the next relative pronoun is "who" or "which"

    def chance(self, probability: float) -> bool:
        """True as often as the probability says."""
        return self.random.random() < probability

    def add(self, *words: str) -> None:
        """Write words that are not nouns."""
        self.words.extend(words)

    def noun(self, word: str, number: int) -> int:
        """Write a noun or pronoun, record its number, and return its index."""
        self.words.append(word)
        self.nouns.append((len(self.words) - 1, number))
        return len(self.words) - 1

    def fresh(self, choices: Sequence) -> str | tuple[str, str]:
        """One of the choices that the sentence does not have yet."""
        for _ in range(6):
            choice = self.random.choice(choices)
            key = choice if isinstance(choice, str) else choice[0]
            if key not in self.used:
                self.used.add(key)
                return choice
        raise DeadEnd

    def noun_phrase(
        self, meaning: str, number: int, *, more: bool = False, head: bool = False, bare: bool = True
    ) -> int:
        """Write a noun phrase and return the index of its noun.

        `more`: a modifier follows. `head`: it is the subject's. `bare`: a plural may have no determiner.
        """
        self.owned = False
        if meaning in lexicon.MASS:
            return self.mass(meaning, number, bare=self.chance(0.5))
        if not head and not more and self.chance(0.35 if meaning == "settlement" else 0.14):
            index = self.name(meaning, number)
            if index is not None:
                return index
        if not head and meaning in lexicon.INVARIANT and self.chance(0.07):
            return self.invariant(meaning, number)
        if not (number == PLURAL and bare and not head and self.chance(0.16)):
            self.determiner(meaning, number, head=head)
        self.adjectives(meaning, 0.36 if head else 0.18 if len(self.words) < 9 else 0.06)
        return self.noun(self.fresh(vocabulary.NOUNS[meaning])[number], number)

    def determiner(self, meaning: str, number: int, *, head: bool) -> None:
        """Write a determiner; inside a subject it is mostly `the`."""
        if not head and self.chance(0.5):
            self.add("the")
            return
        if meaning in lexicon.OWNED and self.chance(0.15):
            self.add(self.random.choice(vocabulary.DETERMINERS["owner"]))
            self.owned = True
            return
        word = self.random.choice(vocabulary.DETERMINERS[NUMBERS[number]])
        if not head and (word in OUTER_DETERMINERS or self.words[-1:] == [word]):
            word = "the"
        self.add(word)

    def adjectives(self, meaning: str, probability: float) -> None:
        """Write no, one or, rarely, two adjectives."""
        if not self.chance(probability):
            return
        first, second = vocabulary.ADJECTIVES[meaning]
        if self.chance(0.6):
            adjective = self.random.choice(first)
            if adjective in lexicon.GRADABLE and self.chance(0.15):
                self.add(self.random.choice(lexicon.DEGREES))
            self.add(adjective)
            if not self.chance(0.15):
                return
        self.add(self.random.choice(second))

    def mass(self, meaning: str, number: int, *, bare: bool, adjective: float = 0.2) -> int:
        """Write a mass noun, which has no plural."""
        if number == PLURAL:
            raise DeadEnd
        if not bare:
            self.add("the")
        self.adjectives(meaning, adjective)
        word = self.fresh(vocabulary.MASS[meaning])
        assert isinstance(word, str)
        return self.noun(word, SINGULAR)

    def invariant(self, meaning: str, number: int) -> int:
        """Write a noun of one form after a word that shows its number."""
        self.add(self.random.choice(lexicon.SHOWING[NUMBERS[number]]))
        self.adjectives(meaning, 0.2)
        word = self.fresh(vocabulary.INVARIANT[meaning])
        assert isinstance(word, str)
        return self.noun(word, number)

    def name(self, meaning: str, number: int) -> int | None:
        """Write a name where the meaning has names; return None where it has none."""
        if meaning in lexicon.PERSONS:
            if number == PLURAL:
                surname = self.fresh(lexicon.SURNAMES)
                assert isinstance(surname, str)
                self.add("the")
                return self.noun(vocabulary.plural_of(surname), PLURAL)
            if self.chance(0.2):
                self.add(self.random.choice(lexicon.TITLES))
                return self.noun(str(self.fresh(lexicon.SURNAMES)), SINGULAR)
            return self.noun(str(self.fresh(lexicon.FIRST_NAMES)), SINGULAR)
        if meaning == "settlement" and number == SINGULAR and self.words[-1] not in NO_TOWN:
            return self.noun(str(self.fresh(lexicon.TOWN_NAMES + lexicon.COUNTRY_NAMES)), SINGULAR)
        return None

    def conjunct(self, meaning: str, number: int, *, definite: bool) -> int:
        """Write one of two noun phrases that are joined, and return the index of its noun."""
        if definite:
            self.add("the")
        elif number == SINGULAR:
            self.add("a")
        elif self.chance(0.4):
            self.add(self.random.choice(("some", "several", "many")))
        self.adjectives(meaning, 0.12)
        return self.noun(self.fresh(vocabulary.NOUNS[meaning])[number], number)
