"""Translations, explained at each token of the target as the model's choice between it and the strongest other."""

import hashlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from harness import check
from harness.contracts import Model
from harness.tracing.batch import Example
from tasks.model_types import check_sides
from tasks.names import names_of
from tasks.parallel_text import SentencePair, from_files, from_table
from tasks.sequence_pair import Encoder, TooLongError
from tasks.target_positions import Pair, check_position, examples_of
from tasks.target_word_model import TargetWordModel
from tasks.word_pieces import UnmatchedError


@dataclass(frozen=True)
class Translation:
    """Parallel text for an encoder-decoder. Words stand between white space, and gold links are between words.

    Args:
        path: a table: CSV, TSV, JSON lines or parquet; None for two text files, or for `pairs`.
        source: a text file with a sentence a line, or the table's column of sentences; None for the column `source`.
        target: the same of the translations; None for the column `target`.
        alignment: a file of gold links in Moses form, a line for each sentence, or the table's column of them; None
            where they are not known.
        counted_from: the number of a sentence's first word in the links: 0 or 1.
        pairs: instead of files, sentences each with its translation.
        prefix: a text that the model expects in front of each source, e.g. `translate English to German:`.
        source_language: as the tokenizer calls it, where it marks languages, e.g. `deu_Latn`.
        target_language: likewise.
        position: the one token of each target that is explained, from 0, or from the end where it is negative; None
            for all of them.
        sentences: at most this many, in their order; None for all.
        order_seed: of the random order of a file's sentences.
    """

    path: str | None = None
    source: str | None = None
    target: str | None = None
    alignment: str | None = None
    counted_from: int = 0
    pairs: Sequence[Sequence[str]] = ()
    prefix: str = ""
    source_language: str | None = None
    target_language: str | None = None
    position: int | None = None
    sentences: int | None = None
    order_seed: int = 0

    version = "1"
    output = "logit_difference"
    head = "seq2seq_lm"
    classes = ("wanted", "rival")
    removal = "ignore"

    def __post_init__(self):
        check.count("order_seed", self.order_seed, low=0)
        check_position(self.position)
        check.choice("counted_from", self.counted_from, (0, 1))
        if self.sentences is not None:
            check.count("sentences", self.sentences)
        for pair in self.pairs:
            if (
                isinstance(pair, str)
                or len(pair) != 2
                or not all(isinstance(text, str) and text.strip() for text in pair)
            ):
                raise ValueError(f"pairs are sentences each with its translation, two texts, got {pair!r}")
        if self.pairs and (self.path, self.source, self.target, self.alignment) != (None,) * 4:
            raise ValueError("pairs are given, and path, source, target or alignment name files: set only one")

    @cached_property
    def _all(self) -> list[SentencePair]:
        """In the order of the file."""
        if self.pairs:
            return [SentencePair(source, target) for source, target in self.pairs]
        if self.path is not None:
            columns = self.source or "source", self.target or "target"
            return from_table(self.path, *columns, self.alignment, self.counted_from)
        if self.source is None or self.target is None:
            raise ValueError(
                "no data are named: set task.source=<file> and task.target=<file>, with a sentence a line, or "
                'task.path=<table>, or \'task.pairs=[["Das stimmt nicht.","That is not true."]]\''
            )
        return from_files(self.source, self.target, self.alignment, self.counted_from)

    @cached_property
    def _chosen(self) -> list[SentencePair]:
        """In the order in which they are explained."""
        chosen = list(self._all)
        if not self.pairs:
            random.Random(self.order_seed).shuffle(chosen)
        return chosen[: self.sentences]

    @cached_property
    def _left_out(self) -> Counter[str]:
        """Why sentences are left out for a model; filled by `examples`."""
        return Counter()

    @property
    def facts(self) -> Mapping[str, int]:
        """Sentence pairs, repeats and pairs with gold links; how many are left out and why, after `examples`."""
        facts = {
            "sentences": len(self._chosen),
            "repeats": len(self._chosen) - len({(pair.source, pair.target) for pair in self._chosen}),
            "with_alignment": sum(pair.links is not None for pair in self._chosen),
        }
        return facts | dict(self._left_out)

    @cached_property
    def digest(self) -> str:
        """A hash of the sentences and links, in their order, and of how they are read."""
        content = [
            (
                one.source,
                one.target,
                None if one.links is None else (sorted(one.links.sure), sorted(one.links.possible)),
            )
            for one in self._chosen
        ]
        settings = (self.version, self.prefix, self.source_language, self.target_language, self.position)
        return hashlib.sha256(repr((settings, content)).encode()).hexdigest()

    def examples(self, model: Model) -> list[Example]:
        """An example for each token of each target; without sentences that cannot be matched or are too long."""
        encoder = Encoder(model, self.prefix, self.source_language, self.target_language)
        found: list[Pair] = []
        self._left_out.clear()
        self._left_out.update(unmatched=0, too_long=0)
        last: ValueError | None = None
        names = names_of(repr((pair.source, pair.target)) for pair in self._chosen)
        for name, pair in zip(names, self._chosen, strict=True):
            try:
                found.append(encoder.pair(name, pair.source, pair.target, pair.links))
            except (UnmatchedError, TooLongError) as error:
                self._left_out[error.reason] += 1
                last = error
        if not found:
            raise ValueError(f"no sentence can be explained with this model: {last}") from last
        module = model.module
        assert isinstance(module, TargetWordModel)
        examples = examples_of(found, module, self.position)
        if not examples:
            raise ValueError(f"no target has a token {self.position}: set task.position, or null for all of them")
        return examples

    def prepare_model(self, module: nn.Module) -> TargetWordModel:
        """An encoder-decoder as one that chooses between two next words of the target."""
        check_sides(module)
        return TargetWordModel(module)
