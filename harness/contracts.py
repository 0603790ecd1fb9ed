"""The shapes that tasks, models, explainers and references keep to: written down once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn

from harness.batch import Example
from harness.trace import Trace

Progress = Callable[[int, int, str], None]  # done, total, note


class Tokens(Protocol):
    """What a vocabulary or tokenizer is asked for."""

    @property
    def pad_token_id(self) -> int | None: ...

    @property
    def unk_token_id(self) -> int | None: ...

    @property
    def mask_token_id(self) -> int | None: ...

    def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[str]: ...


@dataclass(frozen=True)
class Model:
    """A model ready to be traced: eager attention, eval mode, frozen parameters.

    Args:
        identity: what tells this model from any other: a content key, or name and revision.
        longest: the most tokens that it takes; None for any number.
        facts: what the manifest and the foot of the table say of it, e.g. its accuracy.
    """

    module: nn.Module
    tokens: Tokens
    identity: str
    longest: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


class Task(Protocol):
    """Sentences and what is asked of them."""

    @property
    def version(self) -> str:
        """Raised with every change that moves a number."""
        ...

    @property
    def digest(self) -> str:
        """A hash of the data, wherever it lies."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the manifest says of the data, e.g. how many sentences were left out and why."""
        ...

    @property
    def classes(self) -> Sequence[str]:
        """The names of the model's classes."""
        ...

    @property
    def output(self) -> str:
        """The scalar that is explained where a run does not choose one: see `Trace`."""
        ...

    def examples(self, model: Any) -> list[Example]:
        """The sentences to explain, in a fixed order of which the first n are a sample, encoded for the model."""
        ...


class Source(Protocol):
    """Where a model comes from: a training, a local folder, a hub."""

    def __call__(self, task: Any, progress: Progress) -> Model:
        """Load or train the model for the task."""
        ...


class Explainer(Protocol):
    """Token scores; more means more important.

    A method, explainer or reference, that cannot serve every model has `check_model(module)`, which raises ValueError
    with the reason: a run then leaves it out, and says so before it starts.

    Returns `[batch, layer, token]`, or `[batch, layer, head, token]` for single heads. A method with no layers
    returns `[batch, 1, token]`. Padding may hold anything.
    """

    def __call__(self, trace: Trace) -> Tensor: ...


class Reference(Protocol):
    """The scores that explainers are held against, `[batch, token]`; NaN takes a token out of the ranking."""

    def __call__(self, trace: Trace) -> Tensor: ...
