"""Scores and values of one batch as tidy tables."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.contracts import Model
from harness.statistics.correlation import (
    MINIMUM,
    kendall_by_layer,
    partial_spearman_by_layer,
    spearman_by_layer,
    tied_by_layer,
    top_overlap_by_layer,
)
from harness.tables import EXAMPLES, NO_GOLD, SCORES, STATISTICS
from harness.tracing.batch import Batch, Example, Role, TwoSided
from harness.tracing.run import Trace

SAME = 1e-5  # relative; scores that are nearer than this to the reference's, up to a factor, are the reference's own
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """What one method made of a batch.

    Args:
        kind: `explainer`, `floor` (an explainer that knows nothing about the model) or `reference`.
        values: `[batch, layer, (head,) token]`, of a reference `[batch, token]`; or why it failed.
        halves: the same from either half of the draws, for a method that draws random numbers.
        layerless: whether a single row of scores belongs to no layer.
        saturated: `[batch, layer(, head)]`, the share of tokens at their upper bound, for a method that has one.
        unassigned: `[batch, layer]`, the share of the output that belongs to no token, for a method that knows it.
    """

    name: str
    kind: str
    values: Values | str
    halves: tuple[Values, Values] | None = None
    saturated: Values | None = None
    unassigned: Values | None = None
    layerless: bool = True

    def layered(self) -> Values:
        """`[batch, layer, (head,) token]`."""
        assert not isinstance(self.values, str)
        return self.values if self.values.ndim > 2 else self.values[:, None]


def correlation_rows(batch: Batch, one: Scored, reference: str, values: Values | str, ranks: str) -> pd.DataFrame:
    """One row per example, layer and head, of a method compared with a reference."""
    failure = next((side for side in (one.values, values) if isinstance(side, str)), None)
    if failure is not None or isinstance(values, str):
        return failed(batch, one, failure).assign(reference=reference, rho=np.nan, n_tokens=0, same=False)
    scores = one.layered()
    given = ~np.isnan(values)  # a reference's NaN takes its token out of the ranking
    if one.kind == "reference":
        given &= ~np.isnan(one.layered()[:, 0])
    ranked = batch.ranked.cpu().numpy() & given
    rho = spearman_by_layer(scores, values, ranked, ranks)  # [batch, layer(, head)]
    role = batch.role.cpu().numpy()
    cells = {
        "rho": rho,
        "n_tokens": np.broadcast_to(ranked.sum(axis=1).reshape(-1, *[1] * (rho.ndim - 1)), rho.shape),
        "rho_all": spearman_by_layer(scores, values, (role != Role.PADDING) & given),
        "rho_content": spearman_by_layer(scores, values, (role == Role.CONTENT) & given),
        "partial": partial_spearman_by_layer(scores, values, ranked),
        "tau": kendall_by_layer(scores, values, ranked),
        "top": top_overlap_by_layer(scores, values, ranked),
        "tied": tied_by_layer(scores, ranked),
        "saturated": np.full_like(rho, np.nan) if one.saturated is None else one.saturated,
        "unassigned": np.full_like(rho, np.nan) if one.unassigned is None else one.unassigned,
        "same": _same(scores, values, ranked),
    }
    table = tidy(batch, one, scores, cells)
    return table.assign(reference=reference, status=_status(scores, values, ranked, rho).flatten(), error=None)


def tidy(batch: Batch, one: Scored, scores: Values, cells: Mapping[str, NDArray]) -> pd.DataFrame:
    """Values `[batch, layer(, head)]` as columns, a row for each; layer and head 0 where the method has none."""
    by_head = scores.ndim == 4
    count, layers = scores.shape[:2]
    heads = scores.shape[2] if by_head else 1
    index = np.arange(count * layers * heads)
    names = np.asarray([example.id for example in batch.examples], dtype=object)
    return pd.DataFrame(
        {
            "example": names[index // (layers * heads)],
            "kind": one.kind,
            "explainer": one.name,
            "layer": index // heads % layers + 1 if layers > 1 or by_head or not one.layerless else 0,
            "head": index % heads + 1 if by_head else 0,
            **{name: cell.flatten() for name, cell in cells.items()},
        }
    )


def failed(batch: Batch, one: Scored, failure: str | None) -> pd.DataFrame:
    """One row per example with the error."""
    names = [example.id for example in batch.examples]
    table = pd.DataFrame({"example": names, "layer": 0, "head": 0}).assign(**dict.fromkeys(STATISTICS, np.nan))
    return table.assign(kind=one.kind, explainer=one.name, status="failed", error=failure)


def reliability_rows(batch: Batch, one: Scored, ranks: str) -> pd.DataFrame:
    """A method's two halves compared with each other, layer by layer; the reference is the method itself."""
    assert one.halves is not None
    first, second = (replace(one, kind="reliability", values=half).layered() for half in one.halves)
    shape = first.shape[:-1]
    wide, other = (half.reshape(len(half), -1, half.shape[-1]) for half in (first, second))  # [batch, layer * head, ..]
    ranked = batch.ranked.cpu().numpy()[:, None] & ~np.isnan(wide) & ~np.isnan(other)
    flat, theirs, mask = (side.reshape(-1, side.shape[-1]) for side in (wide, other, ranked))
    rho = spearman_by_layer(flat[:, None], theirs, mask, ranks)
    cells = {"rho": rho.reshape(shape), "n_tokens": mask.sum(axis=1).reshape(shape)}
    table = tidy(batch, replace(one, kind="reliability"), first, cells)
    status = np.where(table["rho"].isna(), "undefined between halves", "ok")
    return table.assign(reference=one.name, status=status, error=None, same=False, **dict.fromkeys(STATISTICS, np.nan))


def _status(scores: Values, values: Values, ranked: NDArray[np.bool_], rho: Values) -> NDArray:
    """Why a correlation is undefined, first reason first; `ok` where it is not."""
    shape = (len(ranked), *[1] * (scores.ndim - 2), ranked.shape[1])
    wide, values = ranked.reshape(shape), values.reshape(shape)

    def constant(side: Values) -> NDArray[np.bool_]:
        low = np.where(wide, side, np.inf).min(axis=-1)
        return np.asarray(low == np.where(wide, side, -np.inf).max(axis=-1))

    def not_finite(side: Values) -> NDArray[np.bool_]:
        return np.asarray((~np.isfinite(side) & wide).any(axis=-1))

    status = np.full(rho.shape, "ok", dtype=object)
    reasons = [
        ("constant reference", constant(values)),
        ("constant scores", constant(scores)),
        ("reference not finite", not_finite(values)),
        ("scores not finite", not_finite(scores)),
        (f"fewer than {MINIMUM} tokens", wide.sum(axis=-1) < MINIMUM),
    ]
    for reason, where in reasons:
        status[np.broadcast_to(where, rho.shape) & np.isnan(rho)] = reason
    return status


def _same(scores: Values, values: Values, ranked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether the explainer's scores are the reference's own up to a positive factor, `[batch, layer(, head)]`."""
    shape = (len(ranked), *[1] * (scores.ndim - 2), ranked.shape[1])
    mask = ranked.reshape(shape)

    def scaled(side: Values) -> Values:
        side = np.where(mask, side, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return side / np.abs(side).max(axis=-1, keepdims=True)

    with np.errstate(invalid="ignore"):
        return np.asarray((np.abs(scaled(scores) - scaled(values.reshape(shape))) <= SAME).all(axis=-1))


def example_table(trace: Trace, model: Model) -> pd.DataFrame:
    """What is needed of each example to redo tables and figures without the model."""
    batch = trace.batch
    probability = trace.probabilities(trace.logits).cpu()
    # How much of a gradient is left when it is summed over hidden dimensions: rounding noise in a pre-LN model
    gradient = trace.gradient.double()
    left = (gradient.sum(dim=-1).abs() / gradient.norm(dim=-1)).cpu()
    columns = defaultdict(list)
    for index, example in enumerate(batch.examples):
        _describe(columns, example, model, batch.ranked[index].tolist())
        columns["predicted"].append(int(trace.predicted[index]))
        columns["logits"].append(trace.logits[index].double().tolist())
        columns["probabilities"].append(probability[index].tolist())
        columns["gradient_sum_over_norm"].append(left[index, : len(example.input_ids)].nanmedian().item())
    return pd.DataFrame(columns)[list(EXAMPLES.columns)]


def untraced_table(batch: Batch, model: Model) -> pd.DataFrame:
    """The same of examples that the model cannot be run on: nothing is predicted."""
    columns = defaultdict(list)
    for index, example in enumerate(batch.examples):
        _describe(columns, example, model, batch.ranked[index].tolist())
        columns["predicted"].append(NO_GOLD)
        columns["logits"].append([])
        columns["probabilities"].append([])
        columns["gradient_sum_over_norm"].append(np.nan)
    return pd.DataFrame(columns)[list(EXAMPLES.columns)]


def _describe(columns: dict[str, list], example: Example, model: Model, ranked: list[bool]) -> None:
    """The columns that do not come from the model's run."""
    n = len(example.input_ids)
    columns["example"].append(example.id)
    columns["cluster"].append(example.cluster or example.id)
    columns["tokens"].append(model.tokens.convert_ids_to_tokens(list(example.input_ids)))
    columns["ranked"].append(ranked[:n])
    columns["position"].append(example.position)
    columns["gold"].append(example.gold)
    columns["planted"].append([{"name": key, "indices": list(value)} for key, value in example.planted.items()])
    columns["referents"].append(list(example.referents))
    columns["points_to"].append([{"class": key, "name": value} for key, value in example.points_to.items()])
    columns["tags"].append([{"name": key, "value": str(value)} for key, value in example.tags.items()])
    sides = example.sides
    columns["source"].append(0 if sides is None else sides.source)
    columns["target_length"].append(0 if sides is None else sides.target)
    columns["words"].append([] if sides is None else list(sides.words))
    columns["next_word"].append(-1 if sides is None else sides.next_word)
    columns["links"].append(None if sides is None else _links(sides))


def _links(sides: TwoSided) -> list[dict[str, int | bool]] | None:
    """The sentence's gold alignment; None where it is not known."""
    if sides.sure is None:
        return None
    pairs = [(pair, sure) for sure in (True, False) for pair in (sides.sure if sure else sides.possible)]
    return [{"source": source, "target": target, "sure": sure} for (source, target), sure in pairs]


def score_table(trace: Trace, scored: Mapping[tuple[str, str], Scored]) -> pd.DataFrame:
    """One row per example, method, layer and head; scores of the example's own tokens."""
    columns = defaultdict(list)
    lengths = trace.batch.length.tolist()
    for (kind, name), one in scored.items():
        if isinstance(one.values, str):
            continue
        layered = one.layered()
        by_head = layered.ndim == 4
        flat = layered.reshape(len(layered), -1, layered.shape[-1])  # [batch, layer * head, token]
        heads = layered.shape[2] if by_head else 1
        for index, example in enumerate(trace.batch.examples):
            for cell in range(flat.shape[1]):
                columns["example"].append(example.id)
                columns["kind"].append(kind)
                columns["method"].append(name)
                in_layer = layered.shape[1] > 1 or by_head or not one.layerless
                columns["layer"].append(cell // heads + 1 if in_layer else 0)
                columns["head"].append(cell % heads + 1 if by_head else 0)
                columns["scores"].append(flat[index, cell, : lengths[index]])
    return pd.DataFrame(columns, columns=list(SCORES.columns))
