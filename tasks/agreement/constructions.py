"""Constructions of the agreement grammar: how a subject is built, each for a singular and a plural verb."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tasks.agreement import lexicon, vocabulary
from tasks.agreement.modifiers import (
    OBJECT_RELATIVE,
    PARTICIPLE,
    RELATION,
    SUBJECT_RELATIVE,
    deed,
    modify,
)
from tasks.agreement.phrases import NUMBERS, DeadEnd, Phrases
from tasks.agreement.sentence import PLURAL, SINGULAR

Heads = tuple[int, ...]
# Writes a subject of the label's number whose later nouns have `numbers`, in order; returns the indices of its heads.
Construction = Callable[[Phrases, int, Sequence[int]], Heads]

MEANINGS = [
    meaning
    for meaning, weight in {
        "person": 26, "kin": 5, "official": 6, "group": 8, "animal": 8, "fish": 2, "tree": 2, "flower": 3, "food":
        4, "toy": 1, "object": 7, "key": 1, "container": 4, "surface": 2, "clothing": 4, "vehicle": 5, "document":
        12, "picture": 4, "work": 3, "building": 8, "room": 3, "opening": 2, "part": 2, "settlement": 4, "ground":
        2, "height": 2, "river": 1, "lake": 1, "way": 3, "idea": 9, "event": 6, "debate": 4, "disaster": 2,
    }.items()
    for _ in range(weight)
]  # fmt: skip


def _plain(phrases: Phrases, label: int, numbers: Sequence[int], manner: str | None = None) -> Heads:
    meaning = phrases.random.choice(MEANINGS)
    head = phrases.noun_phrase(meaning, label, head=True)
    modify(phrases, meaning, label, numbers, manner)
    return (head,)


def simple(phrases: Phrases, label: int, numbers: Sequence[int]) -> Heads:
    """A determiner, adjectives, a noun."""
    return _plain(phrases, label, numbers)


def prepositional(phrases: Phrases, label: int, numbers: Sequence[int]) -> Heads:
    """The keys to the cabinet."""
    return _plain(phrases, label, numbers, RELATION)


def participle(phrases: Phrases, label: int, numbers: Sequence[int]) -> Heads:
    """The boy holding the keys; the letters written by the queen."""
    return _plain(phrases, label, numbers, PARTICIPLE)


def subject_relative(phrases: Phrases, label: int, numbers: Sequence[int]) -> Heads:
    """The nurse who knows the doctors."""
    return _plain(phrases, label, numbers, SUBJECT_RELATIVE)


def object_relative(phrases: Phrases, label: int, numbers: Sequence[int]) -> Heads:
    """The letters (that) the queen wrote."""
    return _plain(phrases, label, numbers, OBJECT_RELATIVE)


def fronted(phrases: Phrases, label: int, numbers: Sequence[int]) -> Heads:
    """A phrase or clause, a comma, and then the subject."""
    kind = phrases.random.random()
    if kind < 0.45:
        phrases.add(*phrases.random.choice(lexicon.FRONTED_FIXED).split())
    elif kind < 0.8:
        link = phrases.random.choice(vocabulary.FRONTED)
        phrases.add(*link.words)
        phrases.noun_phrase(link.target, phrases.random.randrange(2))
    else:
        _clause(phrases)
    phrases.add(",")
    if not numbers and phrases.chance(0.12):
        pronouns = [word for word, kind in lexicon.PRONOUNS.items() if NUMBERS.index(kind) == label]
        return (phrases.noun(phrases.random.choice(pronouns), label),)
    return _plain(phrases, label, numbers)


def _clause(phrases: Phrases) -> None:
    """When the senator left the meeting."""
    phrases.add(phrases.random.choice(lexicon.CONJUNCTIONS))
    subject = phrases.random.choice(("person", "person", "official", "kin", "group"))
    verb, target = deed(phrases, vocabulary.BY_SUBJECT, subject)
    phrases.noun_phrase(subject, phrases.random.randrange(2))
    phrases.add(vocabulary.VERBS[verb].past)
    phrases.noun_phrase(target, SINGULAR if target in lexicon.MASS else phrases.random.randrange(2))


def coordination(phrases: Phrases, label: int, numbers: Sequence[int]) -> Heads:
    """Two noun phrases: joined (plural), one or the other, or the second added to the first."""
    added = bool(numbers) and phrases.chance(0.4)
    if added:
        kind = "added"
    elif label == SINGULAR:
        kind = "chosen"
    else:
        kind = phrases.random.choice(("joined", "joined", "chosen"))
    before, between, after = phrases.random.choice(lexicon.COORDINATIONS[kind])
    meaning = phrases.random.choice(MEANINGS)
    phrases.add(*before.split())
    first = phrases.random.randrange(2) if kind == "joined" else label
    second = numbers[0] if added else phrases.random.randrange(2) if kind == "joined" else label
    rest = numbers[1:] if added else numbers
    definite = phrases.chance(0.75)
    heads = [phrases.conjunct(meaning, first, definite=definite)]
    phrases.add(*between.split())
    index = phrases.conjunct(meaning, second, definite=definite)
    if not added:
        heads.append(index)
    modify(phrases, meaning, second, rest)
    phrases.add(*after.split())
    return tuple(heads)


def quantified(phrases: Phrases, label: int, numbers: Sequence[int]) -> Heads:
    """Each of the letters; most of the water; a number of students."""
    meaning = phrases.random.choice(MEANINGS)
    kind = phrases.random.random()
    if numbers and numbers[0] == PLURAL and kind < 0.6:
        words = phrases.random.choice(lexicon.QUANTIFIERS[NUMBERS[label]]).split()
        phrases.add(*words)
        head = next(len(phrases.words) - len(words) + i for i, word in enumerate(words) if word in lexicon.COUNTING)
        if words[-2] == "number":
            phrases.nouns.append((head, SINGULAR))
        else:
            phrases.add("the")
        phrases.adjectives(meaning, 0.16)
        phrases.noun(str(phrases.fresh(vocabulary.NOUNS[meaning])[PLURAL]), PLURAL)
        modify(phrases, meaning, PLURAL, numbers[1:])
        return (head,)
    if label == SINGULAR:
        meaning = phrases.random.choice(tuple(vocabulary.MASS))
    definite = kind < 0.75
    kinds = "noun" if definite else NUMBERS[label] + " bare"
    phrases.add(*phrases.random.choice(lexicon.QUANTIFIERS[kinds]).split())
    if definite:
        phrases.add("the")
    if label == SINGULAR:
        head = phrases.mass(meaning, label, bare=True)
    else:
        phrases.adjectives(meaning, 0.2)
        head = phrases.noun(str(phrases.fresh(vocabulary.NOUNS[meaning])[PLURAL]), PLURAL)
    modify(phrases, meaning, label, numbers)
    return (head,)


def invariant(phrases: Phrases, label: int, numbers: Sequence[int]) -> Heads:
    """This species; several aircraft."""
    meaning = phrases.random.choice(("animal", "animal", "fish", "vehicle", "document", "way"))
    head = phrases.invariant(meaning, label)
    modify(phrases, meaning, label, numbers)
    return (head,)


def name(phrases: Phrases, label: int, numbers: Sequence[int]) -> Heads:
    """A person by name, with a description between commas."""
    first, last = lexicon.FIRST_NAMES, lexicon.SURNAMES
    if label == SINGULAR:
        if numbers and phrases.chance(0.5):
            heads = (phrases.noun(str(phrases.fresh(first)), label),)
        elif phrases.chance(0.5):
            phrases.add(phrases.random.choice(lexicon.TITLES))
            heads = (phrases.noun(str(phrases.fresh(last)), label),)
        else:
            phrases.add(phrases.random.choice(lexicon.NICKNAMES))
            heads = (phrases.noun(str(phrases.fresh(first)), label),)
    elif phrases.chance(0.5):
        phrases.add("the")
        heads = (phrases.noun(vocabulary.plural_of(str(phrases.fresh(last))), label),)
    else:
        one = phrases.noun(str(phrases.fresh(first)), SINGULAR)
        phrases.add("and")
        heads = (one, phrases.noun(str(phrases.fresh(first)), SINGULAR))
    if numbers:
        phrases.add(",")
        manner = phrases.random.choice((SUBJECT_RELATIVE, SUBJECT_RELATIVE, PARTICIPLE))
        phrases.strict = True
        modify(phrases, "person", label, numbers, manner)
        phrases.add(",")
    return heads


def pronoun(phrases: Phrases, label: int, numbers: Sequence[int]) -> Heads:
    """Everyone in the village; those who know the doctor."""
    words = phrases.random.choice(lexicon.INDEFINITES[NUMBERS[label]]).split()
    phrases.add(*words[:-1])
    head = phrases.noun(words[-1], label)
    modify(phrases, "person", label, numbers)
    return (head,)


def compound(phrases: Phrases, label: int, numbers: Sequence[int]) -> Heads:
    """The village doctor; these kitchen knives."""
    meaning = phrases.random.choice(tuple(vocabulary.COMPOUNDS))
    phrases.determiner(meaning, label, head=True)
    phrases.adjectives(meaning, 0.25)
    first, _, last = phrases.fresh(vocabulary.COMPOUNDS[meaning])[label].rpartition(" ")
    phrases.add(*first.split())
    phrases.used.update((first, last))
    head = phrases.noun(last, label)
    modify(phrases, meaning, label, numbers)
    return (head,)


def bare(phrases: Phrases, label: int, numbers: Sequence[int]) -> Heads:
    """No determiner: fresh water from the hills; letters from the queen."""
    adjective = 0.25 if numbers else 1.0
    if label == SINGULAR:
        meaning = phrases.random.choice(tuple(vocabulary.MASS))
        head = phrases.mass(meaning, label, bare=True, adjective=adjective)
    else:
        meaning = phrases.random.choice(MEANINGS)
        phrases.adjectives(meaning, adjective)
        head = phrases.noun(str(phrases.fresh(vocabulary.NOUNS[meaning])[PLURAL]), PLURAL)
    modify(phrases, meaning, label, numbers)
    return (head,)


def possessive(phrases: Phrases, label: int, numbers: Sequence[int]) -> Heads:
    """The queen 's letters; maria 's brother."""
    if phrases.chance(0.4):
        phrases.add(str(phrases.fresh(lexicon.FIRST_NAMES)))
    else:
        phrases.add("the", str(phrases.fresh(vocabulary.NOUNS["person"])[SINGULAR]))
    phrases.add("'s")
    meaning = phrases.random.choice(MEANINGS)
    if meaning not in lexicon.OWNED:
        raise DeadEnd
    phrases.adjectives(meaning, 0.25)
    head = phrases.noun(str(phrases.fresh(vocabulary.NOUNS[meaning])[label]), label)
    phrases.owned = True
    modify(phrases, meaning, label, numbers)
    return (head,)


# How often each is drawn when no noun may stand between subject and verb, and when some may.
WEIGHTS: dict[Construction, tuple[int, int]] = {
    simple: (40, 0), prepositional: (0, 20), subject_relative: (0, 14), object_relative: (0, 14), participle: (0, 13),
    fronted: (22, 9), coordination: (14, 7), quantified: (8, 7), invariant: (4, 3), name: (4, 4), pronoun: (0, 4),
    compound: (6, 5), bare: (4, 4), possessive: (5, 4),
}  # fmt: skip
