"""Generic attention explainability (Chefer et al. 2021b, section 3).

https://arxiv.org/abs/2103.15679
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from harness.tracing.run import Trace
from harness.tracing.steps import Side
from methods.explained_output import check_output, explaining
from methods.gradient_attention import positive_product, without_own_entry


@dataclass(frozen=True)
class GenericRelevance:
    """Relevance of each token for the explained position, accumulated from the first layer up to each layer.

    R starts as the identity, and each layer adds (A * gradient)+, averaged over heads, times R. The explained
    position's own entry is set to the smallest of the others; the authors' program does not show it.

    In an encoder-decoder, what cross-attention adds passes through the relevance of the source's tokens for each other
    and of the prefix's, each row divided by its sum; of the prefix's it is the transpose, as published. A row of zeros
    stays zero; the authors' program then drops all that the layer adds.

    One backward pass in addition to the trace.

    Args:
        output: the scalar whose gradient is taken, `logit` as in the paper, or `run` for the run's own.
    """

    cost: ClassVar[str] = "few passes"

    output: str = "logit"

    def __post_init__(self):
        check_output(self.output)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, token]
        maps = positive_product(trace.attention, explaining(trace, self.output).attention_gradient)
        identity = torch.diag_embed(trace.batch.attention_mask.double())  # [batch, query, key]
        relevance, rows = identity, []
        for number, step in enumerate(trace.steps):
            if step.crosses:
                relevance = relevance + _across(maps[:, number], relevance, identity, trace.batch.side)
            else:
                relevance = relevance + maps[:, number] @ relevance
            rows.append(relevance)
        return without_own_entry(trace, trace.read_out(trace.ends(rows)))


def _across(weights: Tensor, relevance: Tensor, identity: Tensor, side: Tensor) -> Tensor:
    """What cross-attention `weights` add, `[batch, query, key]`: the paper's equations 8 to 10."""
    relative: dict[Side, Tensor] = {}
    for one in (Side.SOURCE, Side.TARGET):
        there = side == one  # [batch, token]
        within = (relevance - identity) * (there[:, :, None] & there[:, None, :])
        total = within.sum(dim=-1, keepdim=True)
        relative[one] = within / total.where(total > 0, 1.0) + identity
    return relative[Side.TARGET].transpose(1, 2) @ weights @ relative[Side.SOURCE]
