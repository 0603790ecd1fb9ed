"""The Jacobian of one Transformer layer on one text, factored so that pulling many cotangents through it is cheap."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import vjp

from harness.tracing.layer import Layer, Norm, normed

AT_ONCE = 128  # cotangents per product: fewer are slow, more only take memory


class Heads:
    """The derivative of a layer's head outputs, concatenated before the output projection, w.r.t. the layer's input.

    With weights `a`, values `v` and outputs `o = a v`, a cotangent `u` at head h's output of query i moves the logit of
    key j by `u . a_ij (v_j - o_i)`, a matrix per query: softmax needs no separate pass.

    Args:
        layer: its parts.
        state: its input, `[token, hidden]`; no token is masked.
    """

    def __init__(self, layer: Layer, state: Tensor):
        self.layer, self.state = layer, state
        read = layer.read(state)
        self.query, self.key, self.value = (layer.by_head(of(read)) for of in (*layer.query_and_key, layer.value))
        self.attention = layer.attention(state)  # [head, query, key]
        self.output = self.attention @ self.value  # [head, query, size]
        centred = self.value[:, None] - self.output[:, :, None]  # [head, query, key, size]
        self.to_logit = self.attention[..., None] * self.query.shape[-1] ** -0.5 * centred

    def through_queries(self, queries: slice = slice(None)) -> Tensor:
        """From cotangents at the heads' outputs to the same token's input, through its query, `[query, heads, in]`."""
        weight = _by_head(self.layer, self.layer.query_and_key[0].weight)
        parts = [
            (one.mT @ key).flatten(0, 1) @ to_input
            for one, key, to_input in zip(self.to_logit[:, queries], self.key, weight, strict=True)
        ]  # of each head, [query x size, in]
        return torch.stack([part.unflatten(0, (-1, weight.shape[1])) for part in parts], dim=1).flatten(1, 2)

    def at(self, position: int) -> Tensor:
        """The Jacobian of the heads' outputs of one token, `[token, in, heads]`."""
        layer = self.layer
        size = self.value.shape[-1]
        weights = self.attention[:, position].T.repeat_interleave(size, dim=1)  # [key, heads]
        jacobian = layer.value.weight.T * weights[:, None]
        query = torch.einsum("hs,hsi->ih", self.query[:, position], _by_head(layer, layer.query_and_key[1].weight))
        to_logit = self.to_logit[:, position].transpose(0, 1)  # [key, head, size]
        jacobian.unflatten(-1, (layer.heads, size)).addcmul_(to_logit[:, None], query[:, :, None])
        jacobian[position] += self.through_queries(slice(position, position + 1))[0].T
        if layer.pre_norm:
            through_norm_(layer.attention_norm, self.state, jacobian.mT)
        return jacobian


class Workspace(NamedTuple):
    """Memory that every call of `LayerJacobian.pull` writes into, since fresh pages are slow."""

    heads: Tensor
    mixed: Tensor
    logits: Tensor
    keys: Tensor

    @staticmethod
    def of(like: Tensor, heads: int) -> "Workspace":
        """Buffers for cotangents `[token, hidden, row]` of a layer with this number of heads."""
        n, hidden, rows = like.shape
        width, size = min(rows, AT_ONCE), hidden // heads
        shapes = ((n, hidden, width), (n, 2, heads, size, width), (n * heads, n, width), (heads * n, size, width))
        return Workspace(*(like.new_empty(shape) for shape in shapes))


class LayerJacobian:
    """The derivative of a layer's output w.r.t. its input, without ever building the `(token x hidden)^2` matrix.

    A cotangent at a token's output reaches the token's own input through the residuals and its query: one matrix per
    token. A second matrix takes it to the heads' outputs, from where values and keys carry it to other tokens.
    Building both costs half as much as pulling `hidden` cotangents the usual way; each cotangent then costs a third
    of the usual.

    Args:
        heads: the layer's heads at its input.
    """

    def __init__(self, heads: Heads):
        layer, state = heads.layer, heads.state
        n = len(state)
        attended = state + layer.attention_output(heads.output.transpose(0, 1).flatten(1))
        rest = through_rest(layer, attended)
        self._to_heads = rest @ layer.attention_output.weight  # [token, out, heads]
        queries = heads.through_queries()
        others = torch.cat([layer.value.weight, layer.query_and_key[1].weight]).expand(n, -1, -1)
        if layer.pre_norm:
            queries = through_norm_(layer.attention_norm, state, queries)
            others = through_norm_(layer.attention_norm, state, others.contiguous())
        self._own = rest.baddbmm_(self._to_heads, queries)  # [token, out, in]
        self._others = others  # [token, 2 heads, in]
        self._attention = heads.attention
        self._to_logit = heads.to_logit.transpose(0, 1).flatten(0, 1)  # [query head, key, size]
        self._query = heads.query.mT[:, None].expand(-1, n, -1, -1).flatten(0, 1)  # [head key, size, query]

    def pull(self, rows: Tensor, space: Workspace, out: Tensor) -> None:
        """Cotangents `[token, out, row]` at the layer's output as those at its input, `[token, in, row]`, in `out`."""
        for piece, pulled in zip(rows.split(AT_ONCE, dim=-1), out.split(AT_ONCE, dim=-1), strict=True):
            if piece.shape != space.heads.shape:  # the last few
                space = Workspace.of(piece, len(self._attention))
            self._pull(piece, space, pulled)

    def _pull(self, rows: Tensor, space: Workspace, out: Tensor) -> None:
        n, hidden, count = rows.shape
        number = len(self._attention)
        torch.bmm(self._to_heads.mT, rows, out=space.heads)
        of_heads = space.heads.view(n, number, -1)
        for head, weights in enumerate(self._attention):
            torch.mm(weights.T, of_heads[:, head], out=space.mixed[:, 0, head].view(n, -1))
        torch.bmm(self._to_logit, space.heads.view(n * number, -1, count), out=space.logits)
        torch.bmm(self._query, space.logits.view(n, number * n, count).transpose(0, 1), out=space.keys)
        space.mixed[:, 1] = space.keys.view(number, n, -1, count).transpose(0, 1)
        torch.bmm(self._own.mT, rows, out=out)
        out.baddbmm_(self._others.mT, space.mixed.view(n, 2 * hidden, count))


def _by_head(layer: Layer, weight: Tensor) -> Tensor:
    """A projection's weight `[hidden, in] -> [head, size, in]`."""
    return weight.unflatten(0, (layer.heads, -1))


def through_rest(layer: Layer, attended: Tensor) -> Tensor:
    """The Jacobian of `layer.rest`, token by token, `[token, hidden] -> [token, out, in]`."""
    middle = layer.middle(attended)
    first, activation, last = layer.feed_forward_parts
    inner = first(normed(layer.feed_forward_norm, middle) if layer.pre_norm else middle)
    (slope,) = vjp(activation, inner)[1](torch.ones_like(inner))
    jacobian = attended.new_empty(*attended.shape, attended.shape[-1])
    scaled = torch.empty_like(last.weight)
    for one, its_slope in zip(jacobian, slope, strict=True):  # all queries' scaled weights: four times the result
        torch.mul(last.weight, its_slope, out=scaled)
        torch.mm(scaled, first.weight, out=one)
    if layer.pre_norm:
        through_norm_(layer.feed_forward_norm, middle, jacobian)
        jacobian.diagonal(dim1=1, dim2=2).add_(1)
        return jacobian
    jacobian.diagonal(dim1=1, dim2=2).add_(1)
    _from_norm_(layer.feed_forward_norm, middle + layer.feed_forward(middle), jacobian)
    return through_norm_(layer.attention_norm, attended, jacobian)


def through_norm_(norm: Norm | None, state: Tensor, rows: Tensor) -> Tensor:
    """Cotangents `[token, row, hidden]` at a LayerNorm's output pulled to its input, in place.

    The derivative is `diag(gain) (1 - P)`, with `P` the projection on the unit state and on the vector of ones.
    """
    if norm is None:
        return rows
    gain, plane = _norm_parts(norm, state)
    rows.mul_(gain)
    return rows.baddbmm_(rows @ plane.mT, plane, alpha=-1 / state.shape[-1])


def _from_norm_(norm: Norm | None, state: Tensor, tangents: Tensor) -> None:
    """Tangents `[token, hidden, column]` at a LayerNorm's input pushed to its output, in place."""
    if norm is None:
        return
    gain, plane = _norm_parts(norm, state)
    tangents.baddbmm_(plane.mT, plane @ tangents, alpha=-1 / state.shape[-1])
    tangents.mul_(gain.mT)


def _norm_parts(norm: Norm, state: Tensor) -> tuple[Tensor, Tensor]:
    """The factor of each dimension, `[token, 1, hidden]`, and the two unit vectors: the normalised state, and ones."""
    deviation = norm.scale(state)
    unit = (state - state.mean(dim=-1, keepdim=True)) / deviation
    return (norm.gain / deviation)[:, None], torch.stack([unit, torch.ones_like(unit)], dim=1)
