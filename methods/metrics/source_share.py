"""The source's share of the scores, not the prefix's (Voita et al. 2021). https://arxiv.org/abs/2010.10907"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness.tracing.run import Trace
from harness.tracing.steps import Side, check_two_sided


@dataclass(frozen=True)
class SourceShare:
    """Of the sum of all absolute scores, the share that lies on the source; the rest lies on the target's prefix.

    All tokens count, special ones and those that are not ranked too. NaN where all scores are zero or one is not
    finite. It describes a model and says nothing about how good an explainer is; tables mark the highest value.
    """

    cost: ClassVar[str] = "no pass"
    higher_is_better: ClassVar[bool] = True

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model of one text."""
        check_two_sided(model)

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        check_two_sided(trace.model)
        side = trace.batch.side[:, None]  # [batch, 1, token]
        sizes = scores.double().to(side.device).abs().masked_fill(side == Side.PADDING, 0.0)
        total = sizes.sum(dim=-1)
        share = sizes.masked_fill(side != Side.SOURCE, 0.0).sum(dim=-1) / total
        return share.masked_fill(~(total.isfinite() & (total > 0)), torch.nan)
