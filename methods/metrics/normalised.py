"""Sufficiency and comprehensiveness, relative to an input without any ranked token (Carton et al. 2020).

https://arxiv.org/abs/2010.04736
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
    log_probability,
    mean_over_bins,
    removable,
    whole,
)
from methods.shares import kept_share, lost_share, null_loss


@dataclass(frozen=True)
class NormalisedSufficiency:
    """Mean over k of how much the top k tokens alone keep, as a share of what all ranked tokens add; in [0, 1].

    Args:
        removal: `unk`, `mask` or `pad` in a token's place, or `delete`. The explained position is never deleted.
        bins: k is each of 1 to n (`counts`), or 1, 5, 10, 20 and 50 % of n, rounded up (`eraser`).
    """

    cost: ClassVar[str] = "passes by token"

    removal: str = "unk"
    bins: str = "counts"

    higher_is_better: ClassVar[bool] = True

    def __post_init__(self):
        check_parameters(self.removal, self.bins)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError where a removed token would move the positions of all later ones."""
        check_positions(self.removal, model)

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        ranked = removable(trace.batch, self.removal)
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

    removal: str = "unk"
    bins: str = "counts"

    higher_is_better: ClassVar[bool] = True

    def __post_init__(self):
        check_parameters(self.removal, self.bins)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError where a removed token would move the positions of all later ones."""
        check_positions(self.removal, model)

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        ranked = removable(trace.batch, self.removal)
        counts, counted = bin_counts(ranked, self.bins)
        full = whole(trace).exp()  # [batch, 1, 1]
        loss = null_loss(full, log_probability(trace, ranked[:, None, None], self.removal).exp())
        without = log_curve(trace, scores, self.removal, counts).exp()  # [batch, layer, bin]
        return mean_over_bins(lost_share(full, without, loss), counted)
