"""LIME: a local linear model of the output (Ribeiro et al. 2016, section 3), through Captum.

https://arxiv.org/abs/1602.04938
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from captum.attr import Lime as CaptumLime
from torch import Tensor, nn

from harness import check
from harness.tracing.run import Trace
from methods.removal import check_parameters, check_removal
from methods.single_example import UNITS, SingleExample, removed_one_by_one
from methods.surrogate import Lasso, WeightedRegression

UNCHANGED = 1e-12


@dataclass(frozen=True)
class Lime:
    """Signed coefficients of a penalised linear model of the output, on texts with words left out at random.

    Near texts weigh more, and the penalty is on the squares of the coefficients. Without a `width` all texts weigh the
    same, and with `lasso` instead of `ridge` the penalty is on the absolute coefficients of standardised words, as in
    ContextCite (Cohen-Wang et al. 2024, section 3), whose log-odds of the response are the run's difference of two
    words' logits. https://arxiv.org/abs/2409.00729

    A sentence's weight is the paper's, exp(-d^2 / width^2), with the distance and width of the authors' text program:
    d is 100 times the cosine distance from the whole sentence, both as vectors of ones and zeros. That program takes
    the square root of the weight, which makes the kernel wider by the root of 2, includes the whole sentence among the
    samples, and draws the number of words first, where Captum leaves out each word with probability 1/2. All words
    are kept as features. Special tokens are always present and score 0. All draws depend on the seed and the
    example's id.

    `samples` forward passes.

    Args:
        samples: number of sentences with words left out.
        width: of the kernel; None for equal weights.
        ridge: penalty on the squares of the coefficients.
        lasso: penalty on their sizes instead, which leaves many at zero; None for none.
        units: what is left out: `words`, or whole `sentences`, whose words then share one score.
        removal: how absent words are removed, see `methods.removal`.
        seed: of the sentences.
    """

    cost: ClassVar[str] = "passes by step"
    layerless: ClassVar[bool] = True

    samples: int = 200
    width: float | None = 25.0
    ridge: float = 1.0
    lasso: float | None = None
    units: str = "words"
    removal: str = "run"
    seed: int = 0

    def __post_init__(self):
        check.count("samples", self.samples)
        if self.width is not None:
            check.number("width", self.width, UNCHANGED, float("inf"))
        if self.lasso is not None:
            check.number("lasso", self.lasso, UNCHANGED, float("inf"))
        check.number("ridge", self.ridge, 0, float("inf"))
        check.choice("units", self.units, UNITS)
        check_parameters(self.removal)
        check.count("seed", self.seed, low=0)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model that cannot be given a text without a token in this way."""
        check_removal(self.removal, model)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, 1, token]
        return removed_one_by_one(trace, self.removal, self._attribute, self.seed, self.units)[:, None]

    def _attribute(self, example: SingleExample) -> Tensor:
        surrogate: Any = WeightedRegression(self.ridge) if self.lasso is None else Lasso(self.lasso)
        return CaptumLime(example.forward, interpretable_model=surrogate, similarity_func=self._weight).attribute(
            example.present,
            baselines=0,
            n_samples=self.samples,
            perturbations_per_eval=example.at_once,
        )

    def _weight(self, _original: Tensor, _changed: Tensor, kept: Tensor, **_more: Any) -> Tensor:
        """Weight of one sentence, given the words that it keeps, `[1, word]`."""
        if self.width is None:
            return torch.ones(1, dtype=torch.float64)
        cosine = kept.double().mean().sqrt()  # cosine of a vector of ones and zeros with a vector of ones
        distance = 100 * (1 - cosine)
        return torch.exp(-((distance / self.width) ** 2))[None]
