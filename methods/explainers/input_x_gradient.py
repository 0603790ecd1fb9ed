"""Input times gradient (Shrikumar et al. 2016), through Captum. https://arxiv.org/abs/1605.01713"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from captum.attr import InputXGradient as CaptumInputXGradient
from torch import Tensor

from harness.tracing.run import Trace
from methods.reduction import check_reduce, reduced


@dataclass(frozen=True)
class InputXGradient:
    """Word embedding times the explained output's gradient there, reduced over hidden dimensions.

    Args:
        reduce: `abs_sum`, the size of the first-order change when the embedding goes to zero; `sum` keeps its sign;
            or `l2`, `l1`, `mean_abs`.
    """

    cost: ClassVar[str] = "few passes"
    layerless: ClassVar[bool] = True

    reduce: str = "abs_sum"

    def __post_init__(self):
        check_reduce(self.reduce)

    @property
    def reduction(self) -> str:
        """How hidden dimensions become one number per token."""
        return self.reduce

    def __call__(self, trace: Trace) -> Tensor:  # [batch, 1, token]
        inputs = trace.embedding.detach().requires_grad_()
        index = torch.arange(len(inputs), device=inputs.device)
        product = CaptumInputXGradient(trace.forward_from).attribute(inputs, additional_forward_args=index)
        return reduced(product, self.reduce, trace.batch.attention_mask, "input × gradient")[:, None]
