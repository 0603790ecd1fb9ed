"""KernelSHAP: Shapley values by weighted linear regression (Lundberg & Lee 2017), through Captum.

https://arxiv.org/abs/1705.07874
"""

from dataclasses import dataclass
from typing import ClassVar

from captum.attr import KernelShap as CaptumKernelShap
from torch import Tensor

from harness import check
from harness.tracing.run import Trace
from methods.blanks import BASELINES
from methods.single_example import SingleExample, one_by_one
from methods.surrogate import WeightedRegression


@dataclass(frozen=True)
class KernelShap:
    """Signed coefficients of the linear model that best predicts the output from which words are present.

    The number of words present is drawn from the Shapley kernel; all draws depend on the seed and the example's id.
    Special tokens are always present and score 0. With fewer samples than words the coefficients are not unique: the
    solution of least norm is taken.

    `samples` forward passes.

    Args:
        samples: number of word subsets, including the full and the empty one.
        baseline: what replaces an absent word: the word embedding of `pad`, `unk` or `mask`, or `zero`.
        seed: of the subsets.
    """

    cost: ClassVar[str] = "passes by step"
    layerless: ClassVar[bool] = True

    samples: int = 200
    baseline: str = "unk"
    seed: int = 0

    def __post_init__(self):
        check.count("samples", self.samples, low=2)
        check.choice("baseline", self.baseline, BASELINES)
        check.count("seed", self.seed, low=0)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, 1, token]
        # every dimension of a token has the token's own score
        return one_by_one(trace, self.baseline, self._attribute, self.seed).mean(dim=2)[:, None]

    def _attribute(self, example: SingleExample) -> Tensor:
        if len(example.places) == 1:  # no subset between all and nothing: the value of the only word
            whole, empty = (example.forward(words) for words in (example.inputs, example.baseline))
            return (whole - empty).view(1, 1, 1).expand_as(example.inputs)
        method = CaptumKernelShap(example.forward)
        method.interpretable_model = WeightedRegression()  # pyright: ignore[reportAttributeAccessIssue]
        return method.attribute(
            example.inputs,
            baselines=example.baseline,
            feature_mask=example.players,
            n_samples=self.samples,
            perturbations_per_eval=example.at_once,
        )
