"""Areas under the curves of removing the most, or the least, relevant tokens first (Samek et al. 2017).

https://arxiv.org/abs/1509.06321
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness.tracing.run import Trace
from methods.removal import check_parameters, check_removal, removable
from methods.removal_steps import bin_counts, log_curve, whole


def area(trace: Trace, scores: Tensor, removal: str, side: str) -> Tensor:
    """Area under p over the share of removed tokens, 0 to 1, by the trapezoidal rule, `[batch, layer]`."""
    counts, counted = bin_counts(removable(trace, removal), "counts")
    curve = log_curve(trace, scores, removal, counts, side).exp()  # [batch, layer, bin]
    before = torch.cat([whole(trace).exp().expand_as(curve[..., :1]), curve[..., :-1]], dim=-1)
    counted = counted[:, None]
    steps = ((before + curve) / 2).masked_fill(~counted, 0.0)
    return steps.sum(dim=-1) / counted.sum(dim=-1)  # the steps are 1 / n wide


@dataclass(frozen=True)
class MorfArea:
    """Area under the predicted class's probability as tokens are removed, most relevant first.

    Args:
        removal: how tokens are removed, see `methods.removal`. The explained position is never deleted.
    """

    cost: ClassVar[str] = "passes by token"

    removal: str = "run"

    higher_is_better: ClassVar[bool] = False

    def __post_init__(self):
        check_parameters(self.removal)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model that cannot be given a text without a token in this way."""
        check_removal(self.removal, model)

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        return area(trace, scores, self.removal, "top")


@dataclass(frozen=True)
class LerfArea:
    """Area under the predicted class's probability as tokens are removed, least relevant first.

    Args:
        removal: as in `MorfArea`.
    """

    cost: ClassVar[str] = "passes by token"

    removal: str = "run"

    higher_is_better: ClassVar[bool] = True

    def __post_init__(self):
        check_parameters(self.removal)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model that cannot be given a text without a token in this way."""
        check_removal(self.removal, model)

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        return area(trace, scores, self.removal, "bottom")


@dataclass(frozen=True)
class Abpc:
    """Area between the two curves, LeRF minus MoRF: 0 for equal scores, where both remove the first token first.

    Args:
        removal: as in `MorfArea`.
    """

    cost: ClassVar[str] = "passes by token"

    removal: str = "run"

    higher_is_better: ClassVar[bool] = True

    def __post_init__(self):
        check_parameters(self.removal)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model that cannot be given a text without a token in this way."""
        check_removal(self.removal, model)

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        return area(trace, scores, self.removal, "bottom") - area(trace, scores, self.removal, "top")
