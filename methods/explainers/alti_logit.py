"""ALTI-Logit: logit contributions traced back to the input tokens (Ferrando et al. 2023, section 4).

https://arxiv.org/abs/2305.12535
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness.tracing.run import Trace
from methods.alti_contribution import contribution
from methods.decomposition import rolled
from methods.logit_direction import check_direct, terms, unassigned_share


@dataclass(frozen=True)
class AltiLogit:
    """Each layer's logit contributions, signed, distributed over the input tokens by ALTI's rollout below it.

    A layer's row is the sum over the layers up to it, so the last one is the paper's. The sum over tokens is that of
    the logit contributions: what the feed-forward blocks, the biases and the explained position's embedding add belongs
    to no token.
    """

    cost: ClassVar[str] = "layer arithmetic"

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model whose logits are no sum over what its layers write."""
        check_direct(model)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, token]
        return trace.once(_scores)

    def unassigned(self, trace: Trace) -> Tensor:
        """The share of feed-forward blocks, biases and the explained position's embedding, `[batch, layer]`."""
        return unassigned_share(trace.once(terms).unassigned_up_to, trace.once(_scores))


def _scores(trace: Trace) -> Tensor:  # [batch, layer, token]
    each = trace.once(terms).attention
    below = torch.diag_embed(trace.batch.attention_mask.double())  # [batch, query, token]
    rows, total = [], torch.zeros_like(each[:, 0])
    for step, up_to in enumerate(rolled(trace, contribution, normalise=True)):
        total = total + (each[:, step, None] @ below)[:, 0]
        rows.append(total)
        below = up_to
    return trace.ends(rows)
