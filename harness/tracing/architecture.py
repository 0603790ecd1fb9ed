"""Where a model type keeps what methods read: dotted paths to its layers, their parts, and its head."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

# Dotted paths; functions that belong to no module; and factors
HeadSteps = tuple[str | Callable[[Tensor], Tensor] | float, ...]


@dataclass(frozen=True)
class Architecture:
    """Dotted paths: to the layers inside the model's body, to a layer's parts inside it, to heads inside the model.

    A linear map that is a part of a fused one has its number after the path: `path:0` is the first of three, `path:1/2`
    the second of two, and `path:2/3/head` the third of each head's three. A layer lacks a part
    that is an identity or None.

    Args:
        layers: the list of layers, under the body: `base_model` of a transformers model, or the model itself.
        value: a linear map.
        attention_output: the projection of the heads' outputs.
        attention_norm: the norm after attention and its residual, or before attention (`pre_norm`).
        inner: the feed-forward's first linear map; where there is a gate, the one that is multiplied by it. None, with
            the three after it, for a block of attention without a feed-forward.
        activation: the feed-forward's activation.
        outer: the feed-forward's last linear map.
        feed_forward_norm: the norm after the feed-forward and its residual, or before it (`pre_norm`).
        logits: for each kind of head, the steps from the explained token's last state to the logits.
        pre_norm: whether the norms come before attention and feed-forward.
        query: a linear map, and `key` another, where attention is the softmax of their product over all tokens alone:
            no rotation, no window, no causal mask. None elsewhere.
        key: see `query`.
        attention_output_norm: the norm of attention's output, before it joins the residual stream.
        gate: the linear map before the activation, whose result multiplies `inner`'s.
        feed_forward_output_norm: the norm of the feed-forward's output, before it joins the residual stream.
        parallel: whether the feed-forward reads the layer's input.
        query_divisor: what the product of queries and keys is divided by; None for the root of a head's size.
        added_gain: what is added to a norm's stored gain: 1 where it is stored as its difference from 1.
    """

    layers: str
    value: str
    attention_output: str
    attention_norm: str
    inner: str | None = None
    activation: str | None = None
    outer: str | None = None
    feed_forward_norm: str | None = None
    logits: tuple[HeadSteps, ...] = ()
    pre_norm: bool = False
    query: str | None = None
    key: str | None = None
    attention_output_norm: str | None = None
    gate: str | None = None
    feed_forward_output_norm: str | None = None
    parallel: bool = False
    added_gain: float = 0.0
    query_divisor: float | None = None

    def inside(self, name: str) -> "Architecture":
        """The same of a module that holds such a model as its attribute `name`, and its body as `base_model`."""
        return replace(self, logits=inside(self.logits, name))


@dataclass(frozen=True)
class EncoderDecoder:
    """Where an encoder-decoder keeps its parts: its encoder's layers, and of a decoder layer its two attentions.

    Args:
        encoder: of the encoder's layers.
        self_attention: of the decoder's layers, as far as their self-attention and the norm of it.
        cross_attention: of the same layers, their attention to the source and what follows. Its keys and values are
            computed from the encoder's output as it is.
        logits: as in `Architecture`.
    """

    encoder: Architecture
    self_attention: Architecture
    cross_attention: Architecture
    logits: tuple[HeadSteps, ...]

    def inside(self, name: str) -> "EncoderDecoder":
        """As `Architecture.inside`."""
        return replace(self, logits=inside(self.logits, name))


def inside(logits: tuple[HeadSteps, ...], name: str) -> tuple[HeadSteps, ...]:
    """The steps of heads of a module that is the attribute `name` of another."""
    return tuple(tuple(f"{name}.{step}" if isinstance(step, str) else step for step in steps) for steps in logits)
