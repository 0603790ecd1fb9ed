"""AttnLRP: relevance propagation through attention (Achtibat et al. 2024, section 3).

https://arxiv.org/abs/2402.05602
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from harness.tracing.run import Trace
from methods.gradient_rules import check_parameters, check_rules, scores


@dataclass(frozen=True)
class AttnLRP:
    """The target's logit distributed over tokens: gradient times input with a modified backward pass.

    LayerNorms and activations are treated as linear, and the two factors of each matrix product in attention split
    its relevance. What does not reach the tokens stays with the biases, the position embeddings and the softmax.

    One forward and one backward pass in addition to the trace.

    Args:
        at: the `word` embedding's output, or the input of the `first_layer`, positions included.
        reduce: `sum` with its sign, as published, or `abs_sum`, `l2`, `l1`, `mean_abs`.
    """

    cost: ClassVar[str] = "few passes"

    at: str = "word"
    reduce: str = "sum"

    def __post_init__(self):
        check_parameters(self.at, self.reduce)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model with steps that have no rule."""
        check_rules(model, self.at)

    @property
    def reduction(self) -> str:
        """How hidden dimensions become one number per token."""
        return self.reduce

    @property
    def layerless(self) -> bool:
        """Whether there is one row for the whole model."""
        return self.at == "word"

    def __call__(self, trace: Trace) -> Tensor:  # [batch, 1, token]
        return scores(trace, "gradient", self.at, self.reduce)
