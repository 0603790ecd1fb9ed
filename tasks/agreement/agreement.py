"""The agreement task: the words before a verb; is the verb singular or plural?

Two sources of sentences: the grammar in this folder, or Linzen, Dupoux & Goldberg 2016. https://arxiv.org/abs/1611.01368
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from harness import check
from harness.batch import Example, Role
from tasks.agreement.grammar import Grammar
from tasks.agreement.linzen import Linzen
from tasks.agreement.sentence import Sentence
from tasks.agreement.tokenizer import WordTokenizer


@dataclass(frozen=True)
class Agreement:
    """Subject-verb agreement.

    Args:
        path: a file, folder or URL of Linzen et al.'s sentences; None for the grammar.
        grammar: what generates the sentences where there is no path.
        held_out: test sentences held out of Linzen et al.'s natural mix where the data has no test part.
        split_seed: of the splits of Linzen et al.'s sentences.
    """

    path: str | None = None
    grammar: Grammar = field(default_factory=Grammar)
    held_out: int = 3000
    split_seed: int = 42

    version = "1"
    classes = ("singular", "plural")

    def __post_init__(self):
        check.count("held_out", self.held_out)

    @cached_property
    def splits(self) -> Mapping[str, Sequence[Sentence]]:
        """`train`, `validation` and `test`, each in a fixed random order."""
        if self.path is None:
            splits = self.grammar.splits()
        else:
            splits = Linzen(self.path, seed=self.split_seed, test=self.held_out).sentences()
        for name, sentences in splits.items():
            missing = [label for index, label in enumerate(self.classes) if all(s.label != index for s in sentences)]
            if missing:
                raise ValueError(
                    f"the {name} part of {self.path or 'the grammar'} has {len(sentences)} sentences and none with a "
                    f"{' or '.join(missing)} verb; expected both numbers: give more sentences"
                )
        return splits

    @cached_property
    def digest(self) -> str:
        """A hash of all sentences and labels, in order."""
        digest = hashlib.sha256(self.version.encode())
        for name, sentences in self.splits.items():
            digest.update(f"\n{name}".encode())
            for sentence in sentences:
                digest.update(f"\n{sentence.label} {' '.join(sentence.words)}".encode())
        return digest.hexdigest()

    def examples(self, tokens: WordTokenizer) -> list[Example]:
        """The test sentences as `<cls> w_0 ... w_{v-1} <?>`, explained at CLS."""
        return [encoded(sentence, tokens) for sentence in self.splits["test"]]


def encoded(sentence: Sentence, tokens: WordTokenizer) -> Example:
    """One sentence for the model; planted indices move by one, since CLS stands first."""
    ids = tokens.encode(sentence.words)
    text = f"{sentence.label} {' '.join(sentence.words)}"
    planted = {"subject": sentence.subject, "attractors": sentence.attractors}
    return Example(
        id=hashlib.sha256(text.encode()).hexdigest()[:16],
        input_ids=ids,
        roles=[Role.CLS, *[Role.CONTENT] * len(sentence.words), Role.FINAL],
        position=0,
        gold=sentence.label,
        planted={name: [index + 1 for index in indices] for name, indices in planted.items()},
        tags={"attractors": sentence.attractor_count, "construction": sentence.construction},
    )
