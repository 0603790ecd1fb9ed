"""Texts, examples or a task, as a task."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from harness.cli import configuration
from harness.contracts import Model, Task
from harness.tracing.batch import Example

Text: TypeAlias = str | tuple[str, str]  # one text, or a pair
Words: TypeAlias = Sequence[str] | Sequence[Sequence[str]]  # two words for all texts, or two for each
Data: TypeAlias = Text | Task | Sequence[Text] | Sequence[Example]


def as_task(data: Data, model: Model, labels: Sequence[object] | None = None, words: Words | None = None) -> Task:
    """The data as a task whose classes are the model's, or the two `words` that may come next; a task stays as it is.

    For an encoder-decoder the data are pairs of a source and its target, whose every token is explained.

    Raises:
        ValueError: the data are something else, or words are given to a model that predicts none, or the reverse.
    """
    if words is not None and not model.causal:
        raise ValueError("words are those that a causal language model chooses between, and this model is none")
    if isinstance(data, Task):
        return data
    if isinstance(data, Mapping):
        raise ValueError(f"the data are texts, pairs of texts, examples or a task, got a {type(data).__name__}")
    items: list[Any] = [data] if isinstance(data, str) or _is_pair(data) else list(data)
    classes = tuple(map(str, model.classes or ()))
    if items and all(isinstance(item, Example) for item in items):
        return GivenExamples(items, classes)
    if model.two_sided:
        if not items or not all(_is_pair(item) for item in items):
            raise ValueError(
                "an encoder-decoder is explained on a source and its target: give a pair of texts, (source, target), "
                "or a list of pairs"
            )
        if labels is not None:
            raise ValueError("labels are the classes of texts, and an encoder-decoder writes a target: leave them out")
        return translation_task(items)
    if model.causal:
        if words is None:
            raise ValueError("a causal language model predicts the next word: give two, e.g. words=('are', 'is')")
        return configuration.task_or_model("task", "continuation", {"prompts": items, "words": _as_lists(words)})
    return texts_task(items, labels, classes)


def texts_task(texts: Sequence[object], labels: Sequence[object] | None = None, classes: Sequence[str] = ()) -> Task:
    """The task `texts` on texts or pairs of texts."""
    settings = {"texts": list(texts), "labels": None if labels is None else list(labels), "classes": list(classes)}
    return configuration.task_or_model("task", "texts", settings)


def translation_task(pairs: Words, position: int | None = None) -> Task:
    """The task `translation` on pairs of a source and its target, explained at one token of each target or at all."""
    return configuration.task_or_model("task", "translation", {"pairs": _as_lists(pairs), "position": position})


def _as_lists(words: Words) -> list[object]:
    return [word if isinstance(word, str) else list(word) for word in words]


def _is_pair(data: object) -> bool:
    return isinstance(data, tuple) and len(data) == 2 and all(isinstance(text, str) for text in data)


@dataclass(frozen=True)
class GivenExamples:
    """Examples that a task encoded before, as a task."""

    given: Sequence[Example]
    classes: Sequence[str]

    version = "1"
    output = "difference"
    head = None

    @property
    def digest(self) -> str:
        """A hash of the examples' tokens."""
        content = repr([(one.id, tuple(one.input_ids)) for one in self.given])
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def facts(self) -> Mapping[str, object]:
        """The number of examples."""
        return {"examples": len(self.given)}

    def examples(self, model: Model) -> list[Example]:
        """The examples themselves, whatever the model."""
        return list(self.given)
