"""The size of the output's gradient at each token's embedding (Abnar & Zuidema 2020, section 4).

https://arxiv.org/abs/2005.00928
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from harness import check
from harness.tracing.run import Trace
from methods.reduction import check_reduce, reduced

PLACES = ("word", "first_layer")


@dataclass(frozen=True)
class InputGradient:
    """Gradient of the explained output with respect to the input's embedding, reduced over hidden dimensions.

    Args:
        at: the `word` embedding's output, or the input of the `first_layer`: after positions are added and, where the
            model has one there, after the embedding's LayerNorm.
        reduce: `l2`, `l1` or `mean_abs`; `abs_sum` and `sum` are the authors' forms, zero up to rounding in a model
            that reads its embedding only through LayerNorms.
    """

    cost: ClassVar[str] = "few passes"

    reduce: str = "l2"
    at: str = "word"

    def __post_init__(self):
        check.choice("at", self.at, PLACES)
        check_reduce(self.reduce)

    @property
    def reduction(self) -> str:
        """How hidden dimensions become one number per token."""
        return self.reduce

    def __call__(self, trace: Trace) -> Tensor:  # [batch, token]
        gradient = trace.gradient if self.at == "word" else trace.first_layer_gradient
        return reduced(gradient, self.reduce, trace.batch.attention_mask, "the input gradient")
