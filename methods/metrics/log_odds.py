"""The log of the share of the predicted class's probability left without the top tokens (Shrikumar et al. 2017).

https://arxiv.org/abs/1704.02685
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from harness.tracing.run import Trace
from methods.removal import (
    bin_counts,
    check_parameters,
    check_positions,
    log_curve,
    mean_over_bins,
    removable,
    whole,
)


@dataclass(frozen=True)
class LogOdds:
    """Mean over k of log p(x without the top k tokens) / p(x), p the probability of the predicted class.

    Args:
        removal: `unk`, `mask` or `pad` in a token's place, or `delete`. The explained position is never deleted.
        bins: k is each of 1 to n (`counts`), or 1, 5, 10, 20 and 50 % of n, rounded up (`eraser`).
    """

    cost: ClassVar[str] = "passes by token"

    removal: str = "unk"
    bins: str = "counts"

    higher_is_better: ClassVar[bool] = False

    def __post_init__(self):
        check_parameters(self.removal, self.bins)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError where a removed token would move the positions of all later ones."""
        check_positions(self.removal, model)

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        counts, counted = bin_counts(removable(trace.batch, self.removal), self.bins)
        without = log_curve(trace, scores, self.removal, counts)  # [batch, layer, bin]
        return mean_over_bins(without - whole(trace), counted)
