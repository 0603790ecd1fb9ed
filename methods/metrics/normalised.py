"""Sufficiency and comprehensiveness, relative to an input without any ranked token (Carton et al. 2020).

https://arxiv.org/abs/2010.04736
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from harness.tracing.run import Trace
from methods.removal import check_parameters, check_removal, log_probability, removable
from methods.removal_steps import bin_counts, check_bins, log_curve, mean_over_bins, whole
from methods.shares import kept_share, lost_share, null_loss


@dataclass(frozen=True)
class NormalisedSufficiency:
    """Mean over k of how much the top k tokens alone keep, as a share of what all ranked tokens add; in [0, 1].

    Args:
        removal: how tokens are removed, see `methods.removal`. The explained position is never deleted.
        bins: k is each of 1 to n (`counts`), or 1, 5, 10, 20 and 50 % of n, rounded up (`eraser`).
    """

    cost: ClassVar[str] = "passes by token"

    removal: str = "run"
    bins: str = "counts"

    higher_is_better: ClassVar[bool] = True

    def __post_init__(self):
        check_parameters(self.removal)
        check_bins(self.bins)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model that cannot be given a text without a token in this way."""
        check_removal(self.removal, model)

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        ranked = removable(trace, self.removal)
        counts, counted = bin_counts(ranked, self.bins)
        full = whole(trace).exp()  # [batch, 1, 1]
        loss = null_loss(full, log_probability(trace, ranked[:, None, None], self.removal).exp())
        kept = log_curve(trace, scores, self.removal, counts, "rest").exp()  # [batch, layer, bin]
        return mean_over_bins(kept_share(full, kept, loss), counted)


@dataclass(frozen=True)
class NormalisedComprehensiveness:
    """Mean over k of how much removing the top k tokens loses, as a share of what all ranked tokens add; in [0, 1].

    Args:
        removal: as in `NormalisedSufficiency`.
        bins: as in `NormalisedSufficiency`.
    """

    cost: ClassVar[str] = "passes by token"

    removal: str = "run"
    bins: str = "counts"

    higher_is_better: ClassVar[bool] = True

    def __post_init__(self):
        check_parameters(self.removal)
        check_bins(self.bins)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model that cannot be given a text without a token in this way."""
        check_removal(self.removal, model)

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        ranked = removable(trace, self.removal)
        counts, counted = bin_counts(ranked, self.bins)
        full = whole(trace).exp()  # [batch, 1, 1]
        loss = null_loss(full, log_probability(trace, ranked[:, None, None], self.removal).exp())
        without = log_curve(trace, scores, self.removal, counts).exp()  # [batch, layer, bin]
        return mean_over_bins(lost_share(full, without, loss), counted)
