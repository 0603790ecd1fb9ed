"""Integrated gradients as a reference (Sundararajan et al. 2017), through Captum. https://arxiv.org/abs/1703.01365"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from harness.tracing.run import Trace
from methods.explainers import integrated_gradients


@dataclass(frozen=True)
class IntegratedGradients:
    """The scores of the explainer of this name, which describes the parameters.

    Args:
        baseline: `run`, `pad`, `unk`, `mask` or `zero`.
        steps: number of points of the quadrature.
        reduce: `abs_sum`, `sum`, `l2`, `l1` or `mean_abs`.
    """

    cost: ClassVar[str] = "passes by step"

    baseline: str = "run"
    steps: int = 20
    reduce: str = "abs_sum"

    def __post_init__(self):
        self._explainer()  # checks the parameters

    @property
    def reduction(self) -> str:
        """How hidden dimensions become one number per token."""
        return self.reduce

    def __call__(self, trace: Trace) -> Tensor:  # [batch, token]
        return self._explainer()(trace)[:, 0]

    def _explainer(self) -> integrated_gradients.IntegratedGradients:
        return integrated_gradients.IntegratedGradients(self.baseline, self.steps, self.reduce)
