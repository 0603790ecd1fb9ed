"""The shapes that tasks, models, explainers and references keep to: written down once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn

from harness.tracing.batch import Example
from harness.tracing.run import Trace

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

    @property
    def blank_ids(self) -> Mapping[str, int | None]:
        """The ids that can stand for a removed token, None where the vocabulary has none."""
        tokens = self.tokens
        return {"unk": tokens.unk_token_id, "mask": tokens.mask_token_id, "pad": tokens.pad_token_id}


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

    A method that knows nothing of what the model does, against which others are read, says so by a class attribute
    `floor = True`. Flow has `saturated(trace)`, `[batch, layer]`: the share of ranked tokens at their upper bound.

    Returns `[batch, layer, token]`, or `[batch, layer, head, token]` for single heads. A method with no layers
    returns `[batch, 1, token]`. Padding may hold anything.
    """

    def __call__(self, trace: Trace) -> Tensor: ...


class Metric(Protocol):
    """What an explainer's scores are worth by themselves, `[batch, layer, token] -> [batch, layer]`; NaN is undefined.

    Scores of tokens that are not ranked may be anything. A metric that has to explain anew has the class attribute
    `asks_explainer = True` and is called with the explainer as a third argument.
    """

    @property
    def higher_is_better(self) -> bool: ...

    def __call__(self, trace: Trace, scores: Tensor, /) -> Tensor: ...


class Reference(Protocol):
    """The scores that explainers are held against, `[batch, token]`; NaN takes a token out of the ranking.

    A method that draws by chance, explainer or reference, has `halves(trace)`: its scores from either half of the
    draws, two tensors of the scores' own shape, whose agreement is the scores' split-half reliability.
    """

    def __call__(self, trace: Trace) -> Tensor: ...
