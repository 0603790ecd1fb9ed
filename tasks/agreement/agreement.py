"""The agreement task: the words before a verb; is the verb singular or plural?

Two sources of sentences: the grammar in this folder, or Linzen, Dupoux & Goldberg 2016. https://arxiv.org/abs/1611.01368
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from harness import check
from harness.contracts import Model
from harness.tracing.batch import Example, Role
from tasks.agreement.grammar import Grammar
from tasks.agreement.linzen import Linzen
from tasks.agreement.sentence import Sentence
from tasks.agreement.tokenizer import WordTokenizer

NUMBERS = ("<singular>", "<plural>")  # what a decoder chooses between: words of its vocabulary that it never reads


@dataclass(frozen=True)
class Agreement:
    """Subject-verb agreement.

    Args:
        path: a file, folder or URL of Linzen et al.'s sentences; None for the grammar.
        grammar: generates the sentences where there is no path.
        test: number of test sentences of Linzen et al., held out of the natural mix (full file: taken from its 89 %).
        validation: number of validation sentences of Linzen et al.'s simple files.
        split_seed: of the splits of Linzen et al.'s sentences.
    """

    path: str | None = None
    grammar: Grammar = field(default_factory=Grammar)
    test: int = 3000
    validation: int = 1000
    split_seed: int = 42

    version = "1"
    output = "difference"
    classes = ("singular", "plural")
    head = None  # only its own model reads these words

    def __post_init__(self):
        for name in ("test", "validation"):
            check.count(name, getattr(self, name))
        check.count("split_seed", self.split_seed, low=0)

    @cached_property
    def splits(self) -> Mapping[str, Sequence[Sentence]]:
        """`train`, `validation` and `test`, each in a fixed random order."""
        splits = self.grammar.splits() if self.path is None else self._linzen.sentences()
        for name, sentences in splits.items():
            missing = [label for index, label in enumerate(self.classes) if all(s.label != index for s in sentences)]
            if missing:
                raise ValueError(
                    f"the {name} part of {self.path or 'the grammar'} has {len(sentences)} sentences and none with a "
                    f"{' or '.join(missing)} verb; expected both numbers: give more sentences"
                )
        return splits

    @cached_property
    def _linzen(self) -> Linzen:
        assert self.path is not None
        return Linzen(self.path, self.split_seed, self.test, self.validation)

    @property
    def facts(self) -> dict[str, int]:
        """Sentences in each split; for published data also how many rows were read and why some are in no split."""
        if self.path is None:
            return {name: getattr(self.grammar, name) for name in ("train", "validation", "test")}
        return self._linzen.counts() | {name: len(sentences) for name, sentences in self.splits.items()}

    @cached_property
    def digest(self) -> str:
        """A hash of the sentences, their labels and their split."""
        content = repr((self.version, Grammar.version, self.grammar)) if self.path is None else self._linzen.digest
        return hashlib.sha256(content.encode()).hexdigest()

    def examples(self, model: Model) -> list[Example]:
        """The test sentences as `<cls> w_0 ... w_{v-1} <?>`, explained at CLS; for a causal model up to the last word.

        It is explained at that word, which predicts the number. Ids, planted tokens and tags are the same.
        """
        tokens = model.tokens
        if not isinstance(tokens, WordTokenizer):
            raise ValueError("the agreement task is served only by its own model: choose model=agreement_transformer")
        # A model from the cache needs no training sentences, which take seconds to write
        sentences = self.grammar.test_split() if self.path is None else self.splits["test"]
        candidates = number_ids(tokens) if model.causal else None
        return [encoded(sentence, tokens, candidates) for sentence in sentences]


def encode(words: Sequence[str], tokens: WordTokenizer, causal: bool) -> list[int]:
    """The ids of a sentence; a causal model predicts after its last word, and needs no place for the verb."""
    ids = tokens.encode(words)
    return ids[:-1] if causal else ids


def number_ids(tokens: WordTokenizer) -> list[int]:
    """The ids of `NUMBERS` in a decoder's vocabulary."""
    return tokens.encode(NUMBERS)[1:-1]


def encoded(sentence: Sentence, tokens: WordTokenizer, candidates: Sequence[int] | None = None) -> Example:
    """One sentence for the model; planted indices move by one, since CLS comes first.

    `candidates` are a causal model's ids of the two numbers, None for an encoder.
    """
    ids = encode(sentence.words, tokens, causal=candidates is not None)
    words = len(sentence.words)
    roles = [Role.CLS, *[Role.CONTENT] * words, Role.FINAL]
    if candidates is not None:
        roles = [Role.CLS, *[Role.CONTENT] * (words - 1), Role.PREDICTS]
    text = f"{sentence.label} {' '.join(sentence.words)}"
    planted = {"subject": sentence.subject, "attractors": sentence.attractors}
    return Example(
        id=hashlib.sha256(text.encode()).hexdigest()[:16],
        input_ids=ids,
        roles=roles,
        position=0 if candidates is None else words,
        gold=sentence.label,
        planted={name: [index + 1 for index in indices] for name, indices in planted.items()},
        tags={"attractors": sentence.attractor_count, "construction": sentence.construction},
        candidates=candidates,
        # No cluster: the grammar draws every phrase and word afresh, so that sentences of one construction are
        # draws from it like any others and no fixed template, and Linzen's are separate sentences.
    )
