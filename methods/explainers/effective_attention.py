"""Effective attention (Brunner et al. 2020, section 4): attention without the part that its values cancel.

https://arxiv.org/abs/1908.04211
"""

import copy
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness import check
from harness.contracts import ChecksModel, Explainer, Layerless, Reduces
from harness.tracing.model_parts import layer_parts
from harness.tracing.run import READ_OUTS, Trace
from harness.tracing.steps import check_one_sided

EPSILON = torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class EffectiveAttention:
    """The part of each head's attention that reaches the layer's output, averaged over heads.

    With T the head's values times its output projection, `[token, hidden]`, each row of A loses its component in the
    null space of T's transpose, so that A_eff T = A T. Rows need not sum to 1 and may be negative. Where a sentence
    has no more tokens than a head has dimensions, nothing is removed.

    No passes beyond the trace's.

    Args:
        of: an explainer that reads attention, e.g. rollout or flow, to be run on effective attention. It cannot use
            negative weights: they are set to zero for it, and rows are rescaled to sum to 1. None for the effective
            attention itself.
        read_out: without `of`, what the model's `head` reads, the explained position's `row`, or `max`, `mean` or `sum`
            over all queries.
    """

    cost: ClassVar[str] = "layer arithmetic"

    of: Explainer | None = None
    read_out: str = "head"

    def __post_init__(self):
        check.choice("read_out", self.read_out, READ_OUTS)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for an encoder-decoder, for layers that are not known, or where `of` cannot serve."""
        check_one_sided(model)
        layer_parts(model)
        if isinstance(self.of, ChecksModel):
            self.of.check_model(model)

    @property
    def reduction(self) -> str | None:
        """The reduction of the explainer it runs, if any."""
        return self.of.reduction if isinstance(self.of, Reduces) else None

    @property
    def layerless(self) -> bool:
        """As the explainer it runs."""
        return isinstance(self.of, Layerless) and self.of.layerless

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, (head,) token]
        effective = trace.once(effective_attention)  # [batch, layer, head, query, key]
        if self.of is None:
            return trace.read_out(effective.mean(dim=2), self.read_out)
        positive = effective.relu()
        total = positive.sum(dim=-1, keepdim=True)
        other = copy.copy(trace)
        other.forget()
        other.attention = positive / total.where(total > 0, 1.0)  # a row with no positive weight is padding's
        return self.of(other)


def effective_attention(trace: Trace) -> Tensor:
    """A_eff of each head, float64, `[batch, layer, head, query, key]`."""
    attention, length = trace.attention.double(), trace.batch.length  # [batch]
    real = trace.batch.attention_mask.double()[:, None, :, None]  # [batch, 1, token, 1]
    effective = []
    for number, run in enumerate(trace.layer_runs):
        weight = run.layer.attention_output.weight.double()  # [hidden, hidden]
        projection = weight.unflatten(1, (run.layer.heads, -1)).transpose(0, 1)  # [head, hidden, size]
        # T = V W = (V R') Q' with orthonormal rows in Q': the left singular vectors of T are those of V R'
        triangle = torch.linalg.qr(projection, mode="r").R
        narrow = run.value.double() * real @ triangle.mT  # [batch, head, token, size]
        vectors, values, _ = torch.linalg.svd(narrow, full_matrices=False)
        larger = length.clamp(min=len(weight)).view(-1, 1, 1)  # of token and hidden
        kept = values > larger * EPSILON * values.amax(dim=-1, keepdim=True)  # [batch, head, size]
        basis = vectors * kept[:, :, None]
        effective.append(attention[:, number] @ basis @ basis.mT)
    return torch.stack(effective, dim=1)
