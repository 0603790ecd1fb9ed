"""Checks of what a model returned: each catches a change that would otherwise go unnoticed."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.tracing.batch import Batch
from harness.tracing.steps import Side, Sides, Step

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
    steps: Sequence[Step] = getattr(model, "steps", None) or [Step("")] * len(attentions or ())
    if not attentions or any(layer is None for layer in attentions):
        why = "returns no attention weights"
    elif wrong := [
        (layer, _size(batch, step))
        for layer, step in zip(attentions, steps, strict=True)
        if layer.dim() != 4 or (layer.shape[0], *layer.shape[2:]) != _size(batch, step)
    ]:
        (layer, (examples, queries, keys)), *_ = wrong
        why = (
            f"returns attention of shape {tuple(layer.shape)}, where weights between all pairs of tokens have shape "
            f"{(examples, 'heads', queries, keys)}"
        ).replace("'", "")
    else:
        off = max(_off(one.detach(), batch, step) for one, step in zip(attentions, steps, strict=True))
        if off <= _tolerance(attentions[0]):
            return None
        why = f"returns attention whose rows differ from a sum of 1 by up to {off:.1e}"
    if getattr(config, "_attn_implementation", None) != "eager":
        raise ValueError(f"the model {why}; {REMEDY}")
    return f"it reads attention weights, and model type {getattr(config, 'model_type', type(model).__name__)!r} {why}"


def _there(batch: Batch, side: Side | None) -> Tensor:
    """Which slots of a side, or of the one axis, hold a token, `[batch, slot]`."""
    return batch.attention_mask.bool() if side is None else Sides(batch.side).on(side)


def _size(batch: Batch, step: Step) -> tuple[int, int, int]:
    queries, keys = _there(batch, step.queries), _there(batch, step.keys)
    return len(queries), queries.shape[1], keys.shape[1]


def _off(weights: Tensor, batch: Batch, step: Step) -> float:
    """How far the rows of one step's attention differ from a sum of 1."""
    sums = weights.sum(dim=-1).transpose(1, 2)[_there(batch, step.queries)]
    return (sums - 1).abs().max().item()


def _tolerance(weights: Tensor) -> float:
    return 1e-4 if weights.dtype in (torch.float32, torch.float64) else 2e-2


def check_attentions(attentions: tuple[Tensor, ...], steps: Sequence[Step], batch: Batch) -> None:
    """Checks that catch silent changes in the model."""
    tolerance = _tolerance(attentions[0])
    alike: dict[tuple, list[Tensor]] = defaultdict(list)  # steps between the same tokens
    for layer, step in zip(attentions, steps, strict=True):
        weights = layer.detach()  # [batch, head, query, key]
        queries, keys = _there(batch, step.queries), _there(batch, step.keys)
        leak = weights.masked_fill(keys[:, None, None, :], 0.0).transpose(1, 2)[queries]
        if leak.numel() and leak.max() > tolerance * 1e-2:
            raise ValueError(
                f"{step.name} attends to padding (weight {leak.max().item():.1e}): "
                "the model must mask the key positions where attention_mask is 0"
            )
        alike[step.queries, step.keys, step.causal].append(weights)
    for (_, key_side, causal), layers in alike.items():
        keys = _there(batch, key_side)
        if keys.sum(dim=1).max() < 2:
            continue
        step = next(one for one in steps if (one.keys, one.causal) == (key_side, causal))
        if not step.crosses:
            later = [one.triu(1).masked_fill(~keys[:, None, None, :], 0.0).amax().item() for one in layers]
            if causal and max(later) > 0:
                raise ValueError(f"a causal model attends to later tokens (weight {max(later):.1e}); {REMEDY}")
            if not causal and max(later) == 0:
                raise ValueError(
                    "no query attends to a later token: the model runs with a causal mask, although it should see both "
                    "ways"
                )
        first, *others = layers
        if others and all(one.shape == first.shape and torch.equal(one, first) for one in others):
            raise ValueError(f"all {len(layers)} layers returned the same attention; {REMEDY}")
