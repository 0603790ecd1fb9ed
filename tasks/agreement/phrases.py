"""Phrases of the agreement grammar: a noun phrase and what may follow its noun, written from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tasks.agreement import lexicon, vocabulary
from tasks.agreement.sentence import PLURAL, SINGULAR

NUMBERS = ("singular", "plural")
RELATION = "prepositional"
PARTICIPLE = "participle"
SUBJECT_RELATIVE = "subject relative"
OBJECT_RELATIVE = "object relative"
# How a noun inside the subject goes on.
INNER = (RELATION,) * 6 + (PARTICIPLE,) * 2 + (SUBJECT_RELATIVE, OBJECT_RELATIVE)
AT_MOST_CLAUSES = 2
AT_MOST_PLACES = 2
TWICE = ("of", "in")  # every other preposition stands once in a sentence
ADJUNCTS = (("during", "event"), ("before", "event"), ("after", "event"), ("in", "settlement"), ("near", "building"))
# Not before a town's name: "on london".
NO_TOWN = ("on", "below", "above", "around", "opposite", "across", "through", "between", "for", "over")
# Not inside a subject: "near every few house".
OUTER_DETERMINERS = ("every", "each", "all", "few", "both", "one", "another")


class DeadEnd(Exception):  # noqa: N818 - a turn of the search, not a fault
    """No phrase of the lexicon fits what is asked for; the sentence is begun anew."""


class Phrases:
    """Writes the words of one sentence and notes its nouns."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.words: list[str] = []
        self.nouns: list[tuple[int, int]] = []  # index in words, number
        self.used: set[str] = set()
        self.clauses = 0
        self.places = 0
        self.strict = False  # the next relative pronoun is "who" or "which"

    def chance(self, probability: float) -> bool:
        """True as often as the probability says."""
        return self.random.random() < probability

    def add(self, *words: str) -> None:
        """Write words that are no nouns."""
        self.words.extend(words)

    def noun(self, word: str, number: int) -> int:
        """Write a noun or pronoun, note its number, and return its index."""
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

        `more`: a modifier is to follow. `head`: it is the subject's. `bare`: a plural may do without determiner.
        """
        if meaning in lexicon.MASS:
            return self.mass(meaning, number, bare=self.chance(0.5))
        if not head and not more and self.chance(0.14):
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

    def modify(self, meaning: str, number: int, numbers: Sequence[int], manner: str | None = None) -> None:
        """Write modifiers of a noun; `numbers` are those of the nouns they bring, in order, and all are used."""
        if not numbers:
            return
        if manner is None:
            manner = self.random.choice(INNER)
            if self.clauses == AT_MOST_CLAUSES:
                manner = RELATION
        if manner == RELATION:
            self.link(vocabulary.RELATIONS, meaning, number, numbers)
        elif manner == PARTICIPLE:
            self.participle(meaning, number, numbers)
        elif manner == SUBJECT_RELATIVE:
            self.subject_relative(meaning, number, numbers)
        else:
            self.object_relative(meaning, number, numbers)

    def link(self, table: dict, meaning: str, number: int, numbers: Sequence[int]) -> None:
        """Write a preposition, or a participle that stands like one, and its noun phrase."""
        links = table.get((meaning, number, numbers[0]))
        if not links:
            raise DeadEnd
        for _ in range(5):
            link = self.random.choice(links)
            times = self.words.count(link.words[-1])
            if times > (link.words[-1] in TWICE):
                continue
            if link.place:
                if self.places == AT_MOST_PLACES:
                    continue
                self.places += 1
            break
        else:
            raise DeadEnd
        self.add(*link.words)
        self.onward(meaning, number, link.target, self.goal(link.target, numbers))

    def goal(self, target: str, numbers: Sequence[int]) -> Sequence[int]:
        """Write a noun phrase, or two joined ones; return the numbers from the last noun written."""
        if len(numbers) > 1 and target in vocabulary.NOUNS and self.chance(0.15):
            definite = self.chance(0.7)
            self.conjunct(target, numbers[0], definite=definite)
            self.add("and")
            self.conjunct(target, numbers[1], definite=definite)
            return numbers[1:]
        self.noun_phrase(target, numbers[0], more=len(numbers) > 1)
        return numbers

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

    def onward(self, meaning: str, number: int, target: str, numbers: Sequence[int]) -> None:
        """Modify the last noun, of number `numbers[0]`, or, if "who" and "which" tell them apart, the one before it."""
        rest = numbers[1:]
        if not rest:
            return
        apart = (meaning in lexicon.PERSONS) != (target in lexicon.PERSONS)
        if apart and self.clauses < AT_MOST_CLAUSES and len(self.words) < 10 and self.chance(0.2):
            self.strict = True
            self.modify(meaning, number, rest, self.random.choice((SUBJECT_RELATIVE, OBJECT_RELATIVE)))
        else:
            self.modify(target, numbers[0], rest)

    def adverb(self, tense: str, subject: str, verb: str) -> None:
        """Write, now and then, an adverb before a verb."""
        if subject not in lexicon.ANIMATE or not self.chance(0.18):
            return
        if subject in lexicon.AGENTS and verb not in lexicon.STATES and self.chance(0.5):
            tense += " deliberate"
        self.add(self.random.choice(lexicon.ADVERBS[tense]))

    def verb(self, verb: str, subject: str, number: int) -> bool:
        """Write the verb of a clause in agreement with its subject; return whether it is in the past."""
        forms = vocabulary.VERBS[verb]
        past = self.chance(0.5)
        self.adverb("past" if past else "present", subject, verb)
        self.add(forms.past if past else (forms.singular, forms.plural)[number])
        return past

    def relative(self, pronoun: str, that: float) -> None:
        """Write a relative pronoun, or, with the probability given, "that" in its stead."""
        self.add("that" if not self.strict and self.chance(that) else pronoun)
        self.strict = False

    def subject_relative(self, meaning: str, number: int, numbers: Sequence[int]) -> None:
        """Write a clause whose subject is the noun before it."""
        self.clauses += 1
        verb, target = self.random.choice(vocabulary.BY_SUBJECT.get(meaning) or [("", "")])
        if not verb:
            raise DeadEnd
        self.relative("who" if meaning in lexicon.PERSONS else "which", 0.15 if meaning in lexicon.PERSONS else 0.6)
        past = self.verb(verb, meaning, number)
        numbers = self.goal(target, numbers)
        self.tail(target, numbers, past=past and meaning in lexicon.AGENTS)

    def object_relative(self, meaning: str, number: int, numbers: Sequence[int]) -> None:
        """Write a clause whose object is the noun before it."""
        del number  # the clause's verb agrees with its own subject
        self.clauses += 1
        verb, subject = self.random.choice(vocabulary.BY_OBJECT.get(meaning) or [("", "")])
        if not verb or subject in lexicon.MASS:
            raise DeadEnd
        introduced = self.strict or subject not in lexicon.ANIMATE or self.chance(0.6)
        if introduced:
            self.relative(self.random.choice(("who", "whom")) if meaning in lexicon.PERSONS else "which", 0.5)
        own, rest = numbers[0], numbers[1:]
        inner = bool(rest) and self.chance(0.5)
        if subject in lexicon.PERSONS and not inner and self.chance(0.25):
            pronouns = [word for word, kind in lexicon.PRONOUNS.items() if NUMBERS.index(kind) == own and word != "it"]
            self.noun(self.random.choice(pronouns), own)
        else:
            self.noun_phrase(subject, own, more=inner, bare=introduced)
        if inner:
            self.link(vocabulary.RELATIONS, subject, own, rest[:1])
            rest = rest[1:]
        past = self.verb(verb, subject, own)
        if not rest:
            return
        if verb in lexicon.TRANSFERS and subject in lexicon.ANIMATE:
            self.add("to")
            rest = self.goal("person", rest)
            self.modify("person", rest[0], rest[1:])
        elif past and subject in lexicon.AGENTS:
            self.adjunct(rest)
        else:
            raise DeadEnd

    def adjunct(self, numbers: Sequence[int]) -> None:
        """Write the time or place of a clause in the past."""
        preposition, target = self.random.choice(ADJUNCTS)
        if preposition in self.words or (preposition == "in" and numbers[0] == PLURAL):
            raise DeadEnd
        self.add(preposition)
        numbers = self.goal(target, numbers)
        self.modify(target, numbers[0], numbers[1:], RELATION)

    def tail(self, target: str, numbers: Sequence[int], *, past: bool) -> None:
        """Go on after the object of a clause."""
        rest = numbers[1:]
        if past and len(rest) == 1 and self.chance(0.25):
            self.adjunct(rest)
        else:
            self.modify(target, numbers[0], rest)

    def participle(self, meaning: str, number: int, numbers: Sequence[int]) -> None:
        """Write a participle: "waiting outside", "holding", or "written by"."""
        kind = self.random.random()
        if kind < 0.5:
            self.link(vocabulary.PARTICIPLES, meaning, number, numbers)
        elif kind < 0.75:
            verb, target = self.random.choice(vocabulary.BY_SUBJECT.get(meaning) or [("", "")])
            if not verb or verb in lexicon.STATES:
                raise DeadEnd
            self.add(vocabulary.VERBS[verb].present_participle)
            numbers = self.goal(target, numbers)
            self.modify(target, numbers[0], numbers[1:])
        else:
            verb, subject = self.random.choice(vocabulary.BY_OBJECT.get(meaning) or [("", "")])
            if not verb or verb in lexicon.NO_PASSIVE or subject in lexicon.MASS or "by" in self.words:
                raise DeadEnd
            self.add(vocabulary.VERBS[verb].participle, "by")
            self.onward(meaning, number, subject, self.goal(subject, numbers))
