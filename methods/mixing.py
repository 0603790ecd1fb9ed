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


def _over_heads(trace: Trace, heads: str) -> Tensor:
    """Heads aggregated layer by layer, so that no more than one layer's heads are held in float64."""
    aggregate = {"mean": Tensor.mean, "max": Tensor.amax, "min": Tensor.amin}[heads]
    return torch.stack([aggregate(layer.double(), dim=1) for layer in trace.attention_layers()], dim=1)


def mixing(trace: Trace, residual: float, heads: str = "mean") -> Tensor:
    """`residual * I + (1 - residual) * A`, float64, rows summing to 1 (0 on padding).

    A is the mean, maximum or minimum over heads with its rows normalised (the mean's already are), or `each` head.
    `[batch, layer, query, key]`, for `each` head `[batch, layer, head, query, key]`.
    """
    attention = trace.attention.double() if heads == "each" else _over_heads(trace, heads)
    total = attention.sum(dim=-1, keepdim=True)
    attention = attention / total.where(total > 0, 1.0)
    real = trace.batch.attention_mask.double()  # [batch, token]
    real = real.view(len(real), *[1] * (attention.dim() - 3), -1)
    return residual * torch.diag_embed(real) + (1 - residual) * attention
