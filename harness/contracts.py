"""What a task, a model, its source and a method declare, and the capabilities that they may declare besides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor, nn

    from harness.tracing.architecture import Architecture, EncoderDecoder
    from harness.tracing.batch import Example
    from harness.tracing.run import Trace

Progress = Callable[[int, int, str], None]  # done, total, note


class Tokens(Protocol):
    """What a vocabulary or tokenizer must offer."""

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
        module: called as transformers models are. A model type that Assay does not know declares where it keeps its
            layers in its attribute `architecture`.
        tokens: its tokenizer.
        identity: distinguishes this model from any other: a content key, or name and revision.
        longest: the maximum number of tokens; None for no limit.
        classes: the names of its classes, if it has any.
        facts: what the manifest and the notes under a table say about it, e.g. its accuracy.
    """

    module: nn.Module
    tokens: Tokens
    identity: str
    longest: int | None = None
    classes: Sequence[str] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def architecture(self) -> Architecture | EncoderDecoder:
        """Where it keeps its layers; ValueError for a model type that is not known."""
        from harness.tracing.architectures import architecture_of  # brings torch

        return architecture_of(self.module)

    @property
    def causal(self) -> bool:
        """Whether each token sees only itself and earlier ones, as the module declares in its attribute `causal`."""
        return bool(getattr(self.module, "causal", False))

    @property
    def two_sided(self) -> bool:
        """Whether it is an encoder-decoder, with source and prefix on one axis, as the module declares in `steps`."""
        return getattr(self.module, "steps", None) is not None

    @property
    def blank_ids(self) -> Mapping[str, int | None]:
        """The ids that can replace a removed token, None where the vocabulary has none."""
        tokens = self.tokens
        return {"unk": tokens.unk_token_id, "mask": tokens.mask_token_id, "pad": tokens.pad_token_id}


@runtime_checkable
class Task(Protocol):
    """Sentences, and which output of the model is explained. This is everything a task must offer."""

    @property
    def version(self) -> str:
        """Increased with every change that moves a number."""
        ...

    @property
    def digest(self) -> str:
        """A hash of the data, independent of where they are stored."""
        ...

    @property
    def facts(self) -> Mapping[str, object]:
        """What the manifest says about the data, e.g. how many sentences were left out and why."""
        ...

    @property
    def classes(self) -> Sequence[str]:
        """The names of the classes, in the order of the model's logits."""
        ...

    @property
    def output(self) -> str:
        """The scalar that is explained unless a run chooses another: see `Trace`."""
        ...

    @property
    def head(self) -> str | None:
        """The head that a checkpoint needs, one of `HEADS`; None for a task that only its own model can serve."""
        ...

    def examples(self, model: Model) -> list[Example]:
        """The sentences to explain, encoded for the model, in a fixed order whose first n are a fair sample."""
        ...


HEADS = ("classification", "masked_lm", "causal_lm", "seq2seq_lm")


class Source(Protocol):
    """Where a model comes from: a training, a local folder, a hub."""

    def __call__(self, task: Any, progress: Progress) -> Model:
        """Load or train the model for the task; ValueError or OSError, with a remedy, where it cannot."""
        ...


class Explainer(Protocol):
    """Token scores; a higher score means a more important token.

    Returns `[batch, layer, token]`, or `[batch, layer, head, token]` for single heads. A method without layers
    returns `[batch, 1, token]`. Padding may hold anything.
    """

    def __call__(self, trace: Trace, /) -> Tensor: ...


class Reference(Protocol):
    """The scores that explainers are compared with, `[batch, token]`; NaN takes a token out of the ranking."""

    def __call__(self, trace: Trace, /) -> Tensor: ...


class Metric(Protocol):
    """A value of scores without a reference, `[batch, layer, token] -> [batch, layer]`, NaN if undefined.

    Scores of tokens that are not ranked may be anything.
    """

    @property
    def higher_is_better(self) -> bool: ...

    def __call__(self, trace: Trace, scores: Tensor, /) -> Tensor: ...


# Capabilities: each is optional, and tested by isinstance. No method inherits from them.


@runtime_checkable
class ChecksModel(Protocol):
    """A method that cannot serve every model. A run leaves it out, and says so before it starts."""

    def check_model(self, model: nn.Module, /) -> None:
        """Raise ValueError, with the reason, for a model that it cannot serve."""
        ...


@runtime_checkable
class Floor(Protocol):
    """An explainer that knows nothing about what the model computes, and so a point of comparison for the others."""

    floor: bool


@runtime_checkable
class Layerless(Protocol):
    """An explainer whose one row of scores belongs to no layer; a model of one layer does not tell it from others."""

    @property
    def layerless(self) -> bool: ...


@runtime_checkable
class SplitsHalves(Protocol):
    """A method that draws random numbers, and can score from either half of its draws."""

    def halves(self, trace: Trace, /) -> tuple[Tensor, Tensor] | None:
        """Two tensors of the scores' own shape, whose agreement is their split-half reliability; None without draws."""
        ...


@runtime_checkable
class HasUpperBound(Protocol):
    """An explainer whose scores cannot exceed a bound, such as flow, and tie there."""

    def saturated(self, trace: Trace, /) -> Tensor:
        """The share of ranked tokens at their upper bound, `[batch, layer(, head)]`."""
        ...


@runtime_checkable
class LeavesUnassigned(Protocol):
    """An explainer whose scores are parts of the output, of which some belong to no token."""

    def unassigned(self, trace: Trace, /) -> Tensor:
        """Their share: the size of what belongs to no token, over it and the sizes of all scores, `[batch, layer]`."""
        ...


@runtime_checkable
class AsksExplainer(Protocol):
    """A metric that has to explain again: it is called with the explainer as a third argument."""

    asks_explainer: bool


@runtime_checkable
class HasChance(Protocol):
    """A metric whose value for equal scores is what chance gives: a run prints it as a line of its own."""

    chance: bool


@runtime_checkable
class Reduces(Protocol):
    """A method with one number per hidden dimension, which it reduces to one per token."""

    @property
    def reduction(self) -> str | None:
        """How, e.g. `l2`; None where a method that it wraps does not reduce."""
        ...


@runtime_checkable
class Wraps(Protocol):
    """A method that runs another explainer, `of`, on something modified."""

    @property
    def of(self) -> Explainer | None: ...


@runtime_checkable
class ReadsFiles(Protocol):
    """A method whose scores come from files: their content is among what a resumed run must share."""

    @property
    def files(self) -> Sequence[Path]: ...


@runtime_checkable
class ChoosesRemoval(Protocol):
    """A task that knows how a token is best removed from its texts, e.g. because it gives a counterfactual."""

    @property
    def removal(self) -> str:
        """One of `REMOVALS`, or `task` for what the kind of model suggests."""
        ...


@runtime_checkable
class PreparesModel(Protocol):
    """A task that checks a checkpoint, or wraps it in another module."""

    def prepare_model(self, module: nn.Module, /) -> nn.Module:
        """The module that is traced; ValueError, with a remedy, for one that cannot serve."""
        ...
