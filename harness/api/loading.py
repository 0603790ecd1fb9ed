"""Models from the hub, a folder, or memory."""

from pathlib import Path
from typing import Any, TypeAlias

from harness.api.data import texts_task
from harness.cli import configuration
from harness.contracts import Model, Task
from harness.measure import processor

InMemory: TypeAlias = tuple[Any, Any]  # a transformers model and its tokenizer
Loadable: TypeAlias = Model | str | Path | InMemory


def load(source: str | Path | InMemory, task: str | Task | None = None) -> Model:
    """A model, ready to be explained.

    Args:
        source: the name of a checkpoint on the Hugging Face hub, a local folder, the name of a file in conf/model, or
            a transformers model together with its tokenizer.
        task: the task that it is to serve, or its name; None for text classification, or, where the checkpoint is a
            causal language model, for the next word, or, where it is an encoder-decoder, for translation.

    Raises:
        ValueError: the checkpoint cannot serve the task.
        OSError: it cannot be found or downloaded.

    Example:
        >>> model = harness.load(SST2)  # a folder
        >>> model.classes
        ('NEGATIVE', 'POSITIVE')
    """
    served = configuration.task_or_model("task", task) if isinstance(task, str) else task
    if isinstance(source, tuple):
        chosen = configuration.task_or_model("model", "pretrained")
        return chosen.of(*source, served or _suited(chosen.saved_head([type(source[0]).__name__])))
    if str(source) in configuration.choices("model"):
        chosen = configuration.task_or_model("model", str(source))
    else:
        setting = "path" if Path(source).expanduser().is_dir() else "name"
        chosen = configuration.task_or_model("model", "pretrained", {setting: str(source)})
    with processor.settings(None):
        served = served or _suited(getattr(chosen, "suited_head", None))
        return chosen(served, lambda _done, _total, _note: None)


def _suited(head: str | None) -> Task:
    """The task for texts of one's own that a head serves."""
    named = {"causal_lm": "continuation", "seq2seq_lm": "translation"}.get(head or "")
    return texts_task([]) if named is None else configuration.task_or_model("task", named)


def loaded(model: Loadable, task: Task | None = None) -> Model:
    """The model itself, or what `load` makes of it."""
    return model if isinstance(model, Model) else load(model, task)


def device_of(model: Model) -> str:
    """Where the model's parameters lie."""
    return next((str(parameter.device) for parameter in model.module.parameters()), "cpu")


def dtype_of(model: Model) -> str:
    """The type of the model's parameters, e.g. `float32`."""
    return next((str(one.dtype) for one in model.module.parameters()), "torch.float32").removeprefix("torch.")
