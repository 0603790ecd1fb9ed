"""Shapley values by sampling orders of the tokens (Strumbelj & Kononenko 2010), through Captum.

https://jmlr.org/papers/v11/strumbelj10a.html
"""

from dataclasses import dataclass
from typing import ClassVar

from captum.attr import ShapleyValueSampling as CaptumShapleyValueSampling
from torch import Tensor, nn

from harness import check
from harness.tracing.run import Trace
from methods.removal import check_parameters, check_removal
from methods.single_example import SingleExample, removed_one_by_one


@dataclass(frozen=True)
class ShapleyValueSampling:
    """Each word's mean signed change of the output when it joins the words before it in a random order.

    The scores add up to the output's difference between the sentence and the baseline, which keeps the special tokens:
    these are not players and score 0. Orders depend on the seed and the example's id.

    `samples` forward passes per word.

    Args:
        samples: number of orders.
        removal: how absent words are removed, see `methods.removal`.
        seed: of the orders.
    """

    cost: ClassVar[str] = "passes by step and token"
    layerless: ClassVar[bool] = True

    samples: int = 25
    removal: str = "run"
    seed: int = 0

    def __post_init__(self):
        check.count("samples", self.samples)
        check_parameters(self.removal)
        check.count("seed", self.seed, low=0)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model that cannot be given a text without a token in this way."""
        check_removal(self.removal, model)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, 1, token]
        return removed_one_by_one(trace, self.removal, self._attribute, self.seed)[:, None]

    def _attribute(self, example: SingleExample) -> Tensor:
        return CaptumShapleyValueSampling(example.forward).attribute(
            example.present,
            baselines=0,
            n_samples=self.samples,
            perturbations_per_eval=example.at_once,
        )
