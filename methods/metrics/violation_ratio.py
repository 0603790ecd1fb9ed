"""Whether the token with the highest score speaks against the prediction (Liu et al. 2022).

https://arxiv.org/abs/2201.12114
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness.tracing.run import Trace
from methods.removal import check_parameters, check_removal, removable
from methods.removal_steps import ROUNDING, log_curve, whole


@dataclass(frozen=True)
class ViolationRatio:
    """1 where removing the top token raises the predicted class's probability, else 0; the mean is the ratio.

    A rise within a float32 model's rounding does not count.

    Args:
        removal: how tokens are removed, see `methods.removal`. The explained position is never deleted.
    """

    cost: ClassVar[str] = "few passes"

    removal: str = "run"

    higher_is_better: ClassVar[bool] = False

    def __post_init__(self):
        check_parameters(self.removal)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model that cannot be given a text without a token in this way."""
        check_removal(self.removal, model)

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        ranked = removable(trace, self.removal)
        one = torch.ones(len(ranked), 1, dtype=torch.long, device=ranked.device)
        rise = (log_curve(trace, scores, self.removal, one).exp() - whole(trace).exp())[..., 0]  # [batch, layer]
        return (rise > ROUNDING).double().masked_fill(rise.isnan(), torch.nan)
