"""Recall: `k1 v1 k2 v2 ... ; k`, and the value that stood after k is to come next. Which token matters is known."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

from harness import check
from harness.contracts import Model
from harness.tracing.batch import Example, Role
from tasks.agreement.tokenizer import SPECIALS, WordTokenizer

END = ";"
DRAWS = 4  # other sequences of the same length for each


@dataclass(frozen=True)
class Line:
    """One sequence.

    Args:
        keys: all different.
        values: one for each key, all different.
        asked: which pair's key is repeated at the end.
        foil: another pair, whose value is the wrong answer.
        swaps: other sequences of the same form, with none of these keys and values.
    """

    keys: tuple[str, ...]
    values: tuple[str, ...]
    asked: int
    foil: int
    swaps: tuple[tuple[str, ...], ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """The words in order."""
        pairs = zip(self.keys, self.values, strict=True)
        return (*(word for pair in pairs for word in pair), END, self.keys[self.asked])


@dataclass(frozen=True)
class Recall:
    """Sequences of pairs, explained at the repeated key as a choice between its value and another pair's.

    Number of pairs, keys, values and the pair that is asked for are uniform, so that scores that know only a token's
    position rank the value in the middle on average.

    Args:
        fewest: pairs of the shortest sequence.
        most: pairs of the longest.
        vocabulary: number of keys, and of values.
        test: sequences to explain.
        seed: of these sequences.
    """

    fewest: int = 3
    most: int = 8
    vocabulary: int = 16
    test: int = 1000
    seed: int = 0

    version = "1"
    output = "logit_difference"
    removal = "swap"  # the sequences to swap from have none of these keys and values
    head = None  # only its own model reads these words
    classes = ("value", "foil")

    def __post_init__(self):
        for name in ("most", "vocabulary", "test"):
            check.count(name, getattr(self, name))
        check.count("fewest", self.fewest, low=2)
        check.count("seed", self.seed, low=0)
        if not self.fewest <= self.most <= self.vocabulary // 2:
            raise ValueError(
                f"most is from fewest={self.fewest} to half of vocabulary={self.vocabulary}, so that others are left "
                f"to put in the keys' place, got {self.most}"
            )

    @property
    def tokens(self) -> WordTokenizer:
        """All words."""
        return WordTokenizer((*SPECIALS, END, *self.keys, *self.values))

    @property
    def keys(self) -> tuple[str, ...]:
        """The words that are keys."""
        return tuple(f"k{number}" for number in range(1, self.vocabulary + 1))

    @property
    def values(self) -> tuple[str, ...]:
        """The words that are values."""
        return tuple(f"v{number}" for number in range(1, self.vocabulary + 1))

    @cached_property
    def lines(self) -> list[Line]:
        """The sequences to explain, all different."""
        random = Random(f"{self.version} {self.seed}")
        found: dict[tuple[str, ...], Line] = {}
        while len(found) < self.test:
            line = self._line(random)
            found.setdefault(line.words, line)
        return list(found.values())

    def _line(self, random: Random) -> Line:
        pairs = random.randint(self.fewest, self.most)
        keys, values = (random.sample(words, self.vocabulary) for words in (self.keys, self.values))
        asked, foil = random.sample(range(pairs), 2)
        swaps: list[tuple[str, ...]] = []
        for _ in range(DRAWS):
            other_keys, other_values = (random.sample(words[pairs:], pairs) for words in (keys, values))
            swaps.append(Line(tuple(other_keys), tuple(other_values), random.randrange(pairs), 0).words)
        return Line(tuple(keys[:pairs]), tuple(values[:pairs]), asked, foil, tuple(swaps))

    @property
    def facts(self) -> Mapping[str, int]:
        """The number of sequences, and by their number of pairs."""
        counts = Counter(len(line.keys) for line in self.lines)
        return {"sequences": self.test} | {f"{pairs} pairs": counts[pairs] for pairs in sorted(counts)}

    @cached_property
    def digest(self) -> str:
        """A hash of all that the sequences are drawn from."""
        return hashlib.sha256(repr((self.version, DRAWS, self)).encode()).hexdigest()

    def examples(self, model: Model) -> list[Example]:
        """The test sequences, explained at the repeated key."""
        tokens = model.tokens
        if not isinstance(tokens, WordTokenizer) or {END, *self.keys, *self.values} - {*tokens.words}:
            raise ValueError("the recall task is served only by its own model: choose model=recall_decoder")
        return [_example(line, tokens) for line in self.lines]


def _example(line: Line, tokens: WordTokenizer) -> Example:
    ids = encode(line.words, tokens)
    places = {"value": 2 * line.asked + 2, "key": 2 * line.asked + 1, "foil": 2 * line.foil + 2}
    text = " ".join((*line.words, line.values[line.foil]))
    return Example(
        id=hashlib.sha256(text.encode()).hexdigest()[:16],
        input_ids=ids,
        roles=[Role.CLS, *[Role.CONTENT] * (len(ids) - 2), Role.PREDICTS],
        position=len(ids) - 1,
        gold=0,
        planted={name: [place] for name, place in places.items()},
        tags={"pairs": len(line.keys)},
        candidates=[ids[places["value"]], ids[places["foil"]]],
        swaps=[encode(words, tokens) for words in line.swaps],
    )


def encode(words: Sequence[str], tokens: WordTokenizer) -> list[int]:
    """`<cls> k1 v1 ... ; k` as ids."""
    return tokens.encode(words)[:-1]
