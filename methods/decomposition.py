"""A layer's output as a sum over the tokens that it mixes.

Attention's output at query i is a sum of one vector per key j, `sum_h a^h_ij f^h(x_j)` with `f^h(x) = v^h(x) W_O^h`,
plus the projection's bias (Kobayashi et al. 2020, equation 3). https://arxiv.org/abs/2004.10102
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from harness.tracing.layer import LayerRun
from harness.tracing.run import Trace

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
    """The layer's output at queries `rows` where one summand is taken away, `[batch, row, key, hidden]`."""
    state = at_rows(run.state, rows)[:, :, None]
    if run.layer.attention_output_norm is None:
        attended = at_rows(run.attended, rows)[:, :, None] - parts
    else:
        attended = run.layer.attended(state, at_rows(run.mixed, rows)[:, :, None] - parts)
    return run.layer.rest(attended, state)


def add_residual(run: LayerRun, rows: Tensor, parts: Tensor) -> Tensor:
    """What the summands write, x_i added where the key is the query itself."""
    parts = written(run, rows, parts)
    own = rows[:, :, None] == torch.arange(parts.shape[2], device=rows.device)  # [batch, row, key]
    return parts + own[..., None] * at_rows(run.state, rows)[:, :, None]


def explained_rows(trace: Trace, measure: Measure) -> Tensor:
    """The explained position's measured row of each layer, float64, `[batch, layer, token]`, zero on padding."""
    rows = trace.position[:, None]
    real = trace.batch.attention_mask.bool()[:, None]  # [batch, 1, token]
    with torch.no_grad():
        measured = [measure(run, rows, summands(run, transformed(run), rows)).double() for run in trace.layer_runs]
    return torch.cat(measured, dim=1).masked_fill(~real, 0.0)


def rolled_out(trace: Trace, measure: Measure, normalise: bool) -> Tensor:
    """The explained position's row of `rolled`, `[batch, layer, token]`."""
    return trace.read_out(torch.stack(list(rolled(trace, measure, normalise)), dim=1))


def rolled(trace: Trace, measure: Measure, normalise: bool) -> Iterator[Tensor]:
    """The product of all layers' maps up to each, `[batch, query, token]`, float64.

    Each map is measured at every query. With `normalise`, its rows are divided by their sum: NaN where that is zero,
    and then for everything mixed from it. No residual is added, as the measure includes it. Queries are processed in
    blocks, so that only a few times `token_budget` hidden states are held at once.
    """
    real = trace.batch.attention_mask.bool()
    pairs = real[:, :, None] & real[:, None, :]  # [batch, query, key]
    batch, token = real.shape
    width = max(1, trace.token_budget // (batch * token))

    def measured(run: LayerRun) -> Tensor:
        with torch.no_grad():
            vectors, chunks = transformed(run), []
            for rows in torch.arange(token, device=real.device).expand(batch, -1).split(width, dim=1):
                seen = int(rows.max()) + 1 if trace.causal else token  # keys that come later are masked
                chunk = measure(run, rows, summands(run, vectors[:, :seen], rows)).double()
                chunks.append(nn.functional.pad(chunk, (0, token - seen)))
        maps = torch.cat(chunks, dim=1).masked_fill(~pairs, 0.0)
        return normalised(maps, pairs) if normalise else maps

    return product(trace, (measured(run) for run in trace.layer_runs))


def product(trace: Trace, maps: Iterable[Tensor]) -> Iterator[Tensor]:
    """The product of maps `[batch, query, key]` from the first up to each."""
    below = torch.diag_embed(trace.batch.attention_mask.double())
    for one in maps:
        below = mixed(one, below)
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
