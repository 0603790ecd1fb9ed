"""Blank-out compared with Captum's FeatureAblation, and with the machine's own matrix-product rate."""

import time
from collections.abc import Callable
from statistics import median

import pandas as pd
import torch
from captum.attr import FeatureAblation
from torch.utils.flop_counter import FlopCounterMode

from harness.tracing.batch import Batch
from harness.tracing.run import Trace
from methods.references.blank_out import BlankOut
from tests.benchmark.models import Subject, subjects

PER_EVALUATION = (1, 4, 16, 64)


def seconds(call: Callable[[], object], repeats: int = 2) -> float:
    """Median wall-clock time of a call, after one warm-up call."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return median(times)


def matrix_product_rate(size: int = 1536) -> float:
    """Floating-point operations per second of one large float32 product."""
    left, right = torch.randn(size, size), torch.randn(size, size)
    return 2 * size**3 / seconds(lambda: left @ right)


def arithmetic(module: torch.nn.Module, batch: Batch) -> float:
    """Floating-point operations that the definition requires: n re-runs of n tokens per example, no padding."""
    total = 0.0
    for n in batch.length.unique().tolist():
        rows = (batch.length == n).nonzero()[0]
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module(input_ids=batch.input_ids[rows, :n], attention_mask=batch.attention_mask[rows, :n])
        total += counter.get_total_flops() * n * int((batch.length == n).sum())
    return total


def captum_blank_out(trace: Trace, blank_id: int, per_evaluation: int) -> torch.Tensor:
    """The same scores, the way Captum computes them: every feature over the whole batch."""

    def probability(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        index = torch.arange(len(ids)) % len(trace.batch.examples)
        with torch.no_grad():
            return trace.output(trace.model(input_ids=ids, attention_mask=mask).logits, index, "probability")

    return (
        FeatureAblation(probability)
        .attribute(
            trace.batch.input_ids,
            baselines=blank_id,
            additional_forward_args=trace.batch.attention_mask,
            perturbations_per_eval=per_evaluation,
        )
        .abs()
    )


def row(subject: Subject) -> dict[str, object]:
    """One model's line in the table."""
    trace = Trace(subject.module, subject.batch, output="probability")
    blank_id = subject.batch.blank_ids["unk"]
    assert blank_id is not None
    real = subject.batch.attention_mask.bool()
    difference = (BlankOut()(trace) - captum_blank_out(trace, blank_id, 1).double())[real].abs().max().item()
    ours = seconds(lambda: BlankOut()(trace))
    theirs = {count: seconds(lambda count=count: captum_blank_out(trace, blank_id, count)) for count in PER_EVALUATION}
    best = min(theirs, key=lambda count: theirs[count])
    rate = arithmetic(subject.module, subject.batch) / ours / matrix_product_rate()
    return {
        "model": subject.name,
        "examples": len(subject.batch.examples),
        "longest": subject.batch.input_ids.shape[1],
        "seconds": round(ours, 2),
        "Captum default": round(theirs[1] / ours, 1),
        f"Captum best of {PER_EVALUATION}": f"{theirs[best] / ours:.1f} (at {best})",
        "share of matrix-product rate": round(rate, 2),
        "largest difference": f"{difference:.1e}",
    }


def table() -> pd.DataFrame:
    """Captum's seconds divided by ours for each model, and the share of the machine's rate that we reach."""
    return pd.DataFrame([row(subject) for subject in subjects()])
