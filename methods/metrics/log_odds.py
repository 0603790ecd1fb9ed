"""The log of the share of the predicted class's probability left without the top tokens (Shrikumar et al. 2017).

https://arxiv.org/abs/1704.02685
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from harness.tracing.run import Trace
from methods.removal import check_parameters, check_removal, removable
from methods.removal_steps import bin_counts, check_bins, log_curve, mean_over_bins, whole


@dataclass(frozen=True)
class LogOdds:
    """Mean over k of log p(x without the top k tokens) / p(x), p the probability of the predicted class.

    Args:
        removal: how tokens are removed, see `methods.removal`. The explained position is never deleted.
        bins: k is each of 1 to n (`counts`), or 1, 5, 10, 20 and 50 % of n, rounded up (`eraser`).
    """

    cost: ClassVar[str] = "passes by token"

    removal: str = "run"
    bins: str = "counts"

    higher_is_better: ClassVar[bool] = False

    def __post_init__(self):
        check_parameters(self.removal)
        check_bins(self.bins)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model that cannot be given a text without a token in this way."""
        check_removal(self.removal, model)

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        counts, counted = bin_counts(removable(trace, self.removal), self.bins)
        without = log_curve(trace, scores, self.removal, counts)  # [batch, layer, bin]
        return mean_over_bins(without - whole(trace), counted)
