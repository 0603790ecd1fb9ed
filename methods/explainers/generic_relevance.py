"""Generic attention explainability, encoder form (Chefer et al. 2021b, equations 5 and 6).

https://arxiv.org/abs/2103.15679
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from harness.tracing.run import Trace
from methods.explained_output import check_output, explaining
from methods.gradient_attention import positive_product, without_own_entry


@dataclass(frozen=True)
class GenericRelevance:
    """Relevance of each token for the explained position, accumulated from the first layer up to each layer.

    R starts as the identity, and each layer adds (A * gradient)+, averaged over heads, times R. The explained
    position's own entry is set to the smallest of the others; the authors' program does not show it.

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
        relevance = torch.diag_embed(trace.batch.attention_mask.double())  # [batch, query, key]
        rows = []
        for layer in range(maps.shape[1]):
            relevance = relevance + maps[:, layer] @ relevance
            rows.append(relevance)
        return without_own_entry(trace, trace.read_out(torch.stack(rows, dim=1)))
