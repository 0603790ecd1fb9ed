"""Attention rollout (Abnar & Zuidema 2020, equation 1). https://arxiv.org/abs/2005.00928"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from harness.tracing.run import Trace
from methods.mixing import check_parameters, mixing


@dataclass(frozen=True)
class Rollout:
    """The product of all layers' mixing matrices from the input up to each layer.

    With `heads=each`, head k of layer l is applied on top of the head-averaged layers below it (appendix A.1).

    Args:
        residual: weight of the identity mixed into each layer.
        heads: `mean`, `max` or `min` over heads, or `each` head as a separate row.
        read_out: what the model's `head` reads, the explained position's `row`, or `max`, `mean` or `sum`
            over all queries.
    """

    cost: ClassVar[str] = "no pass"

    residual: float = 0.5
    heads: str = "mean"
    read_out: str = "head"

    def __post_init__(self):
        check_parameters(self.residual, self.heads, self.read_out)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, (head,) token]
        by_head = self.heads == "each"
        layers = mixing(trace, self.residual, "mean" if by_head else self.heads)  # [batch, layer, query, key]
        tops = mixing(trace, self.residual, "each") if by_head else layers
        below = torch.diag_embed(trace.batch.attention_mask.double())  # [batch, query, key]
        rolled = []
        for layer in range(layers.shape[1]):
            rolled.append(tops[:, layer] @ (below[:, None] if by_head else below))
            below = layers[:, layer] @ below
        return trace.read_out(torch.stack(rolled, dim=1), self.read_out)
