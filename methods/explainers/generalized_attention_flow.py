"""Generalized attention flow (Azarkhalili & Libbrecht 2025, section 3). https://arxiv.org/abs/2502.15765"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness import check
from harness.tracing.run import Trace
from harness.tracing.steps import check_one_sided
from methods.barrier_flow import central_flow
from methods.explained_output import check_output, explaining
from methods.gradient_attention import positive_product

CAPACITIES = ("attention_x_gradient", "attention", "gradient")
GAP = 1e-7  # how far below the maximum the flow's value may be, as a share of it


@dataclass(frozen=True)
class GeneralizedAttentionFlow:
    """How much of one maximum flow from the explained position at each layer to all tokens ends at each token.

    Of all maximum flows it is the central one, which the paper's log barrier approaches as its weight goes to zero:
    so equal tokens get equal scores. The scores add up to the maximum flow, which lower layers cannot increase.

    One backward pass in addition to the trace where gradients are used, and one flow per layer, on the CPU.

    Args:
        capacity: of the edges, a mean over heads: `attention_x_gradient`, positive parts (the paper's AGF),
            `attention` (AF), or `gradient`, positive parts (GF).
        residual: weight of the identity mixed into each layer's capacities.
        output: the scalar whose gradient is taken: `logit`, or another, or `run` for the run's own.
    """

    cost: ClassVar[str] = "few passes"

    capacity: str = "attention_x_gradient"
    residual: float = 0.0
    output: str = "logit"

    def __post_init__(self):
        check.choice("capacity", self.capacity, CAPACITIES)
        check.number("residual", self.residual, 0, 1)
        check_output(self.output)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for an encoder-decoder."""
        check_one_sided(model)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, token]
        capacity = self.capacities(trace)
        layers = capacity.shape[1]
        scores = torch.zeros(capacity.shape[:2] + capacity.shape[3:], dtype=torch.float64)
        lengths, positions = trace.batch.length.tolist(), trace.position.tolist()
        for example, (n, position) in enumerate(zip(lengths, positions, strict=True)):
            graph = capacity[example, :, :n, :n].cpu().numpy()
            for layer in range(layers):
                flow = central_flow(graph[: layer + 1], position, GAP)
                inputs = torch.from_numpy(flow.inputs)
                scores[example, layer, :n] = inputs.masked_fill(inputs <= GAP * flow.value, 0.0)
        return scores.to(capacity.device)

    def capacities(self, trace: Trace) -> Tensor:
        """Of the edges of each layer, float64, `[batch, layer, query, key]`."""
        if self.capacity == "attention":
            mean = trace.attention.double().mean(dim=2)
        else:
            gradient = explaining(trace, self.output).attention_gradient
            weight = trace.attention if self.capacity == "attention_x_gradient" else torch.ones_like(gradient)
            mean = positive_product(weight, gradient)
        identity = torch.diag_embed(trace.batch.attention_mask.double())  # [batch, query, key]
        return self.residual * identity[:, None] + (1 - self.residual) * mean
