"""How close each token's summand is to the attention block's output (Ferrando et al. 2022, section 3).

https://arxiv.org/abs/2203.04212
"""

from torch import Tensor

from harness.tracing.layer import LayerRun
from methods.decomposition import add_residual, at_rows


def contribution(run: LayerRun, rows: Tensor, parts: Tensor) -> Tensor:
    """ALTI's contributions, not yet normalised, of summands `[batch, row, key, hidden]`.

    A token's contribution, `[batch, row, key]`, is the l1 norm of the block's output less the l1 distance of the
    token's summand from it, zero where that is negative. The output includes its biases, the summands do not.
    """
    parts = add_residual(run, rows, parts)
    norm = run.layer.attention_norm
    if norm is not None and not run.layer.pre_norm:
        parts = norm.shares(parts, at_rows(run.attended, rows))
    return proximity(parts, at_rows(run.middle, rows)).clamp(min=0)


def proximity(parts: Tensor, output: Tensor) -> Tensor:
    """The l1 norm of outputs `[..., hidden]` less the l1 distances of parts `[..., part, hidden]`, float64."""
    output = output[..., None, :].double()
    # Norm minus distance, dimension by dimension: the difference of two nearly equal sums would lose digits
    return (output.abs() - (output - parts).abs()).sum(dim=-1)
