"""Shapley values by sampling orders of the tokens (Strumbelj & Kononenko 2010), through Captum.

https://jmlr.org/papers/v11/strumbelj10a.html
"""

from dataclasses import dataclass
from typing import ClassVar

from captum.attr import ShapleyValueSampling as CaptumShapleyValueSampling
from torch import Tensor

from harness import check
from harness.tracing.run import Trace
from methods.blanks import BASELINES
from methods.single_example import SingleExample, one_by_one


@dataclass(frozen=True)
class ShapleyValueSampling:
    """Each word's mean signed change of the output when it joins the words before it in a random order.

    The scores add up to the output's difference between the sentence and the baseline, which keeps the special tokens:
    these are not players and score 0. Orders depend on the seed and the example's id.

    `samples` forward passes per word.

    Args:
        samples: number of orders.
        baseline: what replaces an absent word: the word embedding of `pad`, `unk` or `mask`, or `zero`.
        seed: of the orders.
    """

    cost: ClassVar[str] = "passes by step and token"
    layerless: ClassVar[bool] = True

    samples: int = 25
    baseline: str = "unk"
    seed: int = 0

    def __post_init__(self):
        check.count("samples", self.samples)
        check.choice("baseline", self.baseline, BASELINES)
        check.count("seed", self.seed, low=0)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, 1, token]
        # every dimension of a token has the token's own score
        return one_by_one(trace, self.baseline, self._attribute, self.seed).mean(dim=2)[:, None]

    def _attribute(self, example: SingleExample) -> Tensor:
        return CaptumShapleyValueSampling(example.forward).attribute(
            example.inputs,
            baselines=example.baseline,
            feature_mask=example.players,
            n_samples=self.samples,
            perturbations_per_eval=example.at_once,
        )
