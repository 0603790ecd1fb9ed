"""Raw attention of each layer (Abnar & Zuidema 2020, section 2). https://arxiv.org/abs/2005.00928"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from harness.tracing.run import Trace
from methods.mixing import check_parameters, mixing


@dataclass(frozen=True)
class Attention:
    """The explained position's attention to each token.

    In an encoder-decoder, a layer's cross-attention to the source and its self-attention to the prefix, each of which
    sums to 1 by itself.

    Args:
        residual: weight of the identity mixed into each layer; the paper's raw attention has none.
        heads: `mean`, `max` or `min` over heads, or `each` head as a separate row.
        read_out: what the model's `head` reads, the explained position's `row`, or `max`, `mean` or `sum`
            over all queries.
    """

    cost: ClassVar[str] = "no pass"

    residual: float = 0.0
    heads: str = "mean"
    read_out: str = "head"

    def __post_init__(self):
        check_parameters(self.residual, self.heads, self.read_out)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, (head,) token]
        return trace.read_out(mixing(trace, self.residual, self.heads), self.read_out)
