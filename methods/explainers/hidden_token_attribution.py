"""Hidden token attribution: how a hidden state moves with each input (Brunner et al. 2020, section 5).

https://arxiv.org/abs/1908.04211; of single heads: Pascual et al. 2021, section 3. https://arxiv.org/abs/2004.05916
"""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import vjp

from harness import architecture, check
from harness.layer import Layer
from harness.trace import Trace

OUTPUTS = ("layer", "head")


@dataclass(frozen=True)
class HiddenTokenAttribution:
    """The Frobenius norm of the Jacobian of the explained position's state in each token's input, rows summing to 1.

    The input is what the first layer reads: word and position embeddings together, behind their LayerNorm where the
    model has one there. A row with no derivative at all is NaN.

    Args:
        of: the state: each `layer`'s output, or each `head`'s, before the output projection.
        samples: None for the Jacobian itself; or the number of random directions u, normal, whose mean ||J^T u||^2 is
            an unbiased estimate of the squared norm.
        seed: of the directions, with the example's id: the same in any batch.
    """

    of: str = "layer"
    samples: int | None = None
    seed: int = 0

    def __post_init__(self):
        check.choice("of", self.of, OUTPUTS)
        if self.samples is not None:
            check.count("samples", self.samples)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model whose layers' parts cannot be found."""
        architecture.layer_parts(model)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, (head,) token]
        norms = self.squares(trace).sqrt()
        rows = norms / norms.sum(dim=-1, keepdim=True)
        real = trace.batch.attention_mask.bool()
        return rows.masked_fill(~real.view(len(real), *[1] * (rows.dim() - 2), -1), 0.0)

    def squares(self, trace: Trace) -> Tensor:
        """The squared norms, or their estimates, float64, `[batch, layer, (head,) token]`, zero on padding."""
        layers = [run.layer for run in trace.layer_runs]
        width = trace.batch.input_ids.shape[1]
        rows = []
        for index, n in enumerate(trace.batch.length.tolist()):
            states = trace.hidden[index, :, :n]  # [layer + 1, token, hidden]
            for number, (layer, state) in enumerate(zip(layers, states, strict=False), start=1):
                gap = (layer.attention(state) - trace.attention[index, number - 1, :, :n, :n]).abs().max()
                if gap > 1e-3:
                    raise ValueError(
                        f"attention of layer {number} is not the softmax of its queries and keys alone (off by "
                        f"{gap:.1e}), so that its derivative is not known"
                    )
            with torch.no_grad():
                pulled = self._pulled(layers, states, int(trace.batch.position[index]), trace, index)
            rows.append(nn.functional.pad(pulled, (0, width - n)))
        return torch.stack(rows)

    def _pulled(self, layers: list[Layer], states: Tensor, position: int, trace: Trace, index: int) -> Tensor:
        """One example's, `[layer, (head,) token]`: cotangents of all layers' states pulled down together."""
        chunk = max(1, trace.token_budget // states.shape[1])
        directions = self._directions(trace.batch.examples[index].id, layers, states)
        pending = states.new_empty(states.shape[1], 0, states.shape[2])  # [token, row, hidden], the last layer's first
        for layer, state, start in reversed(list(zip(layers, states, directions, strict=False))):
            if pending.shape[1]:
                pending = _through_layer(layer, state, pending, chunk)
            pieces = [self._start(layer, state, position, rows) for rows in start.flatten(0, 1).split(chunk)]
            pending = torch.cat([pending, *pieces], dim=1)
        squares = pending.square().sum(dim=-1).double().T.unflatten(0, directions.shape[:3])
        squares = squares.flip(0).sum(dim=2) / (self.samples or 1)  # [layer, group, token]
        return squares if self.of == "head" else squares[:, 0]

    def _directions(self, example: str, layers: list[Layer], states: Tensor) -> Tensor:
        """Cotangents at the explained state, `[layer, group, direction, hidden]`; a group is a head, or all of it."""
        groups = layers[0].heads if self.of == "head" else 1
        hidden = states.shape[-1]
        size = hidden // groups
        if self.samples is None:
            block = torch.eye(size, dtype=torch.float64).expand(len(layers), groups, size, size)
        else:
            digest = hashlib.sha256(f"{self.seed}:{example}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)
            shape = (len(layers), groups, self.samples, size)
            block = torch.randn(shape, dtype=torch.float64, generator=generator)
        own = torch.eye(groups, dtype=torch.float64)[:, None, :, None]  # a head's directions are zero in the others
        return (block[:, :, :, None] * own).flatten(-2).to(states)

    def _start(self, layer: Layer, state: Tensor, position: int, rows: Tensor) -> Tensor:
        """From directions `[row, hidden]` at the explained state to the layer's input, `[token, row, hidden]`."""
        query = slice(position, position + 1)
        if self.of == "head":
            return _through_heads(layer, state, rows[None], query)
        return _through_attention(layer, state, _through_rest(layer, _attended(layer, state)[query], rows[None]), query)


def _attended(layer: Layer, state: Tensor) -> Tensor:
    return state + layer.attention_output(layer.heads_output(state, layer.attention(state)))


def _through_layer(layer: Layer, state: Tensor, rows: Tensor, chunk: int) -> Tensor:
    """Cotangents at a layer's output pulled to its input, `[token, row, hidden]`."""
    attended = _attended(layer, state)
    hidden = state.shape[1]
    # With many rows a token's own Jacobian through the feed-forward is cheaper, made once: an eighth of the products
    slopes = _through_rest(layer, attended) if rows.shape[1] > hidden else None  # [token, out, in]
    pulled = []
    for piece in rows.split(chunk, dim=1):
        at_attended = _through_rest(layer, attended, piece) if slopes is None else piece @ slopes
        pulled.append(_through_attention(layer, state, at_attended, slice(None)))
    return torch.cat(pulled, dim=1)


def _through_rest(layer: Layer, attended: Tensor, rows: Tensor | None = None) -> Tensor:
    """Rows `[token, row, hidden]` at `layer.rest(attended)` pulled to `attended`; by default the identity."""
    middle = layer.middle(attended)
    read = layer.feed_forward_norm(middle) if layer.pre_norm else middle
    inner = layer.inner(read)  # [token, inner]
    (slope,) = vjp(layer.activation, inner)[1](torch.ones_like(inner))
    if rows is None:
        rows = torch.eye(attended.shape[1], dtype=attended.dtype, device=attended.device).expand(len(attended), -1, -1)
    if not layer.pre_norm:
        rows = _through_norm(layer.feed_forward_norm, middle + layer.feed_forward(middle), rows)
    pulled = (rows @ layer.outer.weight * slope[:, None]) @ layer.inner.weight
    if layer.pre_norm:
        return rows + _through_norm(layer.feed_forward_norm, middle, pulled)
    return _through_norm(layer.attention_norm, attended, rows + pulled)


def _through_norm(norm: nn.LayerNorm, state: Tensor, rows: Tensor) -> Tensor:
    """Cotangents `[token, row, hidden]` at a LayerNorm's output pulled to its input, `[token, hidden]`."""
    variance, mean = torch.var_mean(state, dim=-1, correction=0, keepdim=True)
    deviation = (variance + norm.eps).sqrt()
    unit = ((state - mean) / deviation)[..., None]  # [token, hidden, 1]
    rows = rows * (norm.weight / deviation)[:, None]
    return rows - rows.mean(dim=-1, keepdim=True) - (rows @ unit) * (unit.mT / state.shape[-1])


def _through_attention(layer: Layer, state: Tensor, rows: Tensor, queries: slice) -> Tensor:
    """Cotangents at state plus attention's output of `queries`, `[query, row, hidden]`, pulled to the state."""
    pulled = _through_heads(layer, state, rows @ layer.attention_output.weight, queries)
    pulled[queries] += rows
    return pulled


def _through_heads(layer: Layer, state: Tensor, rows: Tensor, queries: slice) -> Tensor:
    """Cotangents at the heads' outputs side by side, `[query, row, hidden]`, pulled to all states.

    `[token, row, hidden]`; by hand, since heads first and rows inside make every product a large one.
    """
    read = layer.read(state)
    query, key, value = (layer.by_head(part(read)) for part in (layer.query, layer.key, layer.value))
    query, scale = query[:, queries], query.shape[-1] ** -0.5  # [head, query, size]
    attention = layer.attention(state)[:, queries]  # [head, query, key]
    count, size = rows.shape[1], value.shape[-1]
    rows = rows.unflatten(-1, (layer.heads, -1)).permute(2, 0, 1, 3).contiguous()  # [head, query, row, size]
    to_value = (attention.mT @ rows.flatten(2)).unflatten(2, (count, size))  # [head, key, row, size]
    slope = (rows.flatten(1, 2) @ value.mT).unflatten(1, (-1, count))  # [head, query, row, key]
    weights = attention[:, :, None]
    slope = (slope - (slope * weights).sum(dim=-1, keepdim=True)) * weights * scale
    to_query = (slope.flatten(1, 2) @ key).unflatten(1, (-1, count))  # [head, query, row, size]
    to_key = (slope.permute(0, 3, 2, 1).flatten(1, 2) @ query).unflatten(1, (-1, count))  # [head, key, row, size]

    def side_by_side(parts: Tensor) -> Tensor:  # [head, token, row, size] -> [token, row, hidden]
        return parts.permute(1, 2, 0, 3).flatten(2)

    pulled = side_by_side(to_value) @ layer.value.weight + side_by_side(to_key) @ layer.key.weight
    pulled[queries] += side_by_side(to_query) @ layer.query.weight
    return _through_norm(layer.attention_norm, state, pulled) if layer.pre_norm else pulled
