"""A Transformer layer taken apart: its linear maps and norms, and the states that a run computes between them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Linear:
    """A linear map, whatever kind of module holds it; one without a bias has a bias of zeros."""

    weight: Tensor  # [out, in]
    bias: Tensor  # [out]

    def __call__(self, state: Tensor) -> Tensor:
        """`[..., in] -> [..., out]`."""
        return functional.linear(state, self.weight, self.bias)

    def without_bias(self, state: Tensor) -> Tensor:
        """`[..., in] -> [..., out]`."""
        return functional.linear(state, self.weight)


@dataclass(frozen=True)
class Norm:
    """LayerNorm, or RMSNorm, which neither centres a state nor has a bias (then zeros)."""

    gain: Tensor  # [hidden]
    bias: Tensor  # [hidden]
    epsilon: float
    centred: bool

    def __call__(self, state: Tensor) -> Tensor:
        """`[..., hidden] -> [..., hidden]`."""
        if self.centred:
            return functional.layer_norm(state, self.gain.shape, self.gain, self.bias, self.epsilon)
        return state / self.scale(state) * self.gain

    def scale(self, state: Tensor) -> Tensor:
        """What a state is divided by: its deviation, or its root mean square, `[..., hidden] -> [..., 1]`."""
        if self.centred:
            return (state.var(dim=-1, correction=0, keepdim=True) + self.epsilon).sqrt()
        return (state.square().mean(dim=-1, keepdim=True) + self.epsilon).sqrt()

    def shares(self, parts: Tensor, total: Tensor) -> Tensor:
        """Each part's share of the output, `[..., part, hidden]`, with the scale of `total`, `[..., hidden]`.

        The shares of parts that add up to the total, and the bias, add up to the norm's output.
        """
        return self._centred(parts) / self.scale(total)[..., None, :] * self.gain

    def _centred(self, state: Tensor) -> Tensor:
        return state - state.mean(dim=-1, keepdim=True) if self.centred else state


@dataclass(frozen=True)
class Layer:
    """One layer; its methods are the layer's own arithmetic, differentiable, without dropout.

    Post-LN: `middle = norm(state + attended)`, `output = norm(middle + feed_forward(middle))`. Pre-LN (`pre_norm`):
    the norms come before attention and feed-forward, and the residual stream bypasses both. In a `parallel` layer the
    feed-forward reads the layer's input instead of `middle`. A decoder layer of an encoder-decoder is two of these, one
    for each of its attentions, and only the second has a feed-forward.

    Rotations, norms of queries and keys, caps and windows change only attention's weights, which every method takes
    from the model's own run, so that a layer does not describe them.

    Attributes:
        heads: of queries; `value_heads` may be fewer, each shared by a group of them.
        query: None, with `key`, where the weights are not the softmax of their product alone.
        attention_norm: before attention, or after it and its residual; None where the layer has none there.
        attention_output_norm: of attention's output, before it joins the residual stream.
        inner: the feed-forward's first map; None, with the three after it, where there is no feed-forward.
        gate: multiplies, after the activation, what the `inner` map gives; None for a plain feed-forward.
        feed_forward_output_norm: of the feed-forward's output, before it joins the residual stream.
        query_divisor: what the product of queries and keys is divided by; None for the root of a head's size.
        crosses: whether keys and values are those of an encoder's output, as it is.
    """

    heads: int
    pre_norm: bool
    value: Linear
    attention_output: Linear
    attention_norm: Norm | None
    inner: Linear | None = None
    activation: Callable[[Tensor], Tensor] | None = None
    outer: Linear | None = None
    feed_forward_norm: Norm | None = None
    query: Linear | None = None
    key: Linear | None = None
    value_heads: int | None = None
    attention_output_norm: Norm | None = None
    gate: Linear | None = None
    feed_forward_output_norm: Norm | None = None
    parallel: bool = False
    crosses: bool = False
    query_divisor: float | None = None

    @property
    def query_and_key(self) -> tuple[Linear, Linear]:
        """The maps whose product's softmax is attention; ValueError where that is not all."""
        if self.query is None or self.key is None:
            raise ValueError("this layer's attention is not the softmax of its queries and keys alone")
        return self.query, self.key

    @property
    def divisor(self) -> float:
        """What the product of queries and keys is divided by."""
        query, _ = self.query_and_key
        return (len(query.weight) // self.heads) ** 0.5 if self.query_divisor is None else self.query_divisor

    @property
    def feed_forward_parts(self) -> tuple[Linear, Callable[[Tensor], Tensor], Linear]:
        """Its first map, its activation and its last map; ValueError where the layer has no feed-forward."""
        if self.inner is None or self.activation is None or self.outer is None:
            raise ValueError("this layer has no feed-forward")
        return self.inner, self.activation, self.outer

    def read(self, state: Tensor) -> Tensor:
        """What queries, keys and values are computed from, `[..., token, hidden]`."""
        return normed(self.attention_norm, state) if self.pre_norm else state

    def by_head(self, state: Tensor) -> Tensor:
        """`[..., token, hidden] -> [..., head, token, size]`."""
        return state.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

    def repeated(self, values: Tensor, dim: int) -> Tensor:
        """Values of the value heads, along `dim`, as those of the heads that share them."""
        groups = self.heads // (self.value_heads or self.heads)
        return values if groups == 1 else values.repeat_interleave(groups, dim=dim)

    def values(self, state: Tensor) -> Tensor:
        """Each head's value vectors with their bias, `[..., token, hidden] -> [..., head, token, size]`."""
        values = self.value(state if self.crosses else self.read(state)).unflatten(
            -1, (self.value_heads or self.heads, -1)
        )
        return self.repeated(values, -2).transpose(-3, -2)

    def attention(self, state: Tensor) -> Tensor:
        """Weights where no token is masked, `[..., token, hidden] -> [..., head, query, key]`."""
        read = self.read(state)
        query, key = (self.by_head(of(read)) for of in self.query_and_key)
        return (query @ key.transpose(-2, -1) / self.divisor).softmax(dim=-1)

    def heads_output(self, state: Tensor, attention: Tensor) -> Tensor:
        """The heads' outputs side by side, before the output projection, `[..., query, hidden]`."""
        return (attention @ self.values(state)).transpose(-3, -2).flatten(-2)

    def attended(self, state: Tensor, mixed: Tensor) -> Tensor:
        """The state plus attention's output `mixed`, after the norm of that output if there is one, `[..., hidden]`."""
        return state + (mixed if self.attention_output_norm is None else self.attention_output_norm(mixed))

    def middle(self, attended: Tensor) -> Tensor:
        """Where the feed-forward's residual branches off, `[..., hidden]`."""
        return attended if self.pre_norm else normed(self.attention_norm, attended)

    def feed_forward(self, middle: Tensor) -> Tensor:
        """The feed-forward's output without its residual, `[..., hidden]`; zeros where there is none."""
        if self.inner is None:
            return torch.zeros_like(middle)
        first, activation, last = self.feed_forward_parts
        read = normed(self.feed_forward_norm, middle) if self.pre_norm else middle
        inner = first(read)
        inner = activation(inner) if self.gate is None else activation(self.gate(read)) * inner
        outer = last(inner)
        return outer if self.feed_forward_output_norm is None else self.feed_forward_output_norm(outer)

    def summed(self, attended: Tensor, state: Tensor) -> Tensor:
        """The middle plus the feed-forward's output, before a post-LN layer's last norm, `[..., hidden]`."""
        middle = self.middle(attended)
        return middle + self.feed_forward(state if self.parallel else middle)

    def rest(self, attended: Tensor, state: Tensor) -> Tensor:
        """From the layer's input and what attention has made of it to its output, token by token, `[..., hidden]`."""
        summed = self.summed(attended, state)
        return summed if self.pre_norm else normed(self.feed_forward_norm, summed)


def normed(norm: Norm | None, state: Tensor) -> Tensor:
    """The norm of a state, or the state where there is none."""
    return state if norm is None else norm(state)


@dataclass(frozen=True)
class LayerRun:
    """What one layer computed in a run, all detached; padding holds anything.

    Attributes:
        state: the layer's input, `[batch, token, hidden]`.
        reads: tokens that this layer changes, `[batch, token]`: not those of an encoder-decoder's other side, whose
            states here mean nothing.
        read: tokens that they read, `[batch, token]`.
        attention: `[batch, head, query, key]`, zero on padding.
        value: value vectors with their bias, `[batch, head, token, size]`.
        mixed: attention's output, bias included, before a norm of its own, `[batch, token, hidden]`.
        attended: state plus attention's output, `[batch, token, hidden]`.
        middle: the same after its LayerNorm where the layer is post-LN.
        summed: middle plus the feed-forward's output, before the last LayerNorm of a post-LN layer.
        output: `[batch, token, hidden]`.
        then: after a decoder's self-attention, the run of the cross-attention of the same layer.
    """

    layer: Layer
    state: Tensor
    reads: Tensor
    read: Tensor
    attention: Tensor
    value: Tensor
    mixed: Tensor
    attended: Tensor
    middle: Tensor
    summed: Tensor
    output: Tensor
    then: "LayerRun | None" = None

    @property
    def whole_output(self) -> Tensor:
        """Of a whole decoder layer, where this is its self-attention alone, `[batch, token, hidden]`."""
        return self.output if self.then is None else self.then.output

    def from_queries(self, states: Tensor) -> Tensor:
        """Cross-attention's output for other states of its queries, `[batch, ..., hidden]`; keys and values stay.

        ValueError where its weights are not the softmax of queries and keys alone.
        """
        layer = self.layer
        query, key = layer.query_and_key
        read = query(layer.read(states))
        queries = read.flatten(1, -2).unflatten(-1, (layer.heads, -1)).transpose(1, 2)  # [batch, head, ..., size]
        keys = layer.by_head(key(self.state))  # [batch, head, key, size]
        weights = (queries @ keys.transpose(-2, -1) / layer.divisor).masked_fill(~self.read[:, None, None], -torch.inf)
        mixed = layer.attention_output((weights.softmax(dim=-1) @ self.value).transpose(1, 2).flatten(2))
        return layer.rest(layer.attended(states, mixed.view_as(states)), states)


@torch.no_grad()
def layer_run(layer: Layer, state: Tensor, attention: Tensor, reads: Tensor, read: Tensor) -> LayerRun:
    """Run a layer from its true input `[batch, token, hidden]` under attention `[batch, head, query, key]`.

    `reads`, `[batch, token]`, are the tokens that it changes, and `read` those that they see.
    """
    value = layer.values(state)
    mixed = layer.attention_output((attention @ value).transpose(1, 2).flatten(2))
    attended = layer.attended(state, mixed)
    middle = layer.middle(attended)
    summed = middle + layer.feed_forward(state if layer.parallel else middle)
    output = summed if layer.pre_norm else normed(layer.feed_forward_norm, summed)
    return LayerRun(layer, state, reads, read, attention, value, mixed, attended, middle, summed, output)
