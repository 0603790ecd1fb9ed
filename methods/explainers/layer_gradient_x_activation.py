"""Activation times gradient at each layer's output, through Captum.

The layer form of input times gradient (Shrikumar et al. 2016), which gives gradients one row per layer.
https://arxiv.org/abs/1605.01713
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from captum.attr import LayerGradientXActivation as CaptumLayerGradientXActivation
from torch import Tensor, nn

from harness.tracing.model_parts import model_layers
from harness.tracing.run import Trace
from harness.tracing.steps import check_one_sided
from methods.reduction import check_reduce, reduced


@dataclass(frozen=True)
class LayerGradientXActivation:
    """Each token's state after a layer times the explained output's gradient there, reduced over hidden dimensions.

    After the last layer only the explained position has a gradient, so the other tokens tie at zero there. In a pre-LN
    model each earlier layer is read through a LayerNorm, which ignores a state's length: the sum over hidden
    dimensions is then only what the LayerNorm's epsilon leaves, and a run warns (`RoundingNoise`).

    Args:
        reduce: `abs_sum`, `sum`, `l2`, `l1` or `mean_abs`.
    """

    cost: ClassVar[str] = "few passes"

    reduce: str = "abs_sum"

    def __post_init__(self):
        check_reduce(self.reduce)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for an encoder-decoder, or a model whose layers cannot be found."""
        check_one_sided(model)
        model_layers(model)

    @property
    def reduction(self) -> str:
        """How hidden dimensions become one number per token."""
        return self.reduce

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, token]
        inputs = trace.embedding.detach().requires_grad_()
        index = torch.arange(len(inputs), device=inputs.device)
        layers = model_layers(trace.model)
        method = CaptumLayerGradientXActivation(trace.forward_from, layers)
        products = method.attribute(inputs, additional_forward_args=index)
        states = [product[0] if isinstance(product, tuple) else product for product in products]
        return reduced(
            torch.stack(states, dim=1), self.reduce, trace.batch.attention_mask, "layer gradient × activation"
        )
