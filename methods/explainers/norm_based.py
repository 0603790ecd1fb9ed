"""Norms of what attention draws from each token (Kobayashi et al. 2020, section 3; 2021, section 3).

https://arxiv.org/abs/2004.10102, https://arxiv.org/abs/2109.07152
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from harness import check
from harness.tracing.layer import LayerRun
from harness.tracing.model_parts import layer_parts
from harness.tracing.run import Trace
from methods.decomposition import add_residual, at_rows, explained_rows, written

BLOCKS = ("attention", "residual", "layer_norm")


@dataclass(frozen=True)
class NormBased:
    """The norm of each token's summand of the explained position's state, after the attention block of each layer.

    Biases of the output projection and of the LayerNorm belong to no token and are left out.

    Args:
        block: what the summands have passed through: `attention` alone (N); its `residual` too, which adds the token's
            own state to its own summand, inside the norm (N-Res); and the `layer_norm` after it, linear with its
            actual deviation (N-ResLN). A pre-LN model has no LayerNorm there: `layer_norm` equals `residual`.
    """

    cost: ClassVar[str] = "layer arithmetic"

    block: str = "attention"

    def __post_init__(self):
        check.choice("block", self.block, BLOCKS)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model whose layers' parts cannot be found."""
        layer_parts(model)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, token]
        return explained_rows(trace, self._norm)

    def _norm(self, run: LayerRun, rows: Tensor, parts: Tensor) -> Tensor:
        norm = run.layer.attention_norm
        parts = written(run, rows, parts) if self.block == "attention" else add_residual(run, rows, parts)
        if self.block == "layer_norm" and norm is not None and not run.layer.pre_norm:
            parts = norm.shares(parts, at_rows(run.attended, rows))
        return parts.norm(dim=-1)
