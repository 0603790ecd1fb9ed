"""Checks of what a model returned: each catches a change that would otherwise go unnoticed."""

from typing import Any

import torch
from torch import Tensor, nn

from harness.tracing.batch import Batch

REMEDY = "load the model with attn_implementation='eager'"


def finite(logits: Tensor) -> Tensor:
    """The logits; ValueError where one is not finite."""
    if not torch.isfinite(logits).all():
        raise ValueError("the model gave logits that are not finite; try dtype=float32, or another checkpoint")
    return logits


def lacking(model: nn.Module, attentions: tuple[Tensor, ...] | None, batch: Batch) -> str | None:
    """Why a model has no attention weights that methods could read; None where it has.

    ValueError where another attention implementation is to blame.
    """
    config: Any = getattr(model, "config", None)
    batches, tokens = batch.input_ids.shape
    if not attentions or any(layer is None for layer in attentions):
        why = "returns no attention weights"
    elif wrong := [
        layer
        for layer in attentions
        if layer.dim() != 4 or (layer.shape[0], *layer.shape[2:]) != (batches, tokens, tokens)
    ]:
        why = (
            f"returns attention of shape {tuple(wrong[0].shape)}, where weights between all pairs of tokens have shape "
            f"{(batches, 'heads', tokens, tokens)}"
        ).replace("'", "")
    else:
        off = max(_off(layer.detach(), batch) for layer in attentions)
        if off <= _tolerance(attentions[0]):
            return None
        why = f"returns attention whose rows differ from a sum of 1 by up to {off:.1e}"
    if getattr(config, "_attn_implementation", None) != "eager":
        raise ValueError(f"the model {why}; {REMEDY}")
    return f"it reads attention weights, and model type {getattr(config, 'model_type', type(model).__name__)!r} {why}"


def _off(weights: Tensor, batch: Batch) -> float:
    """How far the rows of one layer's attention differ from a sum of 1."""
    sums = weights.sum(dim=-1).transpose(1, 2)[batch.attention_mask.bool()]
    return (sums - 1).abs().max().item()


def _tolerance(weights: Tensor) -> float:
    return 1e-4 if weights.dtype in (torch.float32, torch.float64) else 2e-2


def check_attentions(attentions: tuple[Tensor, ...], batch: Batch, causal: bool) -> None:
    """Checks that catch silent changes in the model."""
    real = batch.attention_mask.bool()
    tolerance = _tolerance(attentions[0])
    for number, layer in enumerate(attentions, start=1):
        weights = layer.detach()  # [batch, head, query, key]
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
