"""Logit contributions: what attention adds to the explained logits from each token (Ferrando et al. 2023, section 3).

https://arxiv.org/abs/2305.12535
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from harness import check
from harness.tracing.run import Trace
from methods.logit_direction import check_direct, terms, unassigned_share


@dataclass(frozen=True)
class Logit:
    """What each layer's attention reads from a token's state, projected on the explained logits; signed.

    A state is taken as its own token's, although it already holds others: ALTI-Logit corrects this. What the
    feed-forward blocks, the biases and the explained position's embedding add belongs to no token; all of it together
    is the explained logit, or the difference of logits where the run explains a difference.

    Args:
        accumulate: whether a layer's row is the sum over the layers up to it; the last one is then the paper's.
    """

    cost: ClassVar[str] = "layer arithmetic"

    accumulate: bool = False

    def __post_init__(self):
        check.choice("accumulate", self.accumulate, (True, False))

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model whose logits are no sum over what its layers write."""
        check_direct(model)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, token]
        each = trace.once(terms).layers
        return each.cumsum(dim=1) if self.accumulate else each

    def unassigned(self, trace: Trace) -> Tensor:
        """The share of feed-forward blocks and biases, and with `accumulate` the embedding, `[batch, layer]`."""
        found = trace.once(terms)
        return unassigned_share(found.unassigned_up_to if self.accumulate else found.unassigned, self(trace))
