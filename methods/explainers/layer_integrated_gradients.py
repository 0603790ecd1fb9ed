"""Integrated gradients at each layer's output (Sundararajan et al. 2017), through Captum.

https://arxiv.org/abs/1703.01365
"""

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from captum.attr import LayerIntegratedGradients as CaptumLayerIntegratedGradients
from torch import Tensor, nn

from harness import check
from harness.tracing.architectures import one_architecture_of
from harness.tracing.model_parts import model_layers
from harness.tracing.notices import Inexact
from harness.tracing.run import Trace
from harness.tracing.steps import check_one_sided
from methods.blanks import BASELINES, baseline_embedding
from methods.completeness import GAP, completeness_gap, difference
from methods.reduction import check_reduce, reduced


@dataclass(frozen=True)
class LayerIntegratedGradients:
    """Gradients at a layer's output, summed along the straight line from the baseline's states to the input's.

    The baseline keeps the sentence's special tokens and positions. Before reduction a layer's scores add up to the
    output's difference between input and baseline, up to the error of the sum over steps: a run warns (`Inexact`)
    where a layer misses it by more than 5% of its scores' size for half of a batch. After the last layer only the
    explained position has a gradient, so the other tokens tie at zero there.

    Per layer `steps` forward and backward passes and two more forward passes, and one more forward pass in total.

    Args:
        baseline: the word embedding of `pad`, `unk` or `mask` in each text token's place, or `zero`;
            `run` for `unk`, and in a causal model `zero`.
        steps: number of points of the Gauss-Legendre quadrature.
        reduce: `abs_sum` or, with its sign, `sum`; or `l2`, `l1`, `mean_abs`.
    """

    cost: ClassVar[str] = "passes by step and layer"

    baseline: str = "run"
    steps: int = 20
    reduce: str = "abs_sum"

    def __post_init__(self):
        check.choice("baseline", self.baseline, BASELINES)
        check.count("steps", self.steps)
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
        scores = self.attribute(trace)
        whole = difference(trace, self.baseline)
        gaps = [completeness_gap(scores[:, layer], whole).nanmedian() for layer in range(scores.shape[1])]
        worst = max(range(len(gaps)), key=lambda layer: gaps[layer])
        if gaps[worst] > GAP:
            warnings.warn(
                f"integrated gradients at layer {worst + 1} with steps={self.steps}: in half of a batch's examples "
                f"the scores are off adding up to the output's difference by more than {GAP:.0%} of their size; "
                "raise steps",
                Inexact,
                stacklevel=2,
            )
        return reduced(scores, self.reduce, trace.batch.attention_mask, "layer integrated gradients")

    def attribute(self, trace: Trace) -> Tensor:
        """The scores before reduction, `[batch, layer, token, hidden]`."""
        inputs = trace.embedding.detach()
        baseline = baseline_embedding(trace, self.baseline)
        index = torch.arange(len(inputs), device=inputs.device)
        scores = []
        architecture = one_architecture_of(trace.model)
        for layer in model_layers(trace.model):
            # where a LayerNorm ends the layer, its output is the layer's; the layer module may return attention too
            place = layer if architecture.pre_norm else layer.get_submodule(str(architecture.feed_forward_norm))
            found: Any = CaptumLayerIntegratedGradients(trace.forward_from, place).attribute(
                inputs,
                baselines=baseline,
                additional_forward_args=index,
                n_steps=self.steps,
                internal_batch_size=max(len(inputs), trace.token_budget // inputs.shape[1]),
                attribute_to_layer_input=False,
            )
            scores.append(found.detach())
        return torch.stack(scores, dim=1)
