"""Value zeroing: how much a state changes when attention cannot read a token's value (Mohebbi et al. 2023, section 4).

https://arxiv.org/abs/2301.12971
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from harness.tracing.layer import LayerRun
from harness.tracing.model_parts import layer_parts
from harness.tracing.run import Trace
from methods.decomposition import at_rows, explained_rows, normalised, rolled_out, without


@dataclass(frozen=True)
class ValueZeroing:
    """Cosine distance between a layer's output and its output with a token's value vector set to zero in all heads.

    Each layer is re-run from its true input. Values do not affect queries and keys, so a re-run starts after the
    attention weights: the token's summand is subtracted from attention's output, and the rest of the layer is run.

    Args:
        rollout: True for the product of the maps up to each layer, with no residual; False for each layer's own row.
            Rows are divided by their sum, NaN where that is zero.
    """

    cost: ClassVar[str] = "layer arithmetic"

    rollout: bool = False

    def __post_init__(self):
        if not isinstance(self.rollout, bool):
            raise ValueError(f"rollout is true or false, got {self.rollout!r}")

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model whose layers' parts cannot be found."""
        layer_parts(model)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, token]
        if self.rollout:
            return rolled_out(trace, _turn, normalise=True)
        return normalised(explained_rows(trace, _turn), trace.batch.attention_mask.bool()[:, None])


def _turn(run: LayerRun, rows: Tensor, parts: Tensor) -> Tensor:
    changed = without(run, rows, parts)  # [batch, row, key, hidden]
    plain = at_rows(run.output, rows)[:, :, None]
    # 1 - cos as half the squared distance of unit vectors: subtracting two numbers near 1 would lose digits
    apart = plain / plain.norm(dim=-1, keepdim=True) - changed / changed.norm(dim=-1, keepdim=True)
    return apart.square().sum(dim=-1) / 2
