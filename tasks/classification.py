"""Text classification: one or two texts and a class, from any data set on the hub or a local table."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch import nn

from harness import check
from harness.contracts import Model
from harness.tables import NO_GOLD
from harness.tracing.batch import Example
from tasks import table
from tasks.encoded_text import Row, check_classes, encoded

MISSING = ("", "-1", "-1.0")  # in place of a class, unless they are named as one


@dataclass(frozen=True)
class Classification:
    """Texts, single or in pairs, and the class of each.

    Args:
        labels: the classes' names, in the order of the model's classes.
        values: the data's own values for these classes; None for 0, 1, 2 and so on.
        name: a data set on the Hugging Face hub.
        revision: its commit.
        subset: its configuration, e.g. `sst2` of GLUE.
        path: a local file (CSV, TSV, JSON lines or parquet), or a folder with one per split; it takes precedence over
            `name`.
        split: which part of the data.
        text: the column of the text.
        pair: the column of a second text, or None.
        label: the column of the class; None where the data have none and only predictions can be explained.
        shuffle: whether to put the examples into random order, so that `limit` draws a fair sample.
        seed: of that order.
        truncate: whether to truncate texts that are too long for the model; otherwise they are an error.
    """

    labels: Sequence[str]
    values: Sequence[Any] | None = None
    name: str | None = None
    revision: str | None = None
    subset: str | None = None
    path: str | None = None
    split: str = "validation"
    text: str = "text"
    pair: str | None = None
    label: str | None = "label"
    shuffle: bool = True
    seed: int = 0
    truncate: bool = False

    version = "1"
    output = "difference"
    head = "classification"

    def __post_init__(self):
        check.count("seed", self.seed, low=0)
        if not self.labels or isinstance(self.labels, str):
            raise ValueError(
                f"labels are the names of the model's classes, in its order, got {self.labels!r}: set "
                "'task.labels=[first,second]'"
            )
        if len(self.labels) < 2 or len({str(name) for name in self.labels}) < len(self.labels):
            raise ValueError(f"labels are the names of two or more classes, all different, got {list(self.labels)}")
        if self.values is not None and len(self.values) != len(self.labels):
            raise ValueError(
                f"values are the data's own values, one for each of labels={list(self.labels)}, got {list(self.values)}"
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the model's classes."""
        return tuple(map(str, self.labels))

    @cached_property
    def rows(self) -> list[Row]:
        """The chosen part of the data, in its own order."""
        needed = (self.text, self.pair, self.label)
        columns = table.columns(self.path, self.name, self.subset, self.split, self.revision, needed)
        source = self.path or self.name
        texts = table.column(columns, self.text, "text", source)
        pairs = table.column(columns, self.pair, "pair", source) if self.pair else [None] * len(texts)
        golds = table.column(columns, self.label, "label", source) if self.label else [None] * len(texts)
        if not texts:
            raise ValueError(f"the {self.split} part of {source} has no rows: expected at least one")
        return [
            Row(
                table.text(text, number, self.text, source),
                None if self.pair is None else table.text(pair, number, self.pair, source),
                self._class(gold, number),
            )
            for number, (text, pair, gold) in enumerate(zip(texts, pairs, golds, strict=True), start=1)
        ]

    def _class(self, value: Any, number: int) -> int:
        if self.label is None:
            return NO_GOLD
        values = list(range(len(self.labels))) if self.values is None else list(self.values)
        for same in (_same_text, _same_number):
            for index, known in enumerate(values):
                if same(value, known):
                    return index
        if value is None or str(value) in MISSING:
            return NO_GOLD
        raise ValueError(
            f"row {number} of {self.path or self.name}, column {self.label!r}: expected one of {values}, "
            f"got {value!r}: set task.values to the data's own values, in the order of task.labels"
        )

    @property
    def facts(self) -> Mapping[str, int]:
        """The number of rows, of rows by class and without one, and of repeated rows."""
        counts = Counter("no label" if row.gold == NO_GOLD else self.classes[row.gold] for row in self.rows)
        return {"rows": len(self.rows), "repeats": len(self.rows) - len(set(self.rows)), **counts}

    @cached_property
    def digest(self) -> str:
        """A hash of the texts, their classes and their order."""
        content = repr((self.version, self.shuffle, self.seed, self.truncate, self.rows))
        return hashlib.sha256(content.encode()).hexdigest()

    def prepare_model(self, module: nn.Module) -> nn.Module:
        """The model, unchanged, after a check that its classes are the task's; ValueError where they are not."""
        check_classes(module, self.classes, "labels", ", and task.values to the data's values for them")
        return module

    def examples(self, model: Model) -> list[Example]:
        """The texts with the model's special tokens, explained at CLS."""
        order = np.arange(len(self.rows))
        if self.shuffle:
            order = np.random.default_rng(self.seed).permutation(order)
        return encoded((self.rows[index] for index in order), model, self.truncate)


def _same_text(value: object, known: object) -> bool:
    """Whether a value of the data is, letter for letter, one that the configuration names."""
    if value is None or known is None:
        return value is known
    names = (str(known).lower(), str(known)) if isinstance(known, bool) else (str(known),)
    return isinstance(value, str) and (value in names or value.strip() in names)


def _same_number(value: object, known: object) -> bool:
    """Whether both are the same number, as 1 and 1.0."""
    if isinstance(known, bool) or not isinstance(known, int | float) or not isinstance(value, str):
        return False
    try:
        return float(value) == known
    except ValueError:
        return False
