"""Copies: a text is its own target, so that the source token that must matter is known at each step."""

import hashlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import nn

from harness import check
from harness.contracts import Model
from harness.tracing.batch import Example
from tasks.model_types import check_sides
from tasks.names import names_of
from tasks.pronouns.lines import numbered
from tasks.sequence_pair import Encoder, TooLongError
from tasks.target_positions import Pair, check_position, examples_of
from tasks.target_word_model import TargetWordModel
from tasks.word_pieces import UnmatchedError


@dataclass(frozen=True)
class Copying:
    """Texts that an encoder-decoder copies. Each token of a text is a word of its own, aligned with itself.

    Args:
        texts: that are copied, in this order.
        path: instead of them, a text file with one a line.
        language: as the tokenizer calls it, where it marks languages.
        position: the one token of each target that is explained, from 0, or from the end where it is negative; None
            for all of them.
        order_seed: of the random order of a file's texts.
    """

    texts: Sequence[str] = ()
    path: str | None = None
    language: str | None = None
    position: int | None = None
    order_seed: int = 0

    version = "1"
    output = "logit_difference"
    head = "seq2seq_lm"
    classes = ("wanted", "rival")
    removal = "ignore"

    def __post_init__(self):
        check.count("order_seed", self.order_seed, low=0)
        check_position(self.position)
        if isinstance(self.texts, str):
            raise ValueError(f"texts are a list of texts, got the text {self.texts!r}: put it into a list")
        if self.texts and self.path is not None:
            raise ValueError(f"texts are given, and path={self.path} names others: set only one")

    @cached_property
    def _texts(self) -> list[str]:
        if self.path is not None:
            file = Path(self.path).expanduser()
            if not file.is_file():
                raise FileNotFoundError(f"{self.path}: expected a file with a text a line, found none: set task.path")
            found = [text for _, text in numbered(file)]
            random.Random(self.order_seed).shuffle(found)
            return found
        if not self.texts:
            raise ValueError("no texts are given: set task.path=<file>, or 'task.texts=[\"CC(=O)O\"]'")
        return list(self.texts)

    @cached_property
    def _left_out(self) -> Counter[str]:
        """Why texts are left out for a model; filled by `examples`."""
        return Counter()

    @property
    def facts(self) -> Mapping[str, int]:
        """The number of texts and of repeats; how many are left out and why, after `examples`."""
        texts = self._texts
        return {"texts": len(texts), "repeats": len(texts) - len(set(texts))} | dict(self._left_out)

    @cached_property
    def digest(self) -> str:
        """A hash of the texts, in their order, and of how they are read."""
        content = (self.version, self.language, self.position, self._texts)
        return hashlib.sha256(repr(content).encode()).hexdigest()

    def examples(self, model: Model) -> list[Example]:
        """An example for each token of each copy; without texts that are too long or have other tokens as a target."""
        encoder = Encoder(model, source_language=self.language, target_language=self.language)
        found: list[Pair] = []
        self._left_out.clear()
        self._left_out.update(other_tokens_as_target=0, unmatched=0, too_long=0)
        for name, text in zip(names_of(self._texts), self._texts, strict=True):
            try:
                pair = encoder.copy(name, text)
            except (UnmatchedError, TooLongError) as error:
                self._left_out[error.reason] += 1
                continue
            if pair is None:
                self._left_out["other_tokens_as_target"] += 1
                continue
            found.append(pair)
        if not found:
            reasons = ", ".join(f"{reason.replace('_', ' ')}: {count}" for reason, count in self._left_out.items())
            raise ValueError(f"no text can be copied with this model ({reasons}): give others, or another model")
        module = model.module
        assert isinstance(module, TargetWordModel)
        examples = examples_of(found, module, self.position)
        if not examples:
            raise ValueError(f"no text has a token {self.position}: set task.position, or null for all of them")
        return examples

    def prepare_model(self, module: nn.Module) -> TargetWordModel:
        """An encoder-decoder as one that chooses between two next tokens of the copy."""
        check_sides(module)
        return TargetWordModel(module)
