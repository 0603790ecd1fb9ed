"""ALTI: how close each token's summand is to the attention block's output (Ferrando et al. 2022, section 3).

https://arxiv.org/abs/2203.04212
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from harness.tracing.layer import LayerRun
from harness.tracing.model_parts import layer_parts
from harness.tracing.run import Trace
from methods.decomposition import add_residual, at_rows, rolled_out


@dataclass(frozen=True)
class Alti:
    """The product of all layers' contribution maps from the input up to each layer.

    A token's contribution is the l1 norm of the attention block's output less the l1 distance of the token's summand
    from it, zero where that is negative. The block's output includes its biases, the summands do not. Where all of a
    query's contributions are clipped, they are NaN. In a pre-LN model the block ends before the next LayerNorm.
    """

    cost: ClassVar[str] = "layer arithmetic"

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model whose layers' parts cannot be found."""
        layer_parts(model)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, token]
        return rolled_out(trace, _contribution, normalise=True)


def _contribution(run: LayerRun, rows: Tensor, parts: Tensor) -> Tensor:
    parts = add_residual(run, rows, parts)
    norm = run.layer.attention_norm
    if norm is not None and not run.layer.pre_norm:
        parts = norm.shares(parts, at_rows(run.attended, rows))
    output = at_rows(run.middle, rows)[:, :, None].double()  # [batch, row, 1, hidden]
    # Norm minus distance, dimension by dimension: the difference of two nearly equal sums would lose digits
    return (output.abs() - (output - parts).abs()).sum(dim=-1).clamp(min=0)
