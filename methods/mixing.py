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

    `[batch, step, query, key]`, for `each` head `[batch, step, head, query, key]`. Heads are aggregated step by step,
    so that no more than one step's are held in float64.
    """
    if heads == "each":
        attention = trace.attention.double()
    else:
        aggregate = {"mean": Tensor.mean, "max": Tensor.amax, "min": Tensor.amin}[heads]
        attention = torch.stack([aggregate(step.double(), dim=1) for step in trace.attention_steps()], dim=1)
    total = attention.sum(dim=-1, keepdim=True)
    return attention / total.where(total > 0, 1.0)


def with_residual(trace: Trace, attention: Tensor, residual: float, passed: float = 1.0) -> Tensor:
    """`residual * I + (1 - residual) * A`, `[batch, step, (head,) query, key]`; zero on padding.

    Tokens that do not read in a step of an encoder-decoder keep what they have, with weight `passed`.
    """
    real = trace.batch.attention_mask.double()  # [batch, token]
    identity = torch.diag_embed(real.view(len(real), *[1] * (attention.dim() - 3), -1))
    mixed = residual * identity + (1 - residual) * attention
    if trace.sides is None:
        return mixed
    reads = trace.reads.view(*trace.reads.shape[:2], *[1] * (attention.dim() - 4), -1, 1)
    return torch.where(reads, mixed, passed * identity)


def mixing(trace: Trace, residual: float, heads: str = "mean") -> Tensor:
    """Attention over heads and the residual connection, float64, rows summing to 1 (0 on padding); see `over_heads`."""
    return with_residual(trace, over_heads(trace, heads), residual)
