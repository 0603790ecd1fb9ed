"""Attention as a mixing of tokens: heads aggregated, the residual connection added.

Abnar & Zuidema 2020, section 3. https://arxiv.org/abs/2005.00928
"""

import torch
from torch import Tensor

from harness import check
from harness.tracing.run import READ_OUTS, Trace

HEADS = ("mean", "max", "min", "each")


def check_parameters(residual: float, heads: str, read_out: str) -> None:
    """Raise ValueError for a parameter that `mixing` or the read-out does not accept."""
    check.number("residual", residual, 0, 1)
    check.choice("heads", heads, HEADS)
    check.choice("read_out", read_out, READ_OUTS)


def over_heads(trace: Trace, heads: str) -> Tensor:
    """The mean, maximum or minimum over heads with rows normalised (the mean's already are), or `each` head; float64.

    `[batch, layer, query, key]`, for `each` head `[batch, layer, head, query, key]`. Heads are aggregated layer by
    layer, so that no more than one layer's are held in float64.
    """
    if heads == "each":
        attention = trace.attention.double()
    else:
        aggregate = {"mean": Tensor.mean, "max": Tensor.amax, "min": Tensor.amin}[heads]
        attention = torch.stack([aggregate(layer.double(), dim=1) for layer in trace.attention_steps()], dim=1)
    total = attention.sum(dim=-1, keepdim=True)
    return attention / total.where(total > 0, 1.0)


def with_residual(trace: Trace, attention: Tensor, residual: float) -> Tensor:
    """`residual * I + (1 - residual) * A`, of the same shape; zero on padding."""
    real = trace.batch.attention_mask.double()  # [batch, token]
    real = real.view(len(real), *[1] * (attention.dim() - 3), -1)
    return residual * torch.diag_embed(real) + (1 - residual) * attention


def mixing(trace: Trace, residual: float, heads: str = "mean") -> Tensor:
    """Attention over heads and the residual connection, float64, rows summing to 1 (0 on padding); see `over_heads`."""
    return with_residual(trace, over_heads(trace, heads), residual)
