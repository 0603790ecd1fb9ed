"""From one number per hidden dimension to one per token."""

import warnings

import torch
from torch import Tensor

from harness import check
from harness.tracing.notices import RoundingNoise

REDUCTIONS = ("l2", "l1", "sum", "abs_sum", "mean_abs")
NOISE = 1e-4


def check_reduce(reduce: str) -> None:
    """Raise ValueError for an unknown reduction."""
    check.choice("reduce", reduce, REDUCTIONS)


def reduced(values: Tensor, reduce: str, real: Tensor, what: str) -> Tensor:
    """`[..., token, hidden] -> [..., token]`: the norm (`l2`, `l1`, `mean_abs`), the `sum`, or its absolute value.

    Where only a LayerNorm reads a state, its gradient summed over hidden dimensions is zero in exact arithmetic, since
    a LayerNorm ignores a shift along all-ones. Gradient times state then sums to zero too, except for the LayerNorm's
    epsilon, since it ignores the state's length. So the ratio of sum to norm is measured over the `real` tokens,
    `[batch, token]`, per layer where there are layers, and a `RoundingNoise` warning that names `what` is raised where
    its median is below 1e-4.
    """
    if reduce == "l2":
        return values.norm(dim=-1)
    if reduce == "l1":
        return values.abs().sum(dim=-1)
    if reduce == "mean_abs":
        return values.abs().mean(dim=-1)
    total = values.sum(dim=-1)
    norm = values.norm(dim=-1)
    counted = (norm > 0) & (real != 0).view(len(real), *[1] * (norm.dim() - 2), -1)
    shares = (total.abs() / norm).masked_fill(~counted, torch.nan).transpose(0, -2).flatten(-2)  # [(layer,) pair]
    noisy = (shares.nanmedian(dim=-1).values < NOISE).flatten().nonzero()[:, 0] + 1
    if len(noisy):
        layers = f" in layer {', '.join(map(str, noisy.tolist()))}" if shares.dim() > 1 else ""
        warnings.warn(
            f"{what} with reduce={reduce} sums numbers that cancel{layers}: less than {NOISE:g} of their norm is "
            "left, so these scores are rounding noise, or what a LayerNorm's epsilon leaves; use reduce=l2",
            RoundingNoise,
            stacklevel=2,
        )
    return total if reduce == "sum" else total.abs()
