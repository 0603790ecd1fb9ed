"""The masked-word task: which of two words stands in the place of the mask, and whom does it mean?

After the pronouns of Abnar & Zuidema 2020, Figure 4. https://arxiv.org/abs/2005.00928
"""

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from harness import check
from harness.contracts import Model
from harness.tracing.batch import Example
from tasks.masked_word_model import MaskedWordModel
from tasks.pronouns import embedded, gap, marked, winobias, winogender
from tasks.pronouns.encoding import encoded
from tasks.pronouns.sentence import MaskedSentence

READERS = ("embedded", "marked", "winobias", "winogender", "gap")


@dataclass(frozen=True)
class MaskedWord:
    """Sentences with a masked word, explained at the mask by two candidates for it.

    Args:
        reader: what the sentences are, one of `READERS`.
        path: the folder of the published files, or for `marked` a text file; `embedded` needs none.
        split: which part of WinoBias (dev, test) or GAP (development, validation, test), or all.
        sentences: sentences given here, in the form of `tasks.pronouns.marked`: these and no others, in this order.
        candidates: the two words; class k is candidate k.
        order_seed: of the random order in which the sentences stand.
    """

    reader: str = "embedded"
    path: str | None = None
    split: str = "all"
    sentences: Sequence[str] | None = None
    candidates: Sequence[str] = ("his", "her")
    order_seed: int = 0

    version = "1"
    output = "logit_difference"
    head = "masked_lm"

    def __post_init__(self):
        check.choice("reader", self.reader, READERS)
        check.count("order_seed", self.order_seed, low=0)
        if isinstance(self.candidates, str) or len(self.candidates) != 2 or len({*self.candidates}) != 2:
            raise ValueError(f"candidates are two different words, e.g. [his, her], got {self.candidates!r}")
        if self.sentences is not None:
            if isinstance(self.sentences, str) or not self.sentences:
                raise ValueError(f"sentences are a list of at least one, got {self.sentences!r}; null for the reader's")
            return
        if self.reader != "marked" and {*self.candidates} != {"his", "her"}:
            raise ValueError(
                f"the {self.reader} sentences ask for his or her, got the candidates {', '.join(self.candidates)}; "
                "give sentences of your own by reader=marked"
            )
        if self.reader == "embedded" and self.path is not None:
            raise ValueError(f"reader=embedded takes no path, got path={self.path}; choose the reader of those files")
        if self.reader != "embedded" and self.path is None:
            raise ValueError(f"reader={self.reader} reads a path, got none; give task.path=<where the sentences lie>")
        if self.reader not in ("winobias", "gap"):
            check.choice("split", self.split, ("all",))

    @property
    def classes(self) -> tuple[str, str]:
        """The candidates."""
        first, second = self.candidates
        return first, second

    @cached_property
    def _read(self) -> tuple[list[MaskedSentence], dict[str, int]]:
        if self.sentences is not None:
            return marked.sentences(self.sentences, self.classes)
        if self.reader == "embedded":
            found, facts = embedded.read(self.classes)
        elif self.reader == "winobias":
            found, facts = winobias.read(str(self.path), self.split, self.classes)
        elif self.reader == "gap":
            found, facts = gap.read(str(self.path), self.split, self.classes)
        else:
            reader = marked if self.reader == "marked" else winogender
            found, facts = reader.read(str(self.path), self.classes)
        if not found:
            raise ValueError(f"{self.path}: expected sentences with a masked word, found none among {facts['read']}")
        random.Random(self.order_seed).shuffle(found)
        return found, facts

    @property
    def facts(self) -> dict[str, int]:
        """How many sentences were read and kept, and why the others were not."""
        return self._read[1]

    @cached_property
    def digest(self) -> str:
        """A hash of the sentences, their candidates and what is known of them, in their order."""
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

    def wrapped(self, module: nn.Module) -> MaskedWordModel:
        """A masked language model as one that chooses between the candidates."""
        return MaskedWordModel(module)


def content(sentence: MaskedSentence) -> tuple:
    """All that a sentence is, in a form whose repr stays the same."""
    return (
        sentence.before,
        sentence.after,
        sentence.candidates,
        sentence.gold,
        sentence.referents,
        sorted(sentence.points_to.items()),
        sorted(sentence.tags.items()),
    )
