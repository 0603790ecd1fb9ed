"""Correlation between the scores of token sets and the effect of removing them (Bhatt et al. 2020).

https://arxiv.org/abs/2005.00631
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness import check
from harness.tracing.run import Trace
from methods.removal import check_parameters, check_removal, log_probability, removable
from methods.removal_steps import ROUNDING, defined, whole
from methods.subsets import of_share


@dataclass(frozen=True)
class FaithfulnessCorrelation:
    """Pearson's r, over random token sets of one size, between a set's summed scores and the fall of p without it.

    NaN where either side is constant: equal scores, a single ranked token, or falls that differ by no more than a
    float32 model's rounding.

    Args:
        removal: how tokens are removed, see `methods.removal`. The explained position is never deleted.
        share: of an example's ranked tokens that a set holds, rounded up.
        samples: sets drawn for each example.
        seed: of the sets, together with the example's id.
    """

    cost: ClassVar[str] = "passes by step"

    removal: str = "run"
    share: float = 0.2
    samples: int = 100
    seed: int = 0

    higher_is_better: ClassVar[bool] = True

    def __post_init__(self):
        check_parameters(self.removal)
        check.number("share", self.share, 0.001, 1)
        check.count("samples", self.samples)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model that cannot be given a text without a token in this way."""
        check_removal(self.removal, model)

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        ranked = removable(trace, self.removal)
        scores = scores.double().to(ranked.device)
        sound = defined(scores, ranked)
        sets = of_share(trace.batch, ranked, self.share, self.samples, self.seed)  # [batch, sample, token]
        fall = whole(trace).exp()[:, 0] - log_probability(trace, sets, self.removal).exp()  # [batch, sample]
        # subtracting the lowest score changes no correlation and makes equal scores add up to exactly 0 in every set
        scores = scores.masked_fill(~(ranked[:, None] & scores.isfinite()), torch.inf)
        scores = (scores - scores.amin(dim=-1, keepdim=True)).masked_fill(~ranked[:, None], 0.0)
        sums = (scores[:, :, None] * sets[:, None]).sum(dim=-1)  # [batch, layer, sample]
        sound &= (_spread(fall) > ROUNDING)[:, None] & (_spread(sums) > 1e-12 * sums.abs().amax(dim=-1))
        ours, theirs = _centred(sums), _centred(fall)[:, None]
        r = (ours * theirs).sum(dim=-1) / (ours.square().sum(dim=-1) * theirs.square().sum(dim=-1)).sqrt()
        return r.masked_fill(~sound, torch.nan)


def _spread(values: Tensor) -> Tensor:
    return values.amax(dim=-1) - values.amin(dim=-1)


def _centred(values: Tensor) -> Tensor:
    return values - values.mean(dim=-1, keepdim=True)
