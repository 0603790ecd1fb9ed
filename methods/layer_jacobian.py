"""The Jacobian of one Transformer layer on one text, in factors through which many cotangents pass at little cost."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import vjp

from harness.layer import Layer

AT_ONCE = 128  # cotangents in one product: fewer make it slow, more only take memory


class Heads:
    """The derivative of a layer's heads' outputs, side by side before the output projection, in the layer's input.

    With weights `a`, values `v` and outputs `o = a v`, a cotangent `u` at head h's output of query i moves the logit of
    key j by `u . a_ij (v_j - o_i)`, a matrix per query: softmax needs no pass of its own.

    Args:
        layer: its parts.
        state: its input, `[token, hidden]`; no token is masked.
    """

    def __init__(self, layer: Layer, state: Tensor):
        self.layer, self.state = layer, state
        read = layer.read(state)
        self.query, self.key, self.value = (layer.by_head(of(read)) for of in (layer.query, layer.key, layer.value))
        self.attention = layer.attention(state)  # [head, query, key]
        centred = self.value[:, None] - (self.attention @ self.value)[:, :, None]
        scale = self.query.shape[-1] ** -0.5
        self.to_logit = self.attention[..., None] * centred * scale  # [head, query, key, size]
        self.to_query = self.to_logit.mT @ self.key[:, None]  # [head, query, size, size]

    def through_queries(self) -> Tensor:
        """From cotangents at the heads' outputs to the same token's input, by its query, `[token, heads, in]`."""
        return (self.to_query.transpose(0, 1) @ by_head(self.layer, self.layer.query.weight)).flatten(1, 2)

    def at(self, position: int) -> Tensor:
        """The Jacobian of the heads' outputs of one token, `[token, in, heads]`."""
        layer = self.layer
        size = self.value.shape[-1]
        weights = self.attention[:, position].T.repeat_interleave(size, dim=1)  # [key, heads]
        by_value = layer.value.weight.T * weights[:, None]
        query = torch.einsum("hs,hsi->hi", self.query[:, position], by_head(layer, layer.key.weight))
        by_key = torch.einsum("hks,hi->kihs", self.to_logit[:, position], query).flatten(2)
        jacobian = by_value + by_key
        jacobian[position] += self.through_queries()[position].T
        if layer.pre_norm:
            jacobian = through_norm(layer.attention_norm, self.state, jacobian.mT).mT.contiguous()
        return jacobian


class Workspace(NamedTuple):
    """Memory that `LayerJacobian.pull` writes into, for every call the same: fresh pages cost as much as the sums."""

    heads: Tensor
    mixed: Tensor
    logits: Tensor
    keys: Tensor

    @staticmethod
    def of(like: Tensor, heads: int) -> "Workspace":
        """For cotangents `[token, hidden, row]` of a layer with so many heads."""
        n, hidden, rows = like.shape
        width, size = min(rows, AT_ONCE), hidden // heads
        shapes = ((n, hidden, width), (n, 2, heads, size, width), (n * heads, n, width), (heads * n, size, width))
        return Workspace(*(like.new_empty(shape) for shape in shapes))


class LayerJacobian:
    """The derivative of a layer's output in its input, without ever making the `(token x hidden)^2` matrix.

    A cotangent at a token's output reaches its own input by the residuals and its query: one matrix per token, `own`.
    It reaches the heads' outputs by another, `heads`, from where values and keys carry it to other tokens.
    These are made once, for about as much work as `hidden` cotangents pulled the usual way; each cotangent then costs
    a third of it.

    Args:
        layer: its parts.
        state: its input, `[token, hidden]`; no token is masked.
    """

    def __init__(self, layer: Layer, state: Tensor):
        self._heads = Heads(layer, state)
        n = len(state)
        attended = state + layer.attention_output(layer.heads_output(state, self._heads.attention))
        rest = through_rest(layer, attended)
        self._to_heads = rest @ layer.attention_output.weight  # [token, out, heads]
        queries = self._heads.through_queries()
        others = torch.cat([layer.value.weight, layer.key.weight]).expand(n, -1, -1)
        if layer.pre_norm:
            queries = through_norm(layer.attention_norm, state, queries)
            others = through_norm(layer.attention_norm, state, others)
        self._own = rest.baddbmm_(self._to_heads, queries)  # [token, out, in]
        self._others = others  # [token, 2 heads, in]
        self._turned = self._heads.to_logit.transpose(0, 1).flatten(0, 1)  # [query head, key, size]
        self._query = self._heads.query.mT[:, None].expand(-1, n, -1, -1).flatten(0, 1)  # [head key, size, query]

    def pull(self, rows: Tensor, space: Workspace) -> Tensor:
        """Cotangents `[token, out, row]` at the layer's output as those at its input, `[token, in, row]`."""
        pulled = torch.empty_like(rows)
        for piece, out in zip(rows.split(AT_ONCE, dim=-1), pulled.split(AT_ONCE, dim=-1), strict=True):
            if piece.shape[-1] != space.heads.shape[-1]:
                space = Workspace.of(piece, self._heads.layer.heads)
            self._pull(piece, space, out)
        return pulled

    def _pull(self, rows: Tensor, space: Workspace, out: Tensor) -> None:
        n, hidden, count = rows.shape
        number = self._heads.layer.heads
        torch.bmm(self._to_heads.mT, rows, out=space.heads)
        by_head = space.heads.view(n, number, -1)
        for head, weights in enumerate(self._heads.attention):
            torch.mm(weights.T, by_head[:, head], out=space.mixed[:, 0, head].view(n, -1))
        torch.bmm(self._turned, space.heads.view(n * number, -1, count), out=space.logits)
        torch.bmm(self._query, space.logits.view(n, number * n, count).transpose(0, 1), out=space.keys)
        space.mixed[:, 1] = space.keys.view(number, n, -1, count).transpose(0, 1)
        torch.bmm(self._own.mT, rows, out=out)
        out.baddbmm_(self._others.mT, space.mixed.view(n, 2 * hidden, count))


def by_head(layer: Layer, weight: Tensor) -> Tensor:
    """A projection's weight `[hidden, in] -> [head, size, in]`."""
    return weight.unflatten(0, (layer.heads, -1))


def through_rest(layer: Layer, attended: Tensor) -> Tensor:
    """The Jacobian of `layer.rest`, token by token, `[token, hidden] -> [token, out, in]`."""
    middle = layer.middle(attended)
    inner = layer.inner(layer.feed_forward_norm(middle) if layer.pre_norm else middle)
    (slope,) = vjp(layer.activation, inner)[1](torch.ones_like(inner))
    # one token at a time: the scaled weight of all would be four times the result
    jacobian = torch.stack([(layer.outer.weight * one) @ layer.inner.weight for one in slope])
    if layer.pre_norm:
        jacobian = through_norm(layer.feed_forward_norm, middle, jacobian)
        jacobian.diagonal(dim1=1, dim2=2).add_(1)
        return jacobian
    jacobian.diagonal(dim1=1, dim2=2).add_(1)
    # of a LayerNorm's Jacobian, both sides are alike but for the weight: it stands on the left here
    summed = middle + layer.feed_forward(middle)
    gain, unit = _norm_parts(layer.feed_forward_norm, summed)
    jacobian = jacobian - jacobian.mean(dim=1, keepdim=True) - unit.mT * (unit @ jacobian / summed.shape[-1])
    return through_norm(layer.attention_norm, attended, jacobian.mul_(gain.mT))


def through_norm(norm: nn.LayerNorm, state: Tensor, rows: Tensor) -> Tensor:
    """Cotangents `[token, row, hidden]` at a LayerNorm's output pulled to its input, `[token, hidden]`."""
    gain, unit = _norm_parts(norm, state)
    rows = rows * gain
    return rows - rows.mean(dim=-1, keepdim=True) - (rows @ unit.mT) * (unit / state.shape[-1])


def _norm_parts(norm: nn.LayerNorm, state: Tensor) -> tuple[Tensor, Tensor]:
    """What multiplies each dimension, and the state with mean 0 and variance 1, `[token, 1, hidden]` each."""
    variance, mean = torch.var_mean(state, dim=-1, correction=0, keepdim=True)
    deviation = (variance + norm.eps).sqrt()
    return (norm.weight / deviation)[:, None], ((state - mean) / deviation)[:, None]
