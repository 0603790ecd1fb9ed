"""How far the predicted class falls when the top tokens are removed (DeYoung et al. 2020).

https://arxiv.org/abs/1911.03429
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from harness.tracing.run import Trace
from methods.removal import check_parameters, check_removal
from methods.removal_steps import check_bins, mean_fall


@dataclass(frozen=True)
class Comprehensiveness:
    """Mean over k of p(x) - p(x without the top k tokens), p the probability of the predicted class.

    The paper divides the sum by the number of steps plus one, which only scales it.

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
        return mean_fall(trace, scores, self.removal, self.bins)
