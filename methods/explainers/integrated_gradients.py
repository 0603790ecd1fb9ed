"""Integrated gradients (Sundararajan et al. 2017), through Captum. https://arxiv.org/abs/1703.01365"""

import warnings
from dataclasses import dataclass
from typing import ClassVar

import torch
from captum.attr import IntegratedGradients as CaptumIntegratedGradients
from torch import Tensor

from harness import check
from harness.tracing.notices import Inexact
from harness.tracing.run import Trace
from methods.blanks import BASELINES, baseline_embedding
from methods.completeness import GAP, completeness_gap, difference
from methods.reduction import check_reduce, reduced


@dataclass(frozen=True)
class IntegratedGradients:
    """Gradients summed along the straight line from a baseline to the input, reduced over hidden dimensions.

    Before reduction the scores add up to the output's difference between input and baseline. The baseline keeps the
    sentence's special tokens and positions. Where the path is steep, too few steps miss part of that difference: a
    run warns (`Inexact`) where the miss exceeds 5% of the scores' size for half of a batch.

    Args:
        baseline: the word embedding of `pad`, `unk` or `mask` in each text token's place, or `zero`;
            `run` for `unk`, and in a causal model `zero`.
        steps: number of points of the Gauss-Legendre quadrature.
        reduce: `abs_sum` or, with its sign, `sum`: a token's share of that difference; or `l2`, `l1`, `mean_abs`.
    """

    cost: ClassVar[str] = "passes by step"
    layerless: ClassVar[bool] = True

    baseline: str = "run"
    steps: int = 20
    reduce: str = "abs_sum"

    def __post_init__(self):
        check.choice("baseline", self.baseline, BASELINES)
        check.count("steps", self.steps)
        check_reduce(self.reduce)

    @property
    def reduction(self) -> str:
        """How hidden dimensions become one number per token."""
        return self.reduce

    def __call__(self, trace: Trace) -> Tensor:  # [batch, 1, token]
        scores = self.attribute(trace)
        gap = completeness_gap(scores, difference(trace, self.baseline)).median()
        if gap > GAP:
            warnings.warn(
                f"integrated gradients with steps={self.steps}: in half of a batch's examples the scores are off "
                f"adding up to the output's difference by more than {GAP:.0%} of their size; raise steps",
                Inexact,
                stacklevel=2,
            )
        return reduced(scores, self.reduce, trace.batch.attention_mask, "integrated gradients")[:, None]

    def attribute(self, trace: Trace) -> Tensor:
        """The scores before reduction, `[batch, token, hidden]`."""
        inputs = trace.embedding.detach().requires_grad_()
        index = torch.arange(len(inputs), device=inputs.device)
        scores = CaptumIntegratedGradients(trace.forward_from).attribute(
            inputs,
            baselines=baseline_embedding(trace, self.baseline),
            additional_forward_args=index,
            n_steps=self.steps,
            internal_batch_size=max(len(inputs), trace.token_budget // inputs.shape[1]),
        )
        return scores.detach()  # Captum leaves the baseline attached to its graph
