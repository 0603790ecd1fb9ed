"""Completeness: whether scores add up to the output's difference between the input and a baseline."""

import torch
from torch import Tensor

from harness.tracing.run import Trace
from methods.blanks import baseline_embedding

GAP = 0.05  # gap, as a share of the scores' size, above which a run warns


def difference(trace: Trace, baseline: str) -> Tensor:
    """The output on the input minus the output on the baseline, `[batch]`."""
    index = torch.arange(len(trace.embedding), device=trace.embedding.device)
    with torch.no_grad():
        return trace.output(trace.logits) - trace.forward_from(baseline_embedding(trace, baseline), index)


def completeness_gap(scores: Tensor, difference: Tensor) -> Tensor:
    """How far scores `[batch, token, hidden]` are from adding up to a difference, relative to their size, `[batch]`."""
    by_token = scores.double().sum(dim=2)  # [batch, token]
    return (by_token.sum(dim=1) - difference).abs() / by_token.abs().sum(dim=1)
