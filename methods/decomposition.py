"""A layer's output as a sum over the tokens that it mixes.

Attention's output at query i is a sum of one vector per key j, `sum_h a^h_ij f^h(x_j)` with `f^h(x) = v^h(x) W_O^h`,
plus the projection's bias (Kobayashi et al. 2020, equation 3). https://arxiv.org/abs/2004.10102
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from harness.tracing.layer import LayerRun
from harness.tracing.run import Trace
from harness.tracing.steps import by_layer

# A run, queries [batch, row] and their summands [batch, row, key, hidden] -> [batch, row, key]
Measure = Callable[[LayerRun, Tensor, Tensor], Tensor]


def summands(run: LayerRun, transformed: Tensor, rows: Tensor) -> Tensor:
    """Each key's summand of attention's output at queries `rows`, `[batch, row]` -> `[batch, row, key, hidden]`.

    `transformed` is `f^h(x_j)`, `[batch, key, head, hidden]`, of all keys or the first few. The parts and the bias of
    the output projection add up to the attention's output, `LayerRun.mixed`.
    """
    weights = at_rows(run.attention.transpose(1, 2), rows)[..., : transformed.shape[1]]  # [batch, row, head, key]
    return (weights.permute(0, 3, 1, 2) @ transformed).transpose(1, 2)


def transformed(run: LayerRun) -> Tensor:
    """`f^h(x_j)`, `[batch, key, head, hidden]`: the value vector with its bias, through the head's output projection.

    Kobayashi et al. 2020, equation 4.
    """
    projection = run.layer.attention_output.weight.unflatten(1, (run.layer.heads, -1))  # [hidden, head, size]
    return torch.einsum("bhje,dhe->bjhd", run.value, projection)


def written(run: LayerRun, rows: Tensor, parts: Tensor) -> Tensor:
    """What the summands write to the residual stream: their shares of a norm of attention's output, if there is one."""
    norm = run.layer.attention_output_norm
    return parts if norm is None else norm.shares(parts, at_rows(run.mixed, rows))


def without(run: LayerRun, rows: Tensor, parts: Tensor) -> Tensor:
    """The layer's output at queries `rows` where one summand is taken away, `[batch, row, key, hidden]`.

    After a decoder's self-attention, the cross-attention that belongs to the same layer reads what has changed.
    """
    state = at_rows(run.state, rows)[:, :, None]
    if run.layer.attention_output_norm is None:
        attended = at_rows(run.attended, rows)[:, :, None] - parts
    else:
        attended = run.layer.attended(state, at_rows(run.mixed, rows)[:, :, None] - parts)
    output = run.layer.rest(attended, state)
    return output if run.then is None else run.then.from_queries(output)


def add_residual(run: LayerRun, rows: Tensor, parts: Tensor) -> Tensor:
    """What the summands write, x_i added where the key is the query itself."""
    parts = written(run, rows, parts)
    own = rows[:, :, None] == torch.arange(parts.shape[2], device=rows.device)  # [batch, row, key]
    return parts + own[..., None] * at_rows(run.state, rows)[:, :, None]


def explained_rows(trace: Trace, measure: Measure, normalise: bool = False) -> Tensor:
    """The explained position's measured row of each layer, float64, `[batch, layer, token]`, zero on padding.

    In an encoder-decoder the source's scores are those of the layer's cross-attention, and the prefix's those of its
    self-attention. With `normalise`, a layer's scores are divided by their sum.
    """
    rows = trace.position[:, None]
    real = trace.batch.attention_mask.bool()[:, None]  # [batch, 1, token]
    measured: list[Tensor] = []
    with torch.no_grad():
        for run, step in zip(trace.layer_runs, trace.steps, strict=True):
            if step.layer is None:  # the explained position does not read there
                measured.append(torch.zeros_like(real[:, 0], dtype=torch.float64))
                continue
            row = measure(run, rows, summands(run, transformed(run), rows)).double()  # [batch, 1, token]
            measured.append(row.masked_fill(~real, 0.0)[:, 0])
    layers = by_layer(measured, trace.steps, trace.batch.side)
    return normalised(layers, real) if normalise else layers


def rolled_out(
    trace: Trace, measure: Measure, normalise: bool, encoder: bool = True, whole_layers: bool = False
) -> Tensor:
    """The explained position's row of `rolled` at the end of each layer, `[batch, layer, token]`."""
    return trace.read_out(trace.ends(rolled(trace, measure, normalise, encoder, whole_layers)))


def rolled(
    trace: Trace, measure: Measure, normalise: bool, encoder: bool = True, whole_layers: bool = False
) -> Iterator[Tensor]:
    """The product of all steps' maps up to each, `[batch, query, token]`, float64.

    Each map is measured at every query. With `normalise`, its rows are divided by their sum: NaN where that is zero,
    and then for everything mixed from it. No residual is added, as the measure includes it. Queries are processed in
    blocks, so that only a few times `token_budget` hidden states are held at once. Without `encoder`, each state of
    an encoder-decoder's encoder counts as its own token. With `whole_layers`, a decoder layer's two attentions make one
    map, for a measure that says the same of both: what becomes of the layer's output.
    """
    real = trace.batch.attention_mask.bool()
    pairs = real[:, :, None] & real[:, None, :]  # [batch, query, key]
    batch, token = real.shape
    width = max(1, trace.token_budget // (batch * token))

    def measured(run: LayerRun) -> Tensor:
        with torch.no_grad():
            vectors, chunks = transformed(run), []
            first, last = _reading(run)
            for rows in torch.arange(first, last, device=real.device).expand(batch, -1).split(width, dim=1):
                seen = int(rows.max()) + 1 if trace.causal else token  # keys that come later are masked
                chunk = measure(run, rows, summands(run, vectors[:, :seen], rows)).double()
                chunks.append(nn.functional.pad(chunk, (0, token - seen)))
        maps = torch.cat(chunks, dim=1)
        return nn.functional.pad(maps, (0, 0, first, token - last)).masked_fill(~pairs, 0.0)

    def maps() -> Iterator[Tensor | None]:
        before: Tensor | None = None
        for run, step in zip(trace.layer_runs, trace.steps, strict=True):
            if step.layer is None and not encoder:
                yield None
                continue
            one = measured(run)
            if whole_layers and not step.ends:
                before = one
                yield None
                continue
            one, before = one if before is None else one + before, None
            yield normalised(one, pairs) if normalise else one

    return product(trace, maps())


def _reading(run: LayerRun) -> tuple[int, int]:
    """The first token that a layer changes in any example, and the one after the last."""
    places = run.reads.any(dim=0).nonzero()[:, 0]
    return int(places[0]), int(places[-1]) + 1


def product(trace: Trace, maps: Iterable[Tensor | None]) -> Iterator[Tensor]:
    """The product of each step's map, `[batch, query, key]`, from the first up to each; None leaves a step out.

    Tokens that do not read in a step stay what they are.
    """
    below = torch.diag_embed(trace.batch.attention_mask.double())
    for number, one in enumerate(maps):
        if one is not None:
            above = mixed(one, below)
            below = above if trace.sides is None else torch.where(trace.reads[:, number, :, None], above, below)
        yield below


def mixed(maps: Tensor, below: Tensor) -> Tensor:
    """`[batch, query, key]` times `[batch, key, token]`; an undefined row affects only queries that give it weight."""
    lost = below.isnan().any(dim=-1)  # [batch, key]
    reached = ((maps != 0) & lost[:, None]).any(dim=-1, keepdim=True)
    return (maps @ below.nan_to_num(0.0)).masked_fill(reached, torch.nan)


def normalised(rows: Tensor, real: Tensor) -> Tensor:
    """Rows divided by their sum, `[..., token]`: NaN where it is zero, zero where not `real`."""
    return (rows / rows.sum(dim=-1, keepdim=True)).masked_fill(~real, 0.0)


def at_rows(states: Tensor, rows: Tensor) -> Tensor:
    """`[batch, token, ...]` at queries `[batch, row]`: `[batch, row, ...]`."""
    return states[torch.arange(len(rows), device=rows.device)[:, None], rows]
