"""Where a model type keeps what methods read: dotted paths to its layers, their parts, and its head."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

HeadSteps = tuple[str | Callable[[Tensor], Tensor], ...]  # dotted paths, and functions that belong to no module


@dataclass(frozen=True)
class Architecture:
    """Dotted paths: to the layers inside the model's body, to a layer's parts inside it, to heads inside the model.

    Args:
        layers: the list of layers, under the body: `base_model` of a transformers model, or the model itself.
        query: a linear map; `path:0` is the first third of a fused one.
        key: a linear map.
        value: a linear map.
        attention_output: the projection of the heads' outputs.
        attention_norm: the LayerNorm after attention and its residual, or before attention (`pre_norm`).
        inner: the feed-forward's first linear map.
        activation: the feed-forward's activation.
        outer: the feed-forward's second linear map.
        feed_forward_norm: the LayerNorm after the feed-forward and its residual, or before it (`pre_norm`).
        logits: for each kind of head, the steps from the explained token's last state to the logits.
        pre_norm: whether the LayerNorms come before attention and feed-forward.
    """

    layers: str
    query: str
    key: str
    value: str
    attention_output: str
    attention_norm: str
    inner: str
    activation: str
    outer: str
    feed_forward_norm: str
    logits: tuple[HeadSteps, ...]
    pre_norm: bool = False

    def inside(self, name: str) -> "Architecture":
        """The same of a module that holds such a model as its attribute `name`, and its body as `base_model`."""
        logits = tuple(tuple(step if callable(step) else f"{name}.{step}" for step in steps) for steps in self.logits)
        return replace(self, logits=logits)
