"""Information flow routes: the importance of every edge into the explained state (Ferrando & Voita 2024, section 3).

https://arxiv.org/abs/2403.00824
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness import check
from harness.tracing.layer import LayerRun
from harness.tracing.model_parts import layer_parts
from harness.tracing.run import Trace
from methods.alti_contribution import proximity
from methods.decomposition import at_rows, product, transformed, written

LEAST = 1e-5  # of a proximity, as in the authors' program


@dataclass(frozen=True)
class InformationFlowRoutes:
    """The product of all layers' maps of importance from the input up to each layer.

    The parts of an attention block's output are one vector for each key and head, and the residual. A part's importance
    is ALTI's proximity to the output, at least 1e-5, over the sum of all parts'. A map adds up the heads, and the
    residual at the token itself. The feed-forward block and its residual lead to the same token, and change nothing.

    Args:
        threshold: edges of less importance are left out, and the rest rescaled to sum to 1; the residual always stays.
            The paper draws its graphs with 0.04, which leaves most tokens of a text with a score of zero.
    """

    cost: ClassVar[str] = "layer arithmetic"

    threshold: float = 0.0

    def __post_init__(self):
        check.number("threshold", self.threshold, 0, 1)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model whose layers' parts cannot be found, or are post-LN."""
        if not all(layer.pre_norm for layer in layer_parts(model)):
            raise ValueError("it compares what layers write to the residual stream, and this model's are post-LN")

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, token]
        maps = (self._map(trace, run) for run in trace.layer_runs)
        return trace.read_out(trace.ends(product(trace, maps)))

    @torch.no_grad()
    def _map(self, trace: Trace, run: LayerRun) -> Tensor:  # [batch, query, key]
        vectors = transformed(run)  # [batch, key, head, hidden]
        batch, token, heads, _ = vectors.shape
        real = trace.batch.attention_mask.bool()
        width = max(1, trace.token_budget // (batch * token * heads))
        chunks = []
        for rows in torch.arange(token, device=real.device).expand(batch, -1).split(width, dim=1):
            seen = int(rows.max()) + 1 if trace.causal else token  # keys that come later are masked
            weights = at_rows(run.attention.transpose(1, 2), rows).permute(0, 1, 3, 2)[:, :, :seen]
            parts = (weights[..., None] * vectors[:, None, :seen]).flatten(2, 3)  # [batch, row, key * head, hidden]
            output = at_rows(run.attended, rows)  # [batch, row, hidden]
            edges = proximity(written(run, rows, parts), output).clamp(min=LEAST)
            edges = edges.masked_fill(weights.flatten(2) == 0, 0.0)  # what is masked is no edge
            own = proximity(at_rows(run.state, rows)[:, :, None], output).clamp(min=LEAST)  # [batch, row, 1]
            total = edges.sum(dim=-1, keepdim=True) + own
            edges = edges.masked_fill(edges < self.threshold * total, 0.0)
            total = edges.sum(dim=-1, keepdim=True) + own
            summed = (edges / total).unflatten(-1, (seen, heads)).sum(dim=-1)  # [batch, row, key]
            summed = nn.functional.pad(summed, (0, token - seen))
            chunks.append(summed.scatter_add(2, rows[:, :, None], own / total))
        return torch.cat(chunks, dim=1)
