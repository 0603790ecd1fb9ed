"""From one number per hidden dimension to one per token."""

import warnings

from torch import Tensor

from harness import check
from harness.trace import RoundingNoise

REDUCTIONS = ("l2", "l1", "sum", "abs_sum", "mean_abs")
NOISE = 1e-4


def check_reduce(reduce: str) -> None:
    """Raise ValueError for an unknown reduction."""
    check.choice("reduce", reduce, REDUCTIONS)


def reduced(values: Tensor, reduce: str, real: Tensor) -> Tensor:
    """`[..., token, hidden] -> [..., token]`: the norm (`l2`, `l1`, `mean_abs`), the `sum`, or its absolute value.

    A gradient summed over hidden dimensions is zero in exact arithmetic where a LayerNorm, which ignores a shift
    along all-ones, is all that reads the embedding. So the share left of the norm is measured over the `real`
    tokens, `[batch, token]`, and a `RoundingNoise` warning given where its median is below 1e-4.
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
    if counted.any() and (total.abs()[counted] / norm[counted]).median() < NOISE:
        warnings.warn(
            f"reduce={reduce} sums numbers that cancel: less than {NOISE:g} of their norm is left, "
            "so these scores are rounding noise; use reduce=l2",
            RoundingNoise,
            stacklevel=2,
        )
    return total if reduce == "sum" else total.abs()
