"""Shapley values of the tokens in attention flow (Metzger et al. 2022). https://arxiv.org/abs/2205.15389"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness import check
from harness.tracing.run import Trace
from methods.flow_game import exact_shapley, marginals, random_orders
from methods.mixing import over_heads, with_residual
from methods.seeded import generator

HEADS = ("mean", "max", "min")
MOST = 16  # players whose every subset can be wanted


@dataclass(frozen=True)
class FlowShapley:
    """A token's mean contribution to the flow from the explained position at each layer, over all orders of joining.

    The players are all of the example's tokens, ranked or not, and the value of a set is the maximum flow to its tokens
    together. So the scores add up to 1, what leaves the explained position, and no score is above the token's own flow.

    Exact for few tokens, with 2^n flows per step for n tokens; beyond, `samples` * n flows per step. On the CPU.

    Args:
        residual: weight of the identity mixed into each layer.
        heads: `mean`, `max` or `min` over heads.
        exact_up_to: the number of tokens, at most 16, up to which all sets are valued.
        samples: number of orders beyond it, a multiple of 4: two halves of pairs, see `random_orders`.
        seed: of the orders, which depend on it and on the example's id.
    """

    cost: ClassVar[str] = "no pass"

    residual: float = 0.5
    heads: str = "mean"
    exact_up_to: int = 10
    samples: int = 64
    seed: int = 0

    def __post_init__(self):
        check.number("residual", self.residual, 0, 1)
        check.choice("heads", self.heads, HEADS)
        check.count("exact_up_to", self.exact_up_to, low=0)
        check.count("samples", self.samples, low=4)
        check.count("seed", self.seed, low=0)
        if self.exact_up_to > MOST:
            raise ValueError(
                f"exact_up_to is at most {MOST}, since the number of flows doubles with each token, got "
                f"{self.exact_up_to}: longer texts are sampled, see samples"
            )
        if self.samples % 4:
            raise ValueError(f"samples is a multiple of 4, two halves of pairs, got {self.samples}")

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, token]
        return trace.once(self._halves).mean(dim=0)

    def halves(self, trace: Trace) -> tuple[Tensor, Tensor] | None:
        """Scores from either half of the orders, `[batch, layer, token]`, whose mean is the scores; None where exact.

        An example that is short enough to be exact, in a batch with one that is not, has its exact scores twice.
        """
        if int(trace.batch.length.max()) <= self.exact_up_to:
            return None
        first, second = trace.once(self._halves)
        return first, second

    def _halves(self, trace: Trace) -> Tensor:  # [half, batch, layer, token]
        capacity, ends = network(trace, self.residual, self.heads)
        halves = np.zeros((2, len(capacity), len(ends), capacity.shape[-1]))
        lengths, positions = trace.batch.length.tolist(), trace.position.tolist()
        for row, (n, position) in enumerate(zip(lengths, positions, strict=True)):
            graph, tokens = capacity[row, :, :n, :n], np.arange(n)
            if n <= self.exact_up_to:
                halves[:, row, :, :n] = exact_shapley(graph, position, tokens)[ends]
                continue
            random = generator(self.seed, trace.batch.examples[row].id)
            for half in halves:
                orders = random_orders(n, self.samples // 4, random)
                half[row, :, :n] = marginals(graph, position, tokens, orders).mean(axis=0)[ends]
        return torch.from_numpy(halves).to(trace.logits.device)


def network(trace: Trace, residual: float, heads: str) -> tuple[NDArray[np.float64], list[int]]:
    """Capacities of every step, [batch, step, query, key], and the steps that end a layer.

    A token that does not read in a step passes on what it has: n tokens is more than ever arrives.
    """
    attention = over_heads(trace, heads)
    capacity = with_residual(trace, attention, residual, passed=float(attention.shape[-1]))
    ends = [number for number, step in enumerate(trace.steps) if step.closes]
    return capacity.cpu().numpy(), ends
