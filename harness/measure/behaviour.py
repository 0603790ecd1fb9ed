"""The first batch of a run, looked at closely: does the model depend on padding, do methods behave?"""

import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from harness.contracts import Explainer, Model, Reference
from harness.measure.protocol import EvaluationProtocol
from harness.measure.rows import Scored
from harness.tracing.batch import Example, collate
from harness.tracing.calls import called
from harness.tracing.notices import Notice
from harness.tracing.run import Trace

PADDING = {torch.float64: 1e-4, torch.float32: 1e-4}  # relative differences of logits that are still rounding
COARSE = 2e-2  # of other types
SCORES = 1e-2  # relative difference of scores that is still rounding: some methods add up many roundings


def padding_matters(
    examples: Sequence[Example], model: Model, protocol: EvaluationProtocol, device: torch.device | str
) -> bool:
    """Whether an example's logits change with a longer neighbour beside it; a `Notice` says so.

    Looked at is the shortest example beside the longest. ValueError where even alone it has no finite logits.
    """
    by_length = sorted(examples, key=lambda example: len(example.input_ids))
    short, long = by_length[0], by_length[-1]
    if len(short.input_ids) == len(long.input_ids):
        return False
    logits = []
    for group in ([short, long], [short]):
        batch = collate(group, protocol.include, model.blank_ids, device)
        with torch.no_grad():
            logits.append(called(model.module, batch.inputs).logits[0].double())
    together, alone = logits
    off = ((together - alone).abs().max() / alone.abs().max()).item()
    kind = next((one.dtype for one in model.module.parameters()), torch.float32)
    if not off > PADDING.get(kind, COARSE):
        return False
    warnings.warn(
        f"the model's logits depend on padding (by {off:.1e} of their size beside a longer text), so examples are "
        "explained one at a time",
        Notice,
        stacklevel=2,
    )
    return True


def check_head(trace: Trace) -> None:
    """A `Notice` where the head reads several positions, or cannot be followed."""
    weights = trace.head_weights
    if weights is None:
        return
    own = weights.gather(1, trace.batch.position[:, None]).mean().item()
    warnings.warn(
        f"the model's head reads several positions (the first special token has {own:.0%} of the weight): read-outs "
        "are the mean over all positions, weighted as the head does (read_out=head)",
        Notice,
        stacklevel=2,
    )


def check_scores(
    trace: Trace,
    results: Mapping[tuple[str, str], Scored],
    methods: Mapping[tuple[str, str], Explainer | Reference],
    alone: Callable[[Example], Trace],
) -> None:
    """A `Notice` for each method whose scores are not finite, constant, or depend on padding."""
    lengths = trace.batch.length.tolist()
    short = int(np.argmin(lengths))
    padded = lengths[short] < max(lengths)
    single = alone(trace.batch.examples[short]) if padded else None
    for (kind, name), one in results.items():
        if isinstance(one.values, str):
            continue
        texts = list(_sentences(one, trace))
        if single is not None:
            texts += _padding(one, methods[kind, name], single, short, lengths[short])
        for text in texts:
            warnings.warn(f"the {kind} {name} {text}", Notice, stacklevel=2)


def _sentences(one: Scored, trace: Trace) -> list[str]:
    values = one.layered()
    ranked = trace.batch.ranked.cpu().numpy()
    shape = (len(ranked), *[1] * (values.ndim - 2), ranked.shape[1])
    mask = np.broadcast_to(ranked.reshape(shape), values.shape)
    if not mask.any():
        return []
    if not np.isfinite(values[mask]).any():
        return ["gives no finite score to any token of the first batch"]
    if np.isinf(values[mask]).any():
        return ["gives infinite scores"]
    spread = np.where(mask, values, -np.inf).max(axis=-1) - np.where(mask, values, np.inf).min(axis=-1)
    several = mask.sum(axis=-1) > 1
    if several.any() and (spread[several] == 0).all():
        return ["gives all tokens of an example the same score, in every example of the first batch"]
    return []


def _padding(one: Scored, method: Explainer | Reference, single: Trace, row: int, length: int) -> list[str]:
    together = one.layered()[row][..., :length]
    try:
        scores = method(single).detach().double().cpu().numpy()
    except Exception as error:
        return [f"fails for an example alone, but not in a batch ({type(error).__name__}: {error})"]
    alone = (scores if scores.ndim > 2 else scores[:, None])[0]
    if alone.shape != together.shape:
        return [f"gives scores of shape {alone.shape} for an example alone, and {together.shape} in a batch"]
    known = np.isfinite(alone) & np.isfinite(together)
    size = np.abs(alone[known]).max(initial=0.0)
    off = np.abs(alone[known] - together[known]).max(initial=0.0)
    if size and off > SCORES * size:
        return [f"depends on padding: the scores of an example change by {off / size:.1e} of their size beside others"]
    return []
