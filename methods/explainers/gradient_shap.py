"""GradientSHAP: expected gradients at random points of the path (Lundberg & Lee 2017), through Captum.

https://arxiv.org/abs/1705.07874
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from captum.attr import GradientShap as CaptumGradientShap
from torch import Tensor

from harness import check
from harness.tracing.notices import Inexact
from harness.tracing.run import Trace
from methods.blanks import BASELINES, baseline_embedding
from methods.completeness import GAP, completeness_gap, difference
from methods.reduction import check_reduce, reduced
from methods.single_example import one_by_one


@dataclass(frozen=True)
class GradientShap:
    """The gradient at random points between a baseline and the noisy input, times their difference.

    A random estimate of integrated gradients with the same baseline. Points and noise depend on the seed and the
    example's id. The scores should add up to the output's difference between input and baseline: a run warns
    (`Inexact`) where they miss it by more than 5% of their size for half of a batch.

    `samples` forward passes and as many backward, one sentence at a time but all samples together: memory grows with
    samples x tokens, whatever the token budget.

    Args:
        baseline: the word embedding of `pad`, `unk` or `mask` in each text token's place, or `zero`;
            `run` for `unk`, and in a causal model `zero`.
        samples: number of random points.
        noise: standard deviation of the noise on the input's embedding; 0, as here, is Captum's default.
        reduce: `abs_sum` or, with its sign, `sum`; or `l2`, `l1`, `mean_abs`.
        seed: of points and noise.
    """

    cost: ClassVar[str] = "passes by step"
    layerless: ClassVar[bool] = True

    baseline: str = "run"
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
        inputs, blank = trace.embedding.detach(), baseline_embedding(trace, self.baseline)
        scores = torch.zeros_like(inputs)
        for row, places in one_by_one(trace, trace.batch.text, self.seed):
            forward = partial(changed_words, trace, row, places)
            scores[row, places] = self._attribute(forward, inputs[row, None, places], blank[row, None, places]).to(
                scores
            )
        gap = completeness_gap(scores, difference(trace, self.baseline)).nanmedian()
        if gap > GAP:
            warnings.warn(
                f"GradientSHAP with samples={self.samples}: in half of a batch's examples the scores are off adding up "
                f"to the output's difference by more than {GAP:.0%} of their size; raise samples",
                Inexact,
                stacklevel=2,
            )
        return reduced(scores, self.reduce, trace.batch.attention_mask, "GradientSHAP")[:, None]

    def _attribute(self, forward: Callable[[Tensor], Tensor], words: Tensor, blank: Tensor) -> Tensor:
        return (
            CaptumGradientShap(forward)
            .attribute(words.clone().requires_grad_(), baselines=blank, n_samples=self.samples, stdevs=self.noise)
            .detach()[0]
        )


def changed_words(trace: Trace, row: int, places: Tensor, words: Tensor) -> Tensor:
    """The output of one example with changed words, `[variant, word, hidden] -> [variant]`, differentiable."""
    whole = trace.embedding.detach()[row].expand(len(words), -1, -1)
    index = torch.full((len(words),), row, device=words.device)
    return trace.forward_from(whole.index_copy(1, places, words.to(whole.dtype)), index)
