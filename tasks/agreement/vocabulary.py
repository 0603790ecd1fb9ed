"""The lexicon, expanded: every noun's two forms, every verb's five, and which of them go together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tasks.agreement import lexicon

Forms = tuple[str, str]  # singular, plural
Deed = tuple[Sequence[str], Sequence[str]]  # verbs, and the meanings of the nouns that they go with


@dataclass(frozen=True)
class Verb:
    """A transitive verb's forms."""

    singular: str
    plural: str
    past: str
    participle: str
    present_participle: str


@dataclass(frozen=True)
class Link:
    """A preposition, or a participle that stands like one, and the meaning of the noun after it."""

    words: tuple[str, ...]
    target: str
    place: bool


def plural_of(noun: str) -> str:
    """The regular plural."""
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in lexicon.VOWELS:
        return noun[:-1] + "ies"
    return noun + "s"


def noun_forms(entry: str) -> Forms:
    """`man/men` is read as written, `student` takes the regular plural; a compound keeps its first noun."""
    singular, _, plural = entry.partition("/")
    if plural:
        return singular, plural
    first, space, last = singular.rpartition(" ")
    return singular, first + space + plural_of(last)


def verb_forms(base: str) -> Verb:
    """All forms of a verb, the irregular ones from the lexicon."""
    if base in lexicon.IRREGULAR_VERBS:
        past, participle, present_participle = lexicon.IRREGULAR_VERBS[base]
    elif base.endswith("y") and base[-2] not in lexicon.VOWELS:
        past = participle = base[:-1] + "ied"
        present_participle = base + "ing"
    elif base.endswith("e"):
        past = participle = base + "d"
        present_participle = base[:-1] + "ing"
    else:
        past = participle = base + "ed"
        present_participle = base + "ing"
    return Verb(plural_of(base), base, past, participle, present_participle)


def _links(table: dict[str, str]) -> dict[tuple[str, int, int], list[Link]]:
    """Links by meaning of the noun before, its number, and the number of the noun after."""
    links: dict[tuple[str, int, int], list[Link]] = {}
    allowed = {
        "any": ((0, 0), (0, 1), (1, 0), (1, 1)),
        "one": ((0, 0), (1, 0), (1, 1)),
        "many": ((0, 1), (1, 1)),
    }
    for meaning, text in table.items():
        for entry in text.replace("\n", ";").split(";"):
            if not entry.strip():
                continue
            words, targets, kind = (part.strip() for part in entry.split(":"))
            phrase = tuple(words.split())
            for before, after in allowed[kind]:
                for target in targets.split():
                    if target in lexicon.MASS and after == 1:
                        continue
                    links.setdefault((meaning, before, after), []).append(
                        Link(phrase, target, not lexicon.PLACES.isdisjoint(phrase))
                    )
    return links


def _verbs() -> Iterable[tuple[Sequence[str], Sequence[str], Sequence[str]]]:
    for line in lexicon.VERBS.replace("\n        ", " ").splitlines():
        if line.strip():
            who, rest = line.split(">")
            what, verbs = rest.split(":")
            yield who.split(), what.split(), verbs.split()


def _share(verbs: Sequence[str]) -> int:
    """How often a line of the lexicon is drawn; long lines more often, so that none of their verbs is rare."""
    return 1 + len(verbs) // 6


def _by_subject() -> dict[str, list[Deed]]:
    deeds: dict[str, list[Deed]] = {}
    for who, what, verbs in _verbs():
        for subject in who:
            deeds.setdefault(subject, []).extend([(verbs, what)] * _share(verbs))
    for meaning in ("kin", "official"):
        deeds[meaning] = deeds.get(meaning, []) + deeds["person"]
    return deeds


def _by_object() -> dict[str, list[Deed]]:
    deeds: dict[str, list[Deed]] = {}
    for who, what, verbs in _verbs():
        often = 3 if who[0] in lexicon.AGENTS else 1  # people act more often than things do
        for target in what:
            deeds.setdefault(target, []).extend([(verbs, who)] * often * _share(verbs))
    return deeds


NOUNS: dict[str, list[Forms]] = {
    meaning: [noun_forms(entry) for entry in text.split()] for meaning, text in lexicon.NOUNS.items()
}
INVARIANT = {meaning: text.split() for meaning, text in lexicon.INVARIANT.items()}
MASS = {meaning: text.split() for meaning, text in lexicon.MASS.items()}
COMPOUNDS = {meaning: [noun_forms(entry) for entry in entries] for meaning, entries in lexicon.COMPOUNDS.items()}
ADJECTIVES = {meaning: (first.split(), second.split()) for meaning, (first, second) in lexicon.ADJECTIVES.items()}
RELATIONS = _links(lexicon.RELATIONS)
PARTICIPLES = _links(lexicon.PARTICIPLES)
VERBS = {verb: verb_forms(verb) for _, _, verbs in _verbs() for verb in verbs}
BY_SUBJECT = _by_subject()
BY_OBJECT = _by_object()
DETERMINERS = {
    name: [word for word, weight in weights.items() for _ in range(weight)]
    for name, weights in lexicon.DETERMINERS.items()
}
FRONTED = [
    Link(tuple(words.split()), target, False)
    for words, targets in lexicon.FRONTED.items()
    for target in targets.split()
]
