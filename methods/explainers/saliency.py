"""Saliency: the gradient at the input (Simonyan et al. 2014), through Captum. https://arxiv.org/abs/1312.6034"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from captum.attr import Saliency as CaptumSaliency
from torch import Tensor

from harness.tracing.run import Trace
from methods.reduction import check_reduce, reduced


@dataclass(frozen=True)
class Saliency:
    """Gradient of the explained output with respect to the word embedding, reduced over hidden dimensions.

    Args:
        reduce: `l2`, `l1`, `mean_abs`, `sum` or `abs_sum`.
    """

    cost: ClassVar[str] = "few passes"
    layerless: ClassVar[bool] = True

    reduce: str = "l2"

    def __post_init__(self):
        check_reduce(self.reduce)

    @property
    def reduction(self) -> str:
        """How hidden dimensions become one number per token."""
        return self.reduce

    def __call__(self, trace: Trace) -> Tensor:  # [batch, 1, token]
        inputs = trace.embedding.detach().requires_grad_()
        index = torch.arange(len(inputs), device=inputs.device)
        gradient = CaptumSaliency(trace.forward_from).attribute(inputs, abs=False, additional_forward_args=index)
        return reduced(gradient, self.reduce, trace.batch.attention_mask, "saliency")[:, None]
