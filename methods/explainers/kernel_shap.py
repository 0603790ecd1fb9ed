"""KernelSHAP: Shapley values by weighted linear regression (Lundberg & Lee 2017), through Captum.

https://arxiv.org/abs/1705.07874
"""

from dataclasses import dataclass
from typing import ClassVar

from captum.attr import KernelShap as CaptumKernelShap
from torch import Tensor, nn

from harness import check
from harness.tracing.run import Trace
from methods.removal import check_parameters, check_removal
from methods.single_example import SingleExample, removed_one_by_one
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
        removal: how absent words are removed, see `methods.removal`.
        seed: of the subsets.
    """

    cost: ClassVar[str] = "passes by step"
    layerless: ClassVar[bool] = True

    samples: int = 200
    removal: str = "run"
    seed: int = 0

    def __post_init__(self):
        check.count("samples", self.samples, low=2)
        check_parameters(self.removal)
        check.count("seed", self.seed, low=0)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model that cannot be given a text without a token in this way."""
        check_removal(self.removal, model)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, 1, token]
        return removed_one_by_one(trace, self.removal, self._attribute, self.seed)[:, None]

    def _attribute(self, example: SingleExample) -> Tensor:
        if len(example.places) == 1:  # no subset between all and nothing: the value of the only word
            whole, empty = example.forward(example.present), example.forward(1 - example.present)
            return (whole - empty)[:, None]
        method = CaptumKernelShap(example.forward)
        method.interpretable_model = WeightedRegression()  # pyright: ignore[reportAttributeAccessIssue]
        return method.attribute(
            example.present,
            baselines=0,
            n_samples=self.samples,
            perturbations_per_eval=example.at_once,
        )
