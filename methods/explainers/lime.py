"""LIME: a local linear model of the output (Ribeiro et al. 2016, section 3), through Captum.

https://arxiv.org/abs/1602.04938
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from captum.attr import Lime as CaptumLime
from torch import Tensor

from harness import check
from harness.tracing.run import Trace
from methods.blanks import BASELINES
from methods.single_example import SingleExample, one_by_one
from methods.surrogate import WeightedRegression

UNCHANGED = 1e-12


@dataclass(frozen=True)
class Lime:
    """Signed coefficients of a ridge regression on sentences with words left out at random, near ones weighing more.

    A sentence's weight is the paper's, exp(-d^2 / width^2), with the distance and width of the authors' text program:
    d is 100 times the cosine distance from the whole sentence, both as vectors of ones and zeros. That program takes
    the square root of the weight, which makes the kernel wider by the root of 2, includes the whole sentence among the
    samples, and draws the number of words first, where Captum leaves out each word with probability 1/2. All words
    are kept as features. Special tokens are always present and score 0. All draws depend on the seed and the
    example's id.

    `samples` forward passes.

    Args:
        samples: number of sentences with words left out.
        width: of the kernel.
        ridge: penalty on the squares of the coefficients.
        baseline: what replaces an absent word: the word embedding of `pad`, `unk` or `mask`, or `zero`.
        seed: of the sentences.
    """

    cost: ClassVar[str] = "passes by step"
    layerless: ClassVar[bool] = True

    samples: int = 200
    width: float = 25.0
    ridge: float = 1.0
    baseline: str = "unk"
    seed: int = 0

    def __post_init__(self):
        check.count("samples", self.samples)
        check.number("width", self.width, UNCHANGED, float("inf"))
        check.number("ridge", self.ridge, 0, float("inf"))
        check.choice("baseline", self.baseline, BASELINES)
        check.count("seed", self.seed, low=0)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, 1, token]
        # every dimension of a token has the token's own score
        return one_by_one(trace, self.baseline, self._attribute, self.seed).mean(dim=2)[:, None]

    def _attribute(self, example: SingleExample) -> Tensor:
        surrogate: Any = WeightedRegression(self.ridge)
        return CaptumLime(example.forward, interpretable_model=surrogate, similarity_func=self._weight).attribute(
            example.inputs,
            baselines=example.baseline,
            feature_mask=example.players,
            n_samples=self.samples,
            perturbations_per_eval=example.at_once,
        )

    def _weight(self, _original: Tensor, _changed: Tensor, kept: Tensor, **_more: Any) -> Tensor:
        """Weight of one sentence, given the words that it keeps, `[1, word]`."""
        cosine = kept.double().mean().sqrt()  # cosine of a vector of ones and zeros with a vector of ones
        distance = 100 * (1 - cosine)
        return torch.exp(-((distance / self.width) ** 2))[None]
