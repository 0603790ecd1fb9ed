"""Text classification: one or two texts, a class; any data set of the hub, or a local table."""

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
from harness.tracing.batch import Example, Role
from tasks import table


@dataclass(frozen=True)
class Row:
    """One line of the data."""

    text: str
    pair: str | None
    gold: int


@dataclass(frozen=True)
class Classification:
    """Texts, single or in pairs, and the class of each.

    Args:
        labels: the classes' names, in the order of the model's classes.
        values: what the data write for each of them; None for 0, 1, 2 and so on.
        name: a data set on the Hugging Face hub.
        revision: its commit.
        subset: its configuration, e.g. `sst2` of GLUE.
        path: a local file, CSV, TSV, JSON lines or parquet, or a folder with one for each split; it goes before `name`.
        split: which part of the data.
        text: the column of the text.
        pair: the column of a second text, or None.
        label: the column of the class; None where the data have none, so that only predictions are explained.
        shuffle: whether to put the examples into a random order, so that `limit` draws a fair sample.
        seed: of that order.
        truncate: whether to cut texts that are longer than the model takes; else they are an error.
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
                f"values are what the data write for each of labels={list(self.labels)}, got {list(self.values)}"
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the model's classes."""
        return tuple(map(str, self.labels))

    @cached_property
    def rows(self) -> list[Row]:
        """The chosen part of the data, in its own order."""
        columns = table.columns(self.path, self.name, self.subset, self.split, self.revision)
        source = self.path or self.name
        texts = table.column(columns, self.text, "text", source)
        pairs = table.column(columns, self.pair, "pair", source) if self.pair else [None] * len(texts)
        golds = table.column(columns, self.label, "label", source) if self.label else [None] * len(texts)
        if not texts:
            raise ValueError(f"the {self.split} part of {source} has no rows: expected at least one")
        return [
            Row(str(text), None if pair is None else str(pair), self._class(gold, number))
            for number, (text, pair, gold) in enumerate(zip(texts, pairs, golds, strict=True), start=1)
        ]

    def _class(self, value: Any, number: int) -> int:
        if self.label is None or value in (None, -1, ""):
            return NO_GOLD
        values = list(range(len(self.labels))) if self.values is None else list(self.values)
        for index, known in enumerate(values):
            if value == known or str(value).strip() == str(known):
                return index
        raise ValueError(
            f"row {number} of {self.path or self.name}, column {self.label!r}: expected one of {values}, "
            f"got {value!r}: set task.values to what the data write for each of task.labels"
        )

    @property
    def facts(self) -> Mapping[str, int]:
        """How many rows there are, of each class, without one, and how many stand there more than once."""
        counts = Counter("no label" if row.gold == NO_GOLD else self.classes[row.gold] for row in self.rows)
        return {"rows": len(self.rows), "repeats": len(self.rows) - len(set(self.rows)), **counts}

    @cached_property
    def digest(self) -> str:
        """A hash of the texts, their classes and their order."""
        content = repr((self.version, self.shuffle, self.seed, self.truncate, self.rows))
        return hashlib.sha256(content.encode()).hexdigest()

    def wrapped(self, module: nn.Module) -> nn.Module:
        """The model as it is, after a check that its classes are the task's; ValueError where they are not."""
        config: Any = module.config
        names = [str(config.id2label[index]) for index in range(config.num_labels)]
        if len(names) != len(self.classes):
            raise ValueError(
                f"the model tells {len(names)} classes apart ({', '.join(names)}), the task names {len(self.classes)} "
                f"({', '.join(self.classes)}): set task.labels to the model's, and task.values to what the data write"
            )
        theirs, ours = [name.lower() for name in names], [name.lower() for name in self.classes]
        if sorted(theirs) == sorted(ours) and theirs != ours:
            raise ValueError(
                f"the model's classes stand in the order {', '.join(names)}, the task's in {', '.join(self.classes)}: "
                "set task.labels in the model's order, and task.values to what the data write for each"
            )
        return module

    def examples(self, model: Model) -> list[Example]:
        """The texts with the model's special tokens, explained at CLS."""
        order = np.arange(len(self.rows))
        if self.shuffle:
            order = np.random.default_rng(self.seed).permutation(order)
        seen: Counter[Row] = Counter()
        examples = []
        for row in (self.rows[index] for index in order):
            seen[row] += 1
            examples.append(self._encoded(row, seen[row], model))
        return examples

    def _encoded(self, row: Row, occurrence: int, model: Model) -> Example:
        tokens: Any = model.tokens
        cut = {"truncation": True, "max_length": model.longest} if self.truncate else {}
        encoded = tokens(row.text, row.pair, return_special_tokens_mask=True, verbose=False, **cut)
        ids = encoded["input_ids"]
        types = encoded.get("token_type_ids")
        digest = hashlib.sha256(repr((row.text, row.pair, row.gold)).encode()).hexdigest()[:16]
        roles = special_roles(ids, encoded["special_tokens_mask"], tokens)
        if Role.CLS not in roles:
            raise ValueError(
                "the model's tokenizer puts no CLS token into the text, whose state a classifier would read: "
                "take an encoder such as BERT, DistilBERT, RoBERTa, ELECTRA or DeBERTa"
            )
        return Example(
            id=digest if occurrence == 1 else f"{digest}-{occurrence}",
            input_ids=ids,
            roles=roles,
            position=roles.index(Role.CLS),
            gold=row.gold,
            token_types=types if types and any(types) else None,
        )


def special_roles(ids: Sequence[int], special: Sequence[int], tokens: Any) -> list[Role]:
    """What each token is: the tokenizer's own CLS, the last of its others as the end, any before as separators."""
    roles = [Role.SEPARATOR if added else Role.CONTENT for added in special]
    for index, added in enumerate(special):
        if added and ids[index] == tokens.cls_token_id and Role.CLS not in roles:
            roles[index] = Role.CLS
    ends = [index for index, role in enumerate(roles) if role == Role.SEPARATOR]
    if ends:
        roles[ends[-1]] = Role.FINAL
    return roles
