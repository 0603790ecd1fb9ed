"""Whether the token with the highest score speaks against the prediction (Liu et al. 2022).

https://arxiv.org/abs/2201.12114
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness.tracing.run import Trace
from methods.removal import ROUNDING, check_parameters, check_positions, log_curve, removable, whole


@dataclass(frozen=True)
class ViolationRatio:
    """1 where removing the top token raises the predicted class's probability, else 0; the mean is the ratio.

    A rise within a float32 model's rounding does not count.

    Args:
        removal: `unk`, `mask` or `pad` in a token's place, or `delete`. The explained position is never deleted.
    """

    cost: ClassVar[str] = "few passes"

    removal: str = "unk"

    higher_is_better: ClassVar[bool] = False

    def __post_init__(self):
        check_parameters(self.removal)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError where a removed token would move the positions of all later ones."""
        check_positions(self.removal, model)

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        ranked = removable(trace.batch, self.removal)
        one = torch.ones(len(ranked), 1, dtype=torch.long, device=ranked.device)
        rise = (log_curve(trace, scores, self.removal, one).exp() - whole(trace).exp())[..., 0]  # [batch, layer]
        return (rise > ROUNDING).double().masked_fill(rise.isnan(), torch.nan)
