"""Transduce: each word of a translation is explained. Its alignment is known, and the antecedent of its pronoun."""

import hashlib
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random

from harness import check
from harness.contracts import Model
from harness.results.provenance import code_text
from harness.tracing.batch import Example, Role
from tasks.target_positions import Pair, examples_of
from tasks.target_word_model import TargetWordModel
from tasks.transduce import language, lexicon
from tasks.transduce.language import KINDS, Text, draw
from tasks.transduce.tokenizer import START, BothTokenizer

HELD_OUT = 10  # one in so many sources is never in a training


@dataclass(frozen=True)
class Transduce:
    """Texts and their translation into a made-up language, explained word by word.

    A text is one sentence, two, or one with two clauses. An article and a pronoun are a choice between two genders; a
    pronoun's wrong gender is that of the noun which it might but does not stand for. Elsewhere the foil is what the
    model finds likeliest of all else.

    Args:
        test: texts to explain.
        position: of the target, the only one that is explained, counted from its end where it is negative; None for
            all of them.
        kind: the only kind of word that is explained, e.g. `pronoun`; None for all of them.
        seed: of the texts.
    """

    test: int = 500
    position: int | None = None
    kind: str | None = None
    seed: int = 0

    version = "1"
    output = "logit_difference"
    removal = "unk"  # its model has learned what a blank is
    head = None  # only its own model reads these words
    classes = ("wanted", "foil")

    def __post_init__(self):
        check.count("test", self.test)
        check.count("seed", self.seed, low=0)
        if self.position is not None and (isinstance(self.position, bool) or not isinstance(self.position, int)):
            raise ValueError(f"position is a whole number, or null for all of them, got {self.position!r}")
        if self.kind is not None:
            check.choice("kind", self.kind, KINDS)

    @cached_property
    def tokens(self) -> BothTokenizer:
        """All words."""
        return BothTokenizer.of_language()

    @cached_property
    def texts(self) -> list[Text]:
        """The texts to explain, all different, and none of them ever in a training."""
        return texts(self.test, f"test {self.seed}", test=True)

    @property
    def facts(self) -> Mapping[str, object]:
        """Numbers of texts, of words, and of words by their kind."""
        counts = Counter(kind for one in self.texts for kind in one.kinds)
        return {
            "texts": self.test,
            "words of a source": round(sum(len(one.source) for one in self.texts) / self.test, 1),
            "words of a target": round(sum(len(one.target) for one in self.texts) / self.test, 1),
        } | {f"{kind}s": counts[kind] for kind in KINDS if kind in counts}

    @cached_property
    def digest(self) -> str:
        """A hash of all that the texts are drawn from."""
        code = [code_text(Path(one.__file__ or "")) for one in (language, lexicon)]
        return hashlib.sha256(repr((self.version, HELD_OUT, code, self)).encode()).hexdigest()

    def examples(self, model: Model) -> list[Example]:
        """The test texts, explained at each position of the target."""
        module, tokens = model.module, model.tokens
        if not isinstance(module, TargetWordModel) or not isinstance(tokens, BothTokenizer):
            raise ValueError("the transduce task is served only by its own model: choose model=transducer")
        found = examples_of([pair(one, tokens) for one in self.texts], module, self.position)
        found = [one for one in found if self.kind is None or one.tags["kind"] == self.kind]
        if not found:
            raise ValueError(
                f"no text has a word of kind={self.kind} at position={self.position}: set position to null"
                if self.kind is not None
                else f"no translation is long enough for position={self.position}: the shortest choice is 0 or -1"
            )
        return found


def texts(count: int, seed: str, test: bool) -> list[Text]:
    """So many different random texts, all of the sources that are held out for tests, or none of them."""
    random = Random(seed)
    found: dict[tuple[str, ...], Text] = {}
    while len(found) < count:
        one = draw(random)
        if held_out(one) == test:
            found.setdefault(one.source, one)
    return list(found.values())


def held_out(one: Text) -> bool:
    """Whether a source is kept for tests."""
    return zlib.crc32(" ".join(one.source).encode()) % HELD_OUT == 0


def pair(one: Text, tokens: BothTokenizer) -> Pair:
    """A text, encoded, with what is known about its target.

    Planted are an article's `noun`, and a pronoun's `antecedent` in the source, its `rival`, and in the prefix its
    `antecedent_target`, article and noun, where they stand before the pronoun. The tag `gender` tells whether a
    pronoun's gender can be read on both sides or only in the source.
    """
    source, target = tokens.encode(one.source), tokens.encode(one.target)
    planted: dict[int, dict[str, list[int]]] = {index: {"noun": [noun]} for index, noun in one.nouns.items()}
    facts = {"refers": "none", "gender": "none"}
    about = facts
    if one.pronoun is not None:
        found = one.pronoun
        prefix = len(source) + 1  # behind the start token
        planted[found.target] = {"antecedent": [found.antecedent], "rival": [found.rival]}
        if found.shown:
            planted[found.target]["antecedent_target"] = [prefix + index for index in found.shown]
        about = {"refers": found.refers, "gender": "both sides" if found.shown else "source"}
    pronoun = None if one.pronoun is None else one.pronoun.target
    kinds = (*one.kinds, "end")
    return Pair(
        id=hashlib.sha256(" ".join(one.source).encode()).hexdigest()[:16],
        source=source,
        source_roles=[*[Role.CONTENT] * len(one.source), Role.FINAL],
        source_words=[*range(len(one.source)), -1],
        start=[START],
        target=target,
        target_words=[*range(len(one.target)), -1],
        sure=one.sure,
        possible=one.possible,
        planted=planted,
        foils={index: tokens.encode([word])[0] for index, word in one.foils.items()},
        tags={index: {"kind": kind, **(about if index == pronoun else facts)} for index, kind in enumerate(kinds)},
    )
