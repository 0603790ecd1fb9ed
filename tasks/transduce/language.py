"""Sentences and their translation, word by word, with the alignment and what decides each form.

The source has subject, verb, object. In the translation the verb comes last, adjectives follow their noun in reverse
order, prepositional phrases stand behind the subject and prepositions behind their phrase. An article takes the gender
of its noun, and a pronoun that of its antecedent, the subject or the object of the first clause. A clause with `while`
comes last in the source and first in the translation: the gender of a pronoun in it can be read from the source alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tasks.transduce import lexicon
from tasks.transduce.lexicon import COMMA, DEFINITE, GENDERS, INDEFINITE, OBJECT, PARTICLE, STOP, SUBJECT, WHILE

KINDS = (
    *("article", "adjective", "noun", "verb", "pronoun", "adverb", "preposition", "conjunction", "particle"),
    *("stop", "end"),
)


@dataclass(frozen=True)
class Phrase:
    """An article, adjectives and a noun of the source."""

    article: str
    noun: str
    adjectives: tuple[str, ...] = ()

    @property
    def gender(self) -> str:
        """Of the noun in the translation."""
        return lexicon.NOUNS[self.noun][1]


@dataclass(frozen=True)
class Clause:
    """A sentence, or one half of it.

    Args:
        subject: a phrase, or one of the pronouns `it` and `that`.
        verb: transitive if there is an object.
        object: a phrase, a pronoun or nothing.
        place: a preposition and its phrase.
        fronted: whether the source begins with the place.
        adverb: in the source before the verb, in the translation behind the object.
    """

    subject: Phrase | str
    verb: str
    object: Phrase | str | None = None
    place: tuple[str, Phrase] | None = None
    fronted: bool = False
    adverb: str | None = None


@dataclass(frozen=True)
class Pronoun:
    """Where a text's pronoun stands in the translation, and what it stands for.

    Args:
        target: the pronoun's word in the translation.
        refers: `subject` or `object`.
        antecedent: the source's word for its antecedent's noun.
        shown: words of the translation before the pronoun that show the gender too: the antecedent's article and noun.
        rival: the source's word for the other of subject and object, whose gender is another.
    """

    target: int
    refers: str
    antecedent: int
    shown: tuple[int, ...]
    rival: int


@dataclass(frozen=True)
class Text:
    """A source and its translation; words are numbered from 0 on each side.

    Args:
        source: words.
        target: words.
        kinds: of each target word, one of `KINDS`.
        sure: links of a source word and a target word.
        possible: links of an article or a pronoun to the noun that its gender comes from, and of a particle to its
            object.
        nouns: for the target word of an article, the source word of its noun.
        foils: for the target word of an article or a pronoun, the same in another gender.
        pronoun: of the second clause.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    kinds: tuple[str, ...]
    sure: tuple[tuple[int, int], ...]
    possible: tuple[tuple[int, int], ...]
    nouns: dict[int, int]
    foils: dict[int, str]
    pronoun: Pronoun | None = None


@dataclass(frozen=True, eq=False)
class _Word:
    """A word on either side or on both; two are the same only if they are one object."""

    source: str | None
    target: str | None
    kind: str
    nearby: tuple["_Word", ...] = ()  # which a possible link goes to; the first decides an article's gender
    foil: str | None = None


@dataclass
class _Laid:
    """A phrase's words in the order of each side, and its noun."""

    source: list[_Word]
    target: list[_Word]
    noun: _Word | None = None


def text(first: Clause, second: Clause | None = None, joined: bool = False) -> Text:
    """The source and its translation, of one or two sentences, or of one with two clauses `joined` by `while`.

    The second clause may have one pronoun, and the first then a subject and an object of different genders.
    """
    source, target, laid = _sentence(first, {})
    if second is not None:
        more = _sentence(second, {SUBJECT: (first.subject, laid[0]), OBJECT: (first.object, laid[1])})
        if joined:
            word = _Word(*WHILE, "conjunction")
            source, target = [*source[:-1], word, *more[0]], [word, *more[1][:-1], *target[:-1], more[1][-1]]
        else:
            source, target = source + more[0], target + more[1]
    places = {word: index for index, word in enumerate(source)}
    possible: list[tuple[int, int]] = []
    nouns: dict[int, int] = {}
    pronoun = None
    for index, word in enumerate(target):
        possible += [(places[noun], index) for noun in word.nearby[:1]]
        if word.kind == "article":
            nouns[index] = places[word.nearby[0]]
        elif word.kind == "particle":
            possible += [(places[noun], index) for noun in word.nearby[1:]]
        elif word.kind == "pronoun":
            antecedent, rival = word.nearby
            gendered = [one for one in target if one is antecedent or one.nearby[:1] == (antecedent,)]
            shown = (target.index(one) for one in gendered if one.kind in ("article", "noun"))
            pronoun = Pronoun(
                target=index,
                refers="subject" if word.source == SUBJECT else "object",
                antecedent=places[antecedent],
                shown=tuple(one for one in shown if one < index),
                rival=places[rival],
            )
    return Text(
        source=tuple(word.source for word in source if word.source is not None),
        target=tuple(word.target for word in target if word.target is not None),
        kinds=tuple(word.kind for word in target),
        sure=tuple((places[word], index) for index, word in enumerate(target) if word in places),
        possible=tuple(possible),
        nouns=nouns,
        foils={index: word.foil for index, word in enumerate(target) if word.foil is not None},
        pronoun=pronoun,
    )


Before = dict[str, tuple[Phrase | str | None, _Laid]]  # by pronoun, what it stands for


def _sentence(clause: Clause, before: Before) -> tuple[list[_Word], list[_Word], tuple[_Laid, _Laid]]:
    subject, found = (_laid(one, before) for one in (clause.subject, clause.object))
    if isinstance(clause.object, Phrase) and clause.object.article == DEFINITE:
        assert found.noun is not None
        found.target.append(_Word(None, PARTICLE, "particle", (found.noun, found.source[0])))
    place = _Laid([], [])
    if clause.place is not None:
        preposition, phrase = clause.place
        place, word = _laid(phrase, before), _Word(preposition, lexicon.PREPOSITIONS[preposition], "preposition")
        place = _Laid([word, *place.source], [*place.target, word])
    adverb = [] if clause.adverb is None else [_Word(clause.adverb, lexicon.ADVERBS[clause.adverb], "adverb")]
    verb = _Word(
        clause.verb, (lexicon.INTRANSITIVE if clause.object is None else lexicon.TRANSITIVE)[clause.verb], "verb"
    )
    stop = _Word(STOP, STOP, "stop")
    front, back = (place.source, []) if clause.fronted else ([], place.source)
    comma = [_Word(COMMA, None, "comma")] if front else []
    source = [*front, *comma, *subject.source, *adverb, verb, *found.source, *back, stop]
    target = [*subject.target, *place.target, *found.target, *adverb, verb, stop]
    return source, target, (subject, found)


def _laid(one: Phrase | str | None, before: Before) -> _Laid:
    if one is None:
        return _Laid([], [])
    if isinstance(one, str):
        (phrase, laid), (other, its) = before[one], before[OBJECT if one == SUBJECT else SUBJECT]
        assert isinstance(phrase, Phrase)
        assert isinstance(other, Phrase)
        assert laid.noun is not None
        assert its.noun is not None
        forms = lexicon.PRONOUNS
        word = _Word(one, forms[phrase.gender], "pronoun", (laid.noun, its.noun), forms[other.gender])
        return _Laid([word], [word])
    noun = _Word(one.noun, lexicon.NOUNS[one.noun][0], "noun")
    adjectives = [_Word(each, lexicon.ADJECTIVES[each], "adjective") for each in one.adjectives]
    forms = lexicon.ARTICLES[one.article]
    number = list(lexicon.NOUNS).index(
        one.noun
    )  # every other noun has the next gender's article as foil, the rest the last
    foil = GENDERS[(GENDERS.index(one.gender) + 1 + number % 2) % len(GENDERS)]
    article = _Word(one.article, forms[one.gender], "article", (noun,), forms[foil])
    return _Laid([article, *adjectives, noun], [article, noun, *reversed(adjectives)], noun)


def draw(random: Random) -> Text:
    """A random text of one or two clauses."""
    pronoun = random.choice((SUBJECT, OBJECT)) if random.random() < 0.6 else None
    names = random.sample(list(lexicon.NOUNS), 5)
    phrases = [_phrase(name, random) for name in names]
    if pronoun is None:
        return text(_clause(phrases[0], phrases[1] if random.random() < 0.7 else None, phrases[2], random))
    while phrases[0].gender == phrases[1].gender:
        phrases[1] = _phrase(random.choice([name for name in lexicon.NOUNS if name not in names]), random)
    first = _clause(phrases[0], phrases[1], phrases[2], random)
    roll = random.random()
    subject, found = (pronoun, None) if roll < 0.4 else (pronoun, phrases[3]) if roll < 0.7 else (phrases[3], pronoun)
    return text(first, _clause(subject, found, phrases[4], random), joined=random.random() < 0.5)


def _phrase(noun: str, random: Random) -> Phrase:
    count = random.choices((0, 1, 2), (9, 8, 3))[0]
    article = random.choice((DEFINITE, INDEFINITE))
    return Phrase(article, noun, tuple(random.sample(list(lexicon.ADJECTIVES), count)))


def _clause(subject: Phrase | str, found: Phrase | str | None, place: Phrase, random: Random) -> Clause:
    verbs = lexicon.INTRANSITIVE if found is None else lexicon.TRANSITIVE
    where = (random.choice(list(lexicon.PREPOSITIONS)), place) if random.random() < 0.4 else None
    adverb = random.choice(list(lexicon.ADVERBS)) if random.random() < 0.4 else None
    fronted = where is not None and random.random() < 0.5
    return Clause(subject, random.choice(list(verbs)), found, where, fronted, adverb)


def vocabulary() -> tuple[Sequence[str], Sequence[str]]:
    """All words of the source and of the translation, the full stop among both."""
    same = (lexicon.ADJECTIVES, lexicon.TRANSITIVE, lexicon.INTRANSITIVE, lexicon.ADVERBS, lexicon.PREPOSITIONS)
    alone = (DEFINITE, INDEFINITE, SUBJECT, OBJECT, WHILE[0], COMMA, STOP)
    source = [*alone, *lexicon.NOUNS, *(word for one in same for word in one)]
    articles = [form for forms in lexicon.ARTICLES.values() for form in forms.values()]
    target = [*articles, *lexicon.PRONOUNS.values(), PARTICLE, WHILE[1], STOP]
    target += [word for word, _ in lexicon.NOUNS.values()]
    return source, [*target, *(word for one in same for word in one.values())]
