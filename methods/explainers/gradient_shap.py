"""GradientSHAP: expected gradients at random points of the path (Lundberg & Lee 2017), through Captum.

https://arxiv.org/abs/1705.07874
"""

import warnings
from dataclasses import dataclass
from typing import ClassVar

from captum.attr import GradientShap as CaptumGradientShap
from torch import Tensor

from harness import check
from harness.tracing.run import Inexact, Trace
from methods.blanks import BASELINES
from methods.completeness import GAP, completeness_gap, difference
from methods.reduction import check_reduce, reduced
from methods.single_example import SingleExample, one_by_one


@dataclass(frozen=True)
class GradientShap:
    """The gradient at random points between a baseline and the noisy input, times their difference.

    A random estimate of integrated gradients with the same baseline. Points and noise depend on the seed and the
    example's id. The scores should add up to the output's difference between input and baseline: a run warns
    (`Inexact`) where they miss it by more than 5% of their size for half of a batch.

    `samples` forward passes and as many backward, one sentence at a time but all samples together: memory grows with
    samples x tokens, whatever the token budget.

    Args:
        baseline: the word embedding of `pad`, `unk` or `mask` in each text token's place, or `zero`.
        samples: number of random points.
        noise: standard deviation of the noise on the input's embedding; 0, as here, is Captum's default.
        reduce: `abs_sum` or, with its sign, `sum`; or `l2`, `l1`, `mean_abs`.
        seed: of points and noise.
    """

    cost: ClassVar[str] = "passes by step"
    layerless: ClassVar[bool] = True

    baseline: str = "unk"
    samples: int = 50
    noise: float = 0.0
    reduce: str = "abs_sum"
    seed: int = 0

    def __post_init__(self):
        check.choice("baseline", self.baseline, BASELINES)
        check.count("samples", self.samples)
        check.number("noise", self.noise, 0, float("inf"))
        check_reduce(self.reduce)
        check.count("seed", self.seed, low=0)

    @property
    def reduction(self) -> str:
        """How hidden dimensions become one number per token."""
        return self.reduce

    def __call__(self, trace: Trace) -> Tensor:  # [batch, 1, token]
        scores = one_by_one(trace, self.baseline, self._attribute, self.seed)
        gap = completeness_gap(scores, difference(trace, self.baseline)).nanmedian()
        if gap > GAP:
            warnings.warn(
                f"GradientSHAP with samples={self.samples}: in half of a batch's examples the scores are off adding up "
                f"to the output's difference by more than {GAP:.0%} of their size; raise samples",
                Inexact,
                stacklevel=2,
            )
        return reduced(scores, self.reduce, trace.batch.attention_mask, "GradientSHAP")[:, None]

    def _attribute(self, example: SingleExample) -> Tensor:
        return CaptumGradientShap(example.forward).attribute(
            example.inputs.clone().requires_grad_(),
            baselines=example.baseline,
            n_samples=self.samples,
            stdevs=self.noise,
        )
