"""Attention rollout (Abnar & Zuidema 2020, equation 1). https://arxiv.org/abs/2005.00928"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from harness import check
from harness.tracing.run import Trace
from methods.mixing import check_parameters, over_heads, with_residual
from methods.receptive_field import check_receptive_field, normalised


@dataclass(frozen=True)
class Rollout:
    """The product of all layers' mixing matrices from the input up to each layer.

    With `heads=each`, head k of layer l is applied on top of the head-averaged layers below it (appendix A.1).

    Args:
        residual: weight of the identity mixed into each layer.
        heads: `mean`, `max` or `min` over heads, or `each` head as a separate row.
        read_out: what the model's `head` reads, the explained position's `row`, or `max`, `mean` or `sum`
            over all queries.
        receptive_field: what a score is taken in relation to, since early tokens of a causal model are read by more
            queries: `none`, `size`, `uniform` or `rows_shuffled` (`draws` of them, by `seed`), as in
            `methods.receptive_field`.
        draws: number of shuffles.
        seed: of the shuffles.
        encoder: in an encoder-decoder, whether the source is followed through the encoder; otherwise each of
            the encoder's states counts as its own token.
    """

    cost: ClassVar[str] = "no pass"

    residual: float = 0.5
    heads: str = "mean"
    read_out: str = "head"
    receptive_field: str = "none"
    draws: int = 8
    seed: int = 0
    encoder: bool = True

    def __post_init__(self):
        check_parameters(self.residual, self.heads, self.read_out)
        check_receptive_field(self.receptive_field, self.draws, self.seed)
        check.choice("encoder", self.encoder, (True, False))

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, (head,) token]
        def score(attention: Tensor) -> Tensor:
            return self._rolled(trace, attention)

        return normalised(trace, over_heads(trace, self.heads), score, self.receptive_field, self.draws, self.seed)

    def _rolled(self, trace: Trace, attention: Tensor) -> Tensor:
        by_head = self.heads == "each"
        tops = with_residual(trace, attention, self.residual)
        layers = with_residual(trace, attention.mean(dim=2), self.residual) if by_head else tops
        below = torch.diag_embed(trace.batch.attention_mask.double())  # [batch, query, key]
        rolled: list[Tensor] = []
        for number, step in enumerate(trace.steps):
            above = layers[:, number] @ below if self.encoder or step.layer is not None else below
            rolled.append(tops[:, number] @ below[:, None] if by_head else above)
            below = above
        return trace.read_out(trace.ends(rolled), self.read_out)
