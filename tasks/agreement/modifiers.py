"""What follows a noun in the agreement grammar: prepositional phrases, participles, relative clauses."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.agreement import lexicon, vocabulary
from tasks.agreement.phrases import NUMBERS, DeadEnd, Phrases
from tasks.agreement.sentence import PLURAL

RELATION = "prepositional"
PARTICIPLE = "participle"
SUBJECT_RELATIVE = "subject relative"
OBJECT_RELATIVE = "object relative"
# How a noun inside the subject continues.
INNER = (RELATION,) * 6 + (PARTICIPLE,) * 2 + (SUBJECT_RELATIVE, OBJECT_RELATIVE)
AT_MOST_CLAUSES = 2
AT_MOST_PLACES = 2
OWNERSHIP = ("of", "by", "to")
TWICE = ("in",)  # every other preposition occurs once in a sentence
ADJUNCTS = (
    ("during", "event"),
    ("during", "debate"),
    ("before", "event"),
    ("after", "debate"),
    ("in", "settlement"),
    ("near", "building"),
)


def modify(phrases: Phrases, meaning: str, number: int, numbers: Sequence[int], manner: str | None = None) -> None:
    """Write modifiers of a noun; `numbers` are those of the nouns that they add, in order, and all are used."""
    if not numbers:
        return
    if manner is None:
        manner = phrases.random.choice(INNER)
        if phrases.clauses == AT_MOST_CLAUSES:
            manner = RELATION
    if manner == RELATION:
        linked(phrases, vocabulary.RELATIONS, meaning, number, numbers)
    elif manner == PARTICIPLE:
        participle(phrases, meaning, number, numbers)
    elif manner == SUBJECT_RELATIVE:
        subject_relative(phrases, meaning, number, numbers)
    else:
        object_relative(phrases, meaning, number, numbers)


def linked(phrases: Phrases, table: dict, meaning: str, number: int, numbers: Sequence[int]) -> None:
    """Write a preposition, or a participle used like one, and its noun phrase."""
    links = table.get((meaning, number, numbers[0]))
    if not links:
        raise DeadEnd
    for _ in range(5):
        link = phrases.random.choice(links)
        if phrases.owned and link.words[-1] in OWNERSHIP:
            continue
        times = phrases.words.count(link.words[-1])
        if times > (link.words[-1] in TWICE):
            continue
        if link.place:
            if phrases.places == AT_MOST_PLACES:
                continue
            phrases.places += 1
        break
    else:
        raise DeadEnd
    phrases.owned = False
    phrases.add(*link.words)
    onward(phrases, meaning, number, link.target, goal(phrases, link.target, numbers))


def goal(phrases: Phrases, target: str, numbers: Sequence[int]) -> Sequence[int]:
    """Write a noun phrase, or two joined ones; return the numbers from the last noun written."""
    if len(numbers) > 1 and target in vocabulary.NOUNS and phrases.chance(0.2):
        definite = phrases.chance(0.7)
        phrases.conjunct(target, numbers[0], definite=definite)
        phrases.add("and")
        phrases.conjunct(target, numbers[1], definite=definite)
        return numbers[1:]
    phrases.noun_phrase(target, numbers[0], more=len(numbers) > 1)
    return numbers


def onward(phrases: Phrases, meaning: str, number: int, target: str, numbers: Sequence[int]) -> None:
    """Modify the last noun, of number `numbers[0]`, or, if "who" and "which" distinguish them, the one before it."""
    rest = numbers[1:]
    if not rest:
        return
    apart = (meaning in lexicon.PERSONS) != (target in lexicon.PERSONS)
    if apart and phrases.clauses < AT_MOST_CLAUSES and len(phrases.words) < 10 and phrases.chance(0.2):
        phrases.strict = True
        modify(phrases, meaning, number, rest, phrases.random.choice((SUBJECT_RELATIVE, OBJECT_RELATIVE)))
    else:
        modify(phrases, target, numbers[0], rest)


def adverb(phrases: Phrases, tense: str, subject: str, verb: str) -> None:
    """Occasionally write an adverb before a verb."""
    if subject not in lexicon.ANIMATE or not phrases.chance(0.18):
        return
    if subject in lexicon.AGENTS and verb in lexicon.ACTIONS and phrases.chance(0.5):
        tense += " deliberate"
    phrases.add(phrases.random.choice(lexicon.ADVERBS[tense]))


def deed(phrases: Phrases, deeds: dict[str, list[vocabulary.Deed]], meaning: str) -> tuple[str, str]:
    """A verb that goes with the meaning of its one noun, and a meaning for the other."""
    if meaning not in deeds:
        raise DeadEnd
    verbs, others = phrases.random.choice(deeds[meaning])
    return str(phrases.fresh(verbs)), phrases.random.choice(others)


def agreeing(phrases: Phrases, verb: str, subject: str, number: int) -> bool:
    """Write the verb of a clause in agreement with its subject; return whether it is in the past."""
    forms = vocabulary.VERBS[verb]
    past = phrases.chance(0.5)
    adverb(phrases, "past" if past else "present", subject, verb)
    phrases.add(forms.past if past else (forms.singular, forms.plural)[number])
    return past


def relative(phrases: Phrases, pronoun: str, that: float) -> None:
    """Write a relative pronoun or, with the given probability, "that" instead."""
    phrases.add("that" if not phrases.strict and phrases.chance(that) else pronoun)
    phrases.strict = False


def subject_relative(phrases: Phrases, meaning: str, number: int, numbers: Sequence[int]) -> None:
    """Write a clause whose subject is the noun before it."""
    phrases.clauses += 1
    verb, target = deed(phrases, vocabulary.BY_SUBJECT, meaning)
    relative(phrases, "who" if meaning in lexicon.PERSONS else "which", 0.15 if meaning in lexicon.PERSONS else 0.6)
    past = agreeing(phrases, verb, meaning, number)
    numbers = goal(phrases, target, numbers)
    tail(phrases, target, numbers, past=past and meaning in lexicon.AGENTS)


def object_relative(phrases: Phrases, meaning: str, number: int, numbers: Sequence[int]) -> None:
    """Write a clause whose object is the noun before it."""
    del number  # the clause's verb agrees with its own subject
    phrases.clauses += 1
    verb, subject = deed(phrases, vocabulary.BY_OBJECT, meaning)
    if subject in lexicon.MASS:
        raise DeadEnd
    introduced = phrases.strict or subject not in lexicon.ANIMATE or phrases.chance(0.6)
    if introduced:
        relative(phrases, phrases.random.choice(("who", "whom")) if meaning in lexicon.PERSONS else "which", 0.5)
    own, rest = numbers[0], numbers[1:]
    inner = bool(rest) and phrases.chance(0.5)
    if subject in lexicon.PERSONS and not inner and phrases.chance(0.25):
        pronouns = [word for word, kind in lexicon.PRONOUNS.items() if NUMBERS.index(kind) == own and word != "it"]
        phrases.noun(phrases.random.choice(pronouns), own)
    else:
        phrases.noun_phrase(subject, own, more=inner, bare=introduced)
    if inner:
        linked(phrases, vocabulary.RELATIONS, subject, own, rest[:1])
        rest = rest[1:]
    past = agreeing(phrases, verb, subject, own)
    if not rest:
        return
    if verb in lexicon.TRANSFERS and subject in lexicon.ANIMATE:
        phrases.add("to")
        rest = goal(phrases, "person", rest)
        modify(phrases, "person", rest[0], rest[1:])
    elif past and subject in lexicon.AGENTS:
        adjunct(phrases, rest)
    else:
        raise DeadEnd


def adjunct(phrases: Phrases, numbers: Sequence[int]) -> None:
    """Write the time or place of a clause in the past."""
    preposition, target = phrases.random.choice(ADJUNCTS)
    if preposition in phrases.words or (preposition == "in" and numbers[0] == PLURAL):
        raise DeadEnd
    phrases.add(preposition)
    numbers = goal(phrases, target, numbers)
    modify(phrases, target, numbers[0], numbers[1:], RELATION)


def tail(phrases: Phrases, target: str, numbers: Sequence[int], *, past: bool) -> None:
    """Write what follows the object of a clause."""
    rest = numbers[1:]
    if past and len(rest) == 1 and phrases.chance(0.25):
        adjunct(phrases, rest)
    else:
        modify(phrases, target, numbers[0], rest)


def participle(phrases: Phrases, meaning: str, number: int, numbers: Sequence[int]) -> None:
    """Write a participle: "waiting outside", "holding", or "written by"."""
    kind = phrases.random.random()
    if kind < 0.4:
        linked(phrases, vocabulary.PARTICIPLES, meaning, number, numbers)
    elif kind < 0.7:
        verb, target = deed(phrases, vocabulary.BY_SUBJECT, meaning)
        if verb not in lexicon.ACTIONS:
            raise DeadEnd
        phrases.add(vocabulary.VERBS[verb].present_participle)
        numbers = goal(phrases, target, numbers)
        modify(phrases, target, numbers[0], numbers[1:])
    else:
        verb, subject = deed(phrases, vocabulary.BY_OBJECT, meaning)
        if verb in lexicon.NO_PASSIVE or subject in lexicon.MASS or "by" in phrases.words:
            raise DeadEnd
        phrases.add(vocabulary.VERBS[verb].participle, "by")
        onward(phrases, meaning, number, subject, goal(phrases, subject, numbers))
