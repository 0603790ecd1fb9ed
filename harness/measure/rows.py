"""Scores and values of one batch to tidy tables."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from harness.contracts import Model
from harness.statistics.correlation import (
    MINIMUM,
    kendall_by_layer,
    partial_spearman_by_layer,
    spearman_by_layer,
    tied_by_layer,
    top_overlap_by_layer,
)
from harness.tracing.batch import Batch, Role
from harness.tracing.run import Trace

STATISTICS = ("rho_all", "rho_content", "partial", "tau", "top", "tied", "saturated")  # beside rho, of every row
SAME = 1e-5  # relative; scores nearer than this to the reference's, up to one factor, are the reference's own


@dataclass(frozen=True)
class Scored:
    """What one method made of a batch.

    Args:
        kind: `explainer`, `floor` (an explainer that knows nothing) or `reference`.
        values: `[batch, layer, (head,) token]`, of a reference `[batch, token]`; or why it failed.
        halves: the same from either half of the draws, of a method that draws by chance.
        saturated: `[batch, layer(, head)]`, the share of tokens at their upper bound, of a method that has one.
    """

    name: str
    kind: str
    values: Tensor | str
    halves: tuple[Tensor, Tensor] | None = None
    saturated: Tensor | None = None

    def layered(self) -> Tensor:
        """`[batch, layer, (head,) token]`."""
        assert isinstance(self.values, Tensor)
        return self.values if self.values.dim() > 2 else self.values[:, None]


def correlation_rows(batch: Batch, one: Scored, reference: str, values: Tensor | str, ranks: str) -> pd.DataFrame:
    """One row per example, layer and head, of a method held against a reference."""
    failure = next((side for side in (one.values, values) if isinstance(side, str)), None)
    if failure is not None or isinstance(values, str):
        return failed(batch, one, failure).assign(reference=reference, rho=np.nan, n_tokens=0, same=False)
    scores = one.layered()
    given = ~values.isnan()  # a reference's NaN takes its token out of the ranking
    if one.kind == "reference":
        given &= ~one.layered()[:, 0].isnan()
    ranked = batch.ranked.cpu() & given
    rho = spearman_by_layer(scores, values, ranked, ranks)  # [batch, layer(, head)]
    role = batch.role.cpu()
    cells = {
        "rho": rho,
        "n_tokens": ranked.sum(dim=1).view(-1, *[1] * (rho.dim() - 1)).expand(rho.shape),
        "rho_all": spearman_by_layer(scores, values, (role != Role.PADDING) & given),
        "rho_content": spearman_by_layer(scores, values, (role == Role.CONTENT) & given),
        "partial": partial_spearman_by_layer(scores, values, ranked),
        "tau": kendall_by_layer(scores, values, ranked),
        "top": top_overlap_by_layer(scores, values, ranked),
        "tied": tied_by_layer(scores, ranked),
        "saturated": torch.full_like(rho, torch.nan) if one.saturated is None else one.saturated,
        "same": _same(scores, values, ranked),
    }
    table = tidy(batch, one, scores, {name: cell.numpy() for name, cell in cells.items()})
    return table.assign(reference=reference, status=_status(scores, values, ranked, rho).flatten(), error=None)


def tidy(batch: Batch, one: Scored, scores: Tensor, cells: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Values `[batch, layer(, head)]` as columns, a row for each; layer and head 0 where the method has none."""
    by_head = scores.dim() == 4
    count, layers = scores.shape[:2]
    heads = scores.shape[2] if by_head else 1
    index = np.arange(count * layers * heads)
    names = np.asarray([example.id for example in batch.examples], dtype=object)
    return pd.DataFrame(
        {
            "example": names[index // (layers * heads)],
            "kind": one.kind,
            "explainer": one.name,
            "layer": index // heads % layers + 1 if layers > 1 or by_head else 0,
            "head": index % heads + 1 if by_head else 0,
            **{name: cell.flatten() for name, cell in cells.items()},
        }
    )


def failed(batch: Batch, one: Scored, failure: str | None) -> pd.DataFrame:
    """One row per example that says what went wrong."""
    names = [example.id for example in batch.examples]
    table = pd.DataFrame({"example": names, "layer": 0, "head": 0}).assign(**dict.fromkeys(STATISTICS, np.nan))
    return table.assign(kind=one.kind, explainer=one.name, status="failed", error=failure)


def reliability_rows(batch: Batch, one: Scored, ranks: str) -> pd.DataFrame:
    """A method's two halves against each other, layer by layer; the reference is the method itself."""
    assert one.halves is not None
    first, second = (replace(one, kind="reliability", values=half).layered() for half in one.halves)
    shape, wide = first.shape[:-1], first.flatten(1, -2)  # [batch, layer * head, token]
    ranked = (batch.ranked.cpu()[:, None] & ~wide.isnan() & ~second.flatten(1, -2).isnan()).flatten(0, 1)
    rho = spearman_by_layer(wide.flatten(0, 1)[:, None], second.flatten(0, -2), ranked, ranks)
    cells = {"rho": rho.view(shape), "n_tokens": ranked.sum(dim=1).view(shape)}
    table = tidy(batch, replace(one, kind="reliability"), first, {name: cell.numpy() for name, cell in cells.items()})
    status = np.where(table["rho"].isna(), "undefined between halves", "ok")
    return table.assign(reference=one.name, status=status, error=None, same=False, **dict.fromkeys(STATISTICS, np.nan))


def _status(scores: Tensor, values: Tensor, ranked: Tensor, rho: Tensor) -> np.ndarray:
    """Why a correlation is undefined, first reason first; `ok` where it is not."""
    shape = [len(ranked), *[1] * (scores.dim() - 2), ranked.shape[1]]
    wide, values = ranked.view(shape), values.view(shape)

    def constant(side: Tensor) -> Tensor:
        low = side.masked_fill(~wide, torch.inf).amin(dim=-1)
        return low == side.masked_fill(~wide, -torch.inf).amax(dim=-1)

    def unfinite(side: Tensor) -> Tensor:
        return (~torch.isfinite(side) & wide).any(dim=-1)

    status = np.full(rho.shape, "ok", dtype=object)
    reasons = [
        ("constant reference", constant(values)),
        ("constant scores", constant(scores)),
        ("reference not finite", unfinite(values)),
        ("scores not finite", unfinite(scores)),
        (f"fewer than {MINIMUM} tokens", wide.sum(dim=-1) < MINIMUM),
    ]
    for reason, where in reasons:
        status[(where.expand(rho.shape) & rho.isnan()).numpy()] = reason
    return status


def _same(scores: Tensor, values: Tensor, ranked: Tensor) -> Tensor:
    """Whether the explainer's scores are the reference's own up to a positive factor, `[batch, layer(, head)]`."""
    shape = [len(ranked), *[1] * (scores.dim() - 2), ranked.shape[1]]
    ranked, values = ranked.view(shape), values.view(shape)

    def scaled(side: Tensor) -> Tensor:
        side = side.masked_fill(~ranked, 0.0)
        return side / side.abs().amax(dim=-1, keepdim=True)

    return ((scaled(scores) - scaled(values)).abs() <= SAME).all(dim=-1)


def example_table(trace: Trace, model: Model) -> pd.DataFrame:
    """What is needed of each example to redo tables and pictures without the model."""
    batch = trace.batch
    probability = trace.logits.double().softmax(dim=-1).cpu()
    # How much of a gradient is left when it is summed over hidden dimensions: rounding noise in a pre-LN model
    gradient = trace.gradient.double()
    left = (gradient.sum(dim=-1).abs() / gradient.norm(dim=-1)).cpu()
    columns = defaultdict(list)
    for index, example in enumerate(batch.examples):
        n = len(example.input_ids)
        columns["example"].append(example.id)
        columns["cluster"].append(example.cluster or example.id)
        columns["tokens"].append(model.tokens.convert_ids_to_tokens(list(example.input_ids)))
        columns["ranked"].append(batch.ranked[index, :n].tolist())
        columns["position"].append(example.position)
        columns["gold"].append(example.gold)
        columns["predicted"].append(int(trace.predicted[index]))
        columns["logits"].append(trace.logits[index].double().tolist())
        columns["probabilities"].append(probability[index].tolist())
        columns["gradient_sum_over_norm"].append(left[index, :n].nanmedian().item())
        columns["planted"].append([{"name": key, "indices": list(value)} for key, value in example.planted.items()])
        columns["points_to"].append([{"class": key, "name": value} for key, value in example.points_to.items()])
        columns["tags"].append([{"name": key, "value": str(value)} for key, value in example.tags.items()])
    return pd.DataFrame(columns)


def score_table(trace: Trace, scored: Mapping[tuple[str, str], Scored]) -> pd.DataFrame:
    """One row per example, method, layer and head; scores of the example's own tokens."""
    columns = defaultdict(list)
    lengths = trace.batch.length.tolist()
    for (kind, name), one in scored.items():
        if isinstance(one.values, str):
            continue
        layered = one.layered()
        by_head = layered.dim() == 4
        flat = layered.flatten(1, -2).numpy()  # [batch, layer * head, token]
        heads = layered.shape[2] if by_head else 1
        for index, example in enumerate(trace.batch.examples):
            for cell in range(flat.shape[1]):
                columns["example"].append(example.id)
                columns["kind"].append(kind)
                columns["method"].append(name)
                columns["layer"].append(cell // heads + 1 if layered.shape[1] > 1 or by_head else 0)
                columns["head"].append(cell % heads + 1 if by_head else 0)
                columns["scores"].append(flat[index, cell, : lengths[index]])
    return pd.DataFrame(columns)
