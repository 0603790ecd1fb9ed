"""Checks of what a model returned: each catches a change that would otherwise go unnoticed."""

import torch
from torch import Tensor

from harness.tracing.batch import Batch

REMEDY = "load the model with attn_implementation='eager'"


def finite(logits: Tensor) -> Tensor:
    """The logits; ValueError where one is not finite."""
    if not torch.isfinite(logits).all():
        raise ValueError("the model gave logits that are not finite; try dtype=float32, or another checkpoint")
    return logits


def checked_attentions(attentions: tuple[Tensor, ...] | None, batch: Batch, causal: bool) -> tuple[Tensor, ...]:
    """The attentions, after checks that catch silent changes in the model."""
    if not attentions or any(layer is None for layer in attentions):
        raise ValueError(f"the model returned no attentions; {REMEDY}")
    real = batch.attention_mask.bool()
    tolerance = 1e-4 if attentions[0].dtype in (torch.float32, torch.float64) else 2e-2
    for number, layer in enumerate(attentions, start=1):
        weights = layer.detach()  # [batch, head, query, key]
        sums = weights.sum(dim=-1).transpose(1, 2)[real]
        if not torch.allclose(sums, torch.ones_like(sums), atol=tolerance):
            worst = (sums - 1).abs().max().item()
            raise ValueError(f"attention rows of layer {number} differ from a sum of 1 by up to {worst:.1e}; {REMEDY}")
        leak = weights.masked_fill(real[:, None, None, :], 0.0).transpose(1, 2)[real]
        if leak.numel() and leak.max() > tolerance * 1e-2:
            raise ValueError(
                f"layer {number} attends to padding (weight {leak.max().item():.1e}): "
                "the model must mask the key positions where attention_mask is 0"
            )
    later = [layer.detach().triu(1).masked_fill(~real[:, None, None, :], 0.0).amax().item() for layer in attentions]
    if causal and max(later) > 0:
        raise ValueError(f"a causal model attends to later tokens (weight {max(later):.1e}); {REMEDY}")
    if not causal and max(later) == 0 and real.sum(dim=1).max() > 1:
        raise ValueError(
            "no query attends to a later token: the model runs with a causal mask, although it should see both ways"
        )
    if len(attentions) > 1 and real.sum(dim=1).max() > 1:
        first = attentions[0].detach()
        if all(layer.shape == first.shape and torch.equal(layer.detach(), first) for layer in attentions[1:]):
            raise ValueError(f"all {len(attentions)} layers returned the same attention; {REMEDY}")
    return tuple(attentions)
