"""Attention weighted by its gradient, and what is common to methods that multiply such maps over the layers."""

import torch
from torch import Tensor

from harness.tracing.run import Trace


def positive_product(relevance: Tensor, gradient: Tensor) -> Tensor:
    """The mean over heads of the positive part of the product, float64.

    `[batch, layer, head, query, key]` twice `-> [batch, layer, query, key]`.
    """
    layers = zip(relevance.unbind(dim=1), gradient.unbind(dim=1), strict=True)
    return torch.stack([(one.double() * other.double()).relu().mean(dim=1) for one, other in layers], dim=1)


def without_own_entry(trace: Trace, rows: Tensor) -> Tensor:
    """The explained position's own entry set to the smallest of the other tokens', `[batch, layer, token]`.

    The identity that stands for the residual connection makes it larger than any other, whatever the model does. Where
    the head reads several positions, nothing is changed.
    """
    batch = trace.batch
    if not trace.by_position and trace.head_weights is not None:
        return rows  # no token is alone in this
    own = torch.zeros_like(batch.role, dtype=torch.bool)
    own[torch.arange(len(own), device=own.device), batch.position] = True
    others = (batch.attention_mask.bool() & ~own)[:, None]  # [batch, 1, token]
    least = rows.masked_fill(~others, torch.inf).amin(dim=-1, keepdim=True)
    least = torch.where(others.any(dim=-1, keepdim=True), least, 0.0)
    return torch.where(own[:, None], least, rows)
