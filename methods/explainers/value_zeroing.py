"""Value zeroing: how much a state changes when attention cannot read a token's value (Mohebbi et al. 2023, section 4).

https://arxiv.org/abs/2301.12971
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from harness import check
from harness.tracing.layer import LayerRun
from harness.tracing.model_parts import layer_parts
from harness.tracing.run import Trace
from methods.decomposition import at_rows, explained_rows, rolled_out, without


@dataclass(frozen=True)
class ValueZeroing:
    """Cosine distance between a layer's output and its output with a token's value vector set to zero in all heads.

    Each layer is re-run from its true input. Values do not affect queries and keys, so a re-run starts after the
    attention weights: the token's summand is subtracted from attention's output, and the rest of the layer is run.

    An encoder-decoder has three maps, of its encoder, of its decoder's self-attention and of its cross-attention
    (Mohebbi et al. 2023b, https://aclanthology.org/2023.emnlp-main.513). The latter two compare the same states, those
    after the whole decoder layer, whose cross-attention reads what its self-attention has changed. So a layer has one
    row for source and prefix together; on either side it is that of the published maps up to a factor.

    Args:
        rollout: True for the product of the maps up to each layer, with no residual; False for each layer's own row.
            Rows are divided by their sum, NaN where that is zero.
        encoder: in an encoder-decoder, whether a rollout follows the source through the encoder; otherwise each state
            that the encoder gives counts as its own token.
    """

    cost: ClassVar[str] = "layer arithmetic"

    rollout: bool = False
    encoder: bool = True

    def __post_init__(self):
        check.choice("encoder", self.encoder, (True, False))
        if not isinstance(self.rollout, bool):
            raise ValueError(f"rollout is true or false, got {self.rollout!r}")

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model whose layers' parts cannot be found."""
        layer_parts(model)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, token]
        if self.rollout:
            return rolled_out(trace, _turn, normalise=True, encoder=self.encoder, whole_layers=True)
        return explained_rows(trace, _turn, normalise=True)


def _turn(run: LayerRun, rows: Tensor, parts: Tensor) -> Tensor:
    changed = without(run, rows, parts)  # [batch, row, key, hidden]
    plain = at_rows(run.whole_output, rows)[:, :, None]
    # 1 - cos as half the squared distance of unit vectors: subtracting two numbers near 1 would lose digits
    apart = plain / plain.norm(dim=-1, keepdim=True) - changed / changed.norm(dim=-1, keepdim=True)
    return apart.square().sum(dim=-1) / 2
