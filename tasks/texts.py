"""Text classification on texts given as parameters, for the Python API and for a quick look."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral

from torch import nn

from harness.contracts import Model
from harness.tables import NO_GOLD
from harness.tracing.batch import Example
from tasks.encoded_text import Row, check_classes, encoded


@dataclass(frozen=True)
class Texts:
    """Texts, or pairs of texts, in the order in which they are given.

    Args:
        texts: each a text, or two.
        labels: the class of each text, by name or index, or None where it is unknown; None if all are unknown.
        classes: the names of the model's classes, in its order; empty to leave them unnamed.
        truncate: whether to truncate texts that are too long for the model; otherwise they are an error.
    """

    texts: Sequence[str | Sequence[str]] = ()
    labels: Sequence[str | int | None] | None = None
    classes: Sequence[str] = ()
    truncate: bool = False

    version = "1"
    output = "difference"
    head = "classification"

    def __post_init__(self):
        if isinstance(self.texts, str):
            raise ValueError(f"texts are a list of texts, got the text {self.texts!r}: put it into a list")
        if isinstance(self.texts, Mapping):
            raise ValueError(
                f"texts are a list of texts, got a mapping with the keys {', '.join(map(str, self.texts))}"
            )
        for text in self.texts:
            parts = [text] if isinstance(text, str) or not isinstance(text, Sequence) else list(text)
            if len(parts) not in (1, 2) or not all(isinstance(part, str) for part in parts):
                raise ValueError(f"a text is a string, or a pair of strings, got {text!r}")
        if self.labels is not None and len(self.labels) != len(self.texts):
            raise ValueError(
                f"labels are one for each of the {len(self.texts)} texts, got {len(self.labels)}: "
                "give None for a text whose class is not known"
            )
        self.rows  # noqa: B018  checked at once

    @property
    def rows(self) -> list[Row]:
        """The texts with their classes."""
        golds = [NO_GOLD if label is None else self._class(label) for label in self.labels or [None] * len(self.texts)]
        parts = [(text, None) if isinstance(text, str) else (text[0], text[-1]) for text in self.texts]
        return [Row(text, pair, gold) for (text, pair), gold in zip(parts, golds, strict=True)]

    def _class(self, label: str | int) -> int:
        names = [str(name) for name in self.classes]
        if isinstance(label, str) and names.count(label) > 1:
            raise ValueError(f"the model calls several classes {label!r}: give labels as indices, from 0")
        if isinstance(label, str) and label in names:
            return names.index(label)
        if isinstance(label, Integral) and not isinstance(label, bool):
            label = int(label)
        if isinstance(label, int) and not isinstance(label, bool) and 0 <= label < (len(names) or label + 1):
            return label
        known = f"one of {', '.join(names)}, or an index from 0 to {len(names) - 1}" if names else "an index from 0"
        raise ValueError(f"a label is {known}, got {label!r}")

    @property
    def facts(self) -> Mapping[str, int]:
        """The number of texts, of texts by class and without one, and of repeated texts."""
        rows = self.rows
        names = ["no label" if row.gold == NO_GOLD else self._name(row.gold) for row in rows]
        return {"rows": len(rows), "repeats": len(rows) - len(set(rows)), **Counter(names)}

    def _name(self, index: int) -> str:
        return str(self.classes[index]) if self.classes else f"class {index}"

    @property
    def digest(self) -> str:
        """A hash of the texts and their classes."""
        content = repr((self.version, self.truncate, self.rows))
        return hashlib.sha256(content.encode()).hexdigest()

    def prepare_model(self, module: nn.Module) -> nn.Module:
        """The model, unchanged, after a check of its classes; ValueError where they are not the task's."""
        if self.classes:
            check_classes(module, [str(name) for name in self.classes], "classes")
        return module

    def examples(self, model: Model) -> list[Example]:
        """The texts with the model's special tokens, explained at CLS."""
        return encoded(self.rows, model, self.truncate)
