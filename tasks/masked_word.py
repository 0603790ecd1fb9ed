"""The masked-word task: which of two words belongs at the mask, and whom does it refer to?

After the pronouns of Abnar & Zuidema 2020, Figure 4. https://arxiv.org/abs/2005.00928
"""

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property

from torch import nn

from harness import check
from harness.contracts import Model
from harness.tracing.batch import Example
from tasks.pronouns import marked
from tasks.pronouns.embedded import Embedded
from tasks.pronouns.encoding import encoded
from tasks.pronouns.sentence import MaskedSentence, Reader
from tasks.word_choice_model import WordChoiceModel


@dataclass(frozen=True)
class MaskedWord:
    """Sentences with a masked word, explained at the mask as a choice between two candidates.

    Args:
        reader: where the sentences come from; None with `sentences`.
        path: for a reader of files, their location; None for the reader's default.
        split: for a reader of published splits, which one; None for the reader's default.
        sentences: sentences given directly, in the form of `tasks.pronouns.marked`: only these, in this order.
        candidates: the two words; class k is candidate k.
        order_seed: of the random order of the sentences.
    """

    reader: Reader = field(default_factory=Embedded)
    path: str | None = None
    split: str | None = None
    sentences: Sequence[str] | None = None
    candidates: Sequence[str] = ("his", "her")
    order_seed: int = 0

    version = "1"
    output = "logit_difference"
    head = "masked_lm"

    def __post_init__(self):
        check.count("order_seed", self.order_seed, low=0)
        if isinstance(self.candidates, str) or len(self.candidates) != 2 or len({*self.candidates}) != 2:
            raise ValueError(f"candidates are two different words, e.g. [his, her], got {self.candidates!r}")
        if self.sentences is not None:
            if isinstance(self.sentences, str) or not self.sentences:
                raise ValueError(f"sentences are a list of at least one, got {self.sentences!r}; null for the reader's")
            return
        reader = self._reader
        if reader.his_or_her and {*self.candidates} != {"his", "her"}:
            raise ValueError(
                f"the sentences of {type(reader).__name__} ask for his or her, got the candidates "
                f"{', '.join(self.candidates)}: give sentences of your own with task=marked"
            )

    @property
    def _reader(self) -> Reader:
        """The reader, with this task's path and split."""
        known = {one.name for one in fields(self.reader)}  # pyright: ignore[reportArgumentType]
        given = {"path": self.path, "split": self.split}
        given = {name: value for name, value in given.items() if value is not None}
        for name in given:
            if name not in known:
                raise ValueError(
                    f"the sentences of {type(self.reader).__name__} have no {name}, got {name}={given[name]}: choose "
                    "the task of those files, as assay list tasks shows"
                )
        reader = replace(self.reader, **given)  # pyright: ignore[reportType, reportArgumentType]
        if "path" in known and getattr(reader, "path", None) is None:
            raise ValueError(
                f"{type(reader).__name__} reads files and was given no path: set task.path=<where they lie>"
            )
        return reader

    @property
    def classes(self) -> tuple[str, str]:
        """The candidates."""
        first, second = self.candidates
        return first, second

    @cached_property
    def _read(self) -> tuple[list[MaskedSentence], dict[str, int]]:
        if self.sentences is not None:
            return marked.sentences(self.sentences, self.classes)
        found, facts = self._reader.read(self.classes)
        if not found:
            raise ValueError(f"{self._reader}: expected sentences with a masked word, found none among {facts['read']}")
        random.Random(self.order_seed).shuffle(found)
        return found, facts

    @property
    def facts(self) -> dict[str, int]:
        """Number of sentences read and kept, and why the others were not."""
        return self._read[1]

    @cached_property
    def digest(self) -> str:
        """A hash of the sentences, their candidates and what is known about them, in their order."""
        return hashlib.sha256(repr((self.version, [content(one) for one in self._read[0]])).encode()).hexdigest()

    def examples(self, model: Model) -> list[Example]:
        """The sentences, explained at the mask."""
        seen: Counter[str] = Counter()
        examples: list[Example] = []
        for sentence in self._read[0]:
            name = hashlib.sha256(repr(content(sentence)).encode()).hexdigest()[:16]
            seen[name] += 1
            examples.append(encoded(sentence, model.tokens, name if seen[name] == 1 else f"{name}-{seen[name]}"))
        return examples

    def prepare_model(self, module: nn.Module) -> WordChoiceModel:
        """A masked language model as one that chooses between the candidates."""
        return WordChoiceModel(module)


def content(sentence: MaskedSentence) -> tuple:
    """Everything about a sentence, in a form with a stable repr."""
    return (
        sentence.before,
        sentence.after,
        sentence.candidates,
        sentence.gold,
        sentence.referents,
        sorted(sentence.points_to.items()),
        sorted(sentence.tags.items()),
    )
