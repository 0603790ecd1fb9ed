"""Attention times its gradient (Grad-SAM, Barkan et al. 2021, equation 6). https://arxiv.org/abs/2204.11073"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from harness import check
from harness.tracing.run import READ_OUTS, Trace
from methods.explained_output import check_output, explaining
from methods.gradient_attention import positive_product


@dataclass(frozen=True)
class AttentionXGradient:
    """The mean over heads of each layer's attention times the output's gradient there, positive parts only.

    The paper sums over all layers and queries; here each layer has its own scores.

    One backward pass in addition to the trace.

    Args:
        output: the scalar whose gradient is taken, `logit` as in the paper, or `run` for the run's own.
        read_out: what the model's `head` reads, the explained position's `row`, or `max`, `mean` or `sum`
            over all queries.
    """

    cost: ClassVar[str] = "few passes"

    output: str = "logit"
    read_out: str = "head"

    def __post_init__(self):
        check_output(self.output)
        check.choice("read_out", self.read_out, READ_OUTS)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, token]
        gradient = explaining(trace, self.output).attention_gradient
        return trace.read_out(positive_product(trace.attention, gradient), self.read_out)
