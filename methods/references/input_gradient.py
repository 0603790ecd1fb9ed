"""The size of the output's gradient at each token's embedding (Abnar & Zuidema 2020, section 4).

https://arxiv.org/abs/2005.00928
"""

from dataclasses import dataclass

from torch import Tensor

from harness.trace import Trace
from methods.reduction import check_reduce, reduced


@dataclass(frozen=True)
class InputGradient:
    """Gradient of the explained output with respect to the word embedding, reduced over hidden dimensions.

    Args:
        reduce: `l2`, `l1` or `mean_abs`; `abs_sum` and `sum` are the authors' forms, zero up to rounding in a model
            whose embedding is only read through LayerNorms.
    """

    reduce: str = "l2"

    def __post_init__(self):
        check_reduce(self.reduce)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, token]
        return reduced(trace.gradient, self.reduce, trace.batch.attention_mask)
