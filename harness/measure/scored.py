"""One method on one trace: its scores or values, or the error that takes their place."""

import warnings

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.contracts import (
    AsksExplainer,
    Explainer,
    Floor,
    HasUpperBound,
    Layerless,
    LeavesUnassigned,
    Metric,
    Reference,
    SplitsHalves,
)
from harness.measure.rows import Scored, failed, tidy
from harness.tracing.meter import Meter
from harness.tracing.notices import Notice
from harness.tracing.run import Trace


def scored(name: str, method: Explainer | Reference, kind: str, trace: Trace, smallest: bool, meter: Meter) -> Scored:
    """The scores of an `explainer` or a `reference`; a method that raises an error gives that error.

    torch.OutOfMemoryError, unless this is the `smallest` batch there can be.
    """
    try:
        with meter.of(kind, name, alone=True):
            values = _array(_checked(method(trace), kind, trace, name))
        halves = None
        with meter.of("phase", "reliability"):
            if isinstance(method, SplitsHalves):
                drawn = method.halves(trace)
                if drawn is not None:
                    first, second = (_array(_checked(half, kind, trace, name)) for half in drawn)
                    halves = first, second
            saturated = (
                _share("saturated", method.saturated(trace), values) if isinstance(method, HasUpperBound) else None
            )
            unassigned = (
                _share("unassigned", method.unassigned(trace), values) if isinstance(method, LeavesUnassigned) else None
            )
    except Exception as error:
        if isinstance(error, torch.OutOfMemoryError) and not smallest:
            raise
        return Scored(name, row_kind(kind, method), f"{type(error).__name__}: {error}")
    layerless = trace.layers > 1 or kind == "reference" or (isinstance(method, Layerless) and method.layerless)
    return Scored(name, row_kind(kind, method), values, halves, saturated, unassigned, layerless)


def row_kind(kind: str, method: Explainer | Reference) -> str:
    """What rows call a method: `explainer`, `floor` or `reference`."""
    return "floor" if kind == "explainer" and isinstance(method, Floor) and method.floor else kind


def _share(name: str, share: Tensor, values: NDArray) -> NDArray:
    """A share of each row of scores."""
    found = _array(share)
    if found.shape != values.shape[:-1]:
        raise ValueError(f"{name} has shape {found.shape}, expected {values.shape[:-1]}")
    return found


def _checked(scores: Tensor, kind: str, trace: Trace, name: str) -> Tensor:
    batch, token = trace.batch.input_ids.shape
    layers = trace.layers
    shapes: list[tuple[int, ...]] = [(batch, token)]
    if kind == "explainer":
        shapes = [(batch, 1, token), (batch, layers, token)]
        if trace.lacks is None:
            shapes.append((batch, layers, trace.attention.shape[2], token))
    if tuple(scores.shape) not in shapes:
        expected = " or ".join(map(str, shapes))
        raise ValueError(f"the {kind} returned scores of shape {tuple(scores.shape)}, expected {expected}")
    if scores.dtype.is_complex or scores.dtype == torch.bool:
        raise ValueError(f"the {kind} returned scores of type {scores.dtype}, expected real numbers")
    if scores.device != trace.logits.device:
        _notice(f"the {kind} {name} returns scores on {scores.device}, where the model is on {trace.logits.device}")
    if scores.dtype.is_floating_point and scores.dtype.itemsize < trace.logits.dtype.itemsize:
        _notice(
            f"the {kind} {name} returns {scores.dtype}, coarser than the model's {trace.logits.dtype}: scores may tie"
        )
    return scores.detach()


def _notice(text: str) -> None:
    warnings.warn(text, Notice, stacklevel=3)


def _array(values: Tensor) -> NDArray[np.float64]:
    return values.double().cpu().numpy()


def metric_table(
    trace: Trace, one: Scored, explainer: Explainer, name: str, metric: Metric, smallest: bool
) -> pd.DataFrame:
    """A metric's value for an explainer's scores, a row per example, layer and head; errors as in `scored`."""
    if isinstance(one.values, str):
        table = failed(trace.batch, one, one.values).assign(value=np.nan)
    else:
        scores = one.layered()
        flat = torch.from_numpy(scores.reshape(len(scores), -1, scores.shape[-1]))  # [batch, layer * head, token]
        arguments = (explainer,) if isinstance(metric, AsksExplainer) and metric.asks_explainer else ()
        try:
            value = _array(metric(trace, flat.to(trace.logits.device), *arguments))
            if value.shape != flat.shape[:2]:
                raise ValueError(
                    f"the metric returned values of shape {value.shape}, expected one for each example and layer, "
                    f"{tuple(flat.shape[:2])}"
                )
            table = tidy(trace.batch, one, scores, {"value": value})
            table = table.assign(status=np.where(table["value"].isna(), "undefined", "ok"), error=None)
        except Exception as error:
            if isinstance(error, torch.OutOfMemoryError) and not smallest:
                raise
            table = failed(trace.batch, one, f"{type(error).__name__}: {error}").assign(value=np.nan)
    return table.assign(metric=name, higher=bool(metric.higher_is_better))
