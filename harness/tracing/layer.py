"""A Transformer layer taken apart: its linear maps, and the states that a run computes between them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Linear:
    """A linear map, whatever kind of module holds it."""

    weight: Tensor  # [out, in]
    bias: Tensor  # [out]

    def __call__(self, state: Tensor) -> Tensor:
        """`[..., in] -> [..., out]`."""
        return functional.linear(state, self.weight, self.bias)

    def without_bias(self, state: Tensor) -> Tensor:
        """`[..., in] -> [..., out]`."""
        return functional.linear(state, self.weight)


@dataclass(frozen=True)
class Layer:
    """One encoder layer; its methods are the layer's own arithmetic, differentiable, without dropout.

    Post-LN: `middle = norm(state + attended)`, `output = norm(middle + feed_forward(middle))`. Pre-LN (`pre_norm`):
    the LayerNorms come before attention and feed-forward, and the residual stream bypasses both.
    """

    heads: int
    pre_norm: bool
    query: Linear
    key: Linear
    value: Linear
    attention_output: Linear
    attention_norm: nn.LayerNorm
    inner: Linear
    activation: Callable[[Tensor], Tensor]
    outer: Linear
    feed_forward_norm: nn.LayerNorm

    def read(self, state: Tensor) -> Tensor:
        """What queries, keys and values are computed from, `[..., token, hidden]`."""
        return self.attention_norm(state) if self.pre_norm else state

    def by_head(self, state: Tensor) -> Tensor:
        """`[..., token, hidden] -> [..., head, token, size]`."""
        return state.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

    def attention(self, state: Tensor) -> Tensor:
        """Weights where no token is masked, `[..., token, hidden] -> [..., head, query, key]`."""
        read = self.read(state)
        query, key = self.by_head(self.query(read)), self.by_head(self.key(read))
        return (query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5).softmax(dim=-1)

    def heads_output(self, state: Tensor, attention: Tensor) -> Tensor:
        """The heads' outputs side by side, before the output projection, `[..., query, hidden]`."""
        mixed = attention @ self.by_head(self.value(self.read(state)))  # [..., head, query, size]
        return mixed.transpose(-3, -2).flatten(-2)

    def rest(self, attended: Tensor) -> Tensor:
        """From the state plus attention's output to the layer's output, token by token, `[..., hidden]`."""
        middle = self.middle(attended)
        summed = middle + self.feed_forward(middle)
        return summed if self.pre_norm else self.feed_forward_norm(summed)

    def middle(self, attended: Tensor) -> Tensor:
        """Where the feed-forward's residual branches off, `[..., hidden]`."""
        return attended if self.pre_norm else self.attention_norm(attended)

    def feed_forward(self, middle: Tensor) -> Tensor:
        """The feed-forward's output without its residual, `[..., hidden]`."""
        inner = self.inner(self.feed_forward_norm(middle) if self.pre_norm else middle)
        return self.outer(self.activation(inner))


@dataclass(frozen=True)
class LayerRun:
    """What one layer computed in a run, all detached; padding holds anything.

    Attributes:
        state: the layer's input, `[batch, token, hidden]`.
        attention: `[batch, head, query, key]`, zero on padding.
        value: value vectors with their bias, `[batch, head, token, size]`.
        attended: state plus attention's output, bias included, `[batch, token, hidden]`.
        middle: the same after its LayerNorm where the layer is post-LN.
        summed: middle plus the feed-forward's output, before the last LayerNorm of a post-LN layer.
        output: `[batch, token, hidden]`.
    """

    layer: Layer
    state: Tensor
    attention: Tensor
    value: Tensor
    attended: Tensor
    middle: Tensor
    summed: Tensor
    output: Tensor


@torch.no_grad()
def layer_run(layer: Layer, state: Tensor, attention: Tensor) -> LayerRun:
    """Run a layer from its true input `[batch, token, hidden]` under attention `[batch, head, query, key]`."""
    value = layer.by_head(layer.value(layer.read(state)))
    attended = state + layer.attention_output((attention @ value).transpose(1, 2).flatten(2))
    middle = layer.middle(attended)
    summed = middle + layer.feed_forward(middle)
    output = summed if layer.pre_norm else layer.feed_forward_norm(summed)
    return LayerRun(layer, state, attention, value, attended, middle, summed, output)
