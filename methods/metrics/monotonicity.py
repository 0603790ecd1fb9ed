"""Whether the output rises with every token that is restored, least relevant first (Arya et al. 2019).

https://arxiv.org/abs/1909.03012
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness import check
from harness.tracing.run import Trace
from methods.removal import check_parameters, check_removal, removable
from methods.removal_steps import ROUNDING, bin_counts, log_curve, whole

STEPS = ("all", "share")


@dataclass(frozen=True)
class Monotonicity:
    """Whether p never falls as the ranked tokens are restored one by one, lowest score first.

    Of tokens with equal scores the later is restored first. A fall within a float32 model's rounding does not count.

    Args:
        removal: how tokens are removed, see `methods.removal`. The explained position is never deleted.
        steps: 1 where `all` of the steps hold and 0 elsewhere, or the `share` of steps that hold.
    """

    cost: ClassVar[str] = "passes by token"

    removal: str = "run"
    steps: str = "all"

    higher_is_better: ClassVar[bool] = True

    def __post_init__(self):
        check_parameters(self.removal)
        check.choice("steps", self.steps, STEPS)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model that cannot be given a text without a token in this way."""
        check_removal(self.removal, model)

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        counts, counted = bin_counts(removable(trace, self.removal), "counts")
        curve = log_curve(trace, scores, self.removal, counts).exp()  # [batch, layer, bin], without the top 1 to n
        fuller = torch.cat([whole(trace).exp().expand_as(curve[..., :1]), curve[..., :-1]], dim=-1)
        counted = counted[:, None]
        held = ((fuller - curve >= -ROUNDING) & counted).sum(dim=-1).double()  # [batch, layer]
        n = counted.sum(dim=-1).double()
        value = held / n if self.steps == "share" else (held == n).double()
        return value.masked_fill(curve.isnan().any(dim=-1), torch.nan)
