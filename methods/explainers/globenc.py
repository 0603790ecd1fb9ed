"""GlobEnc: norms of what passes through the whole encoder block, rolled out (Modarressi et al. 2022, section 3).

https://arxiv.org/abs/2205.03286
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from harness import check
from harness.tracing.layer import LayerRun
from harness.tracing.model_parts import layer_parts
from harness.tracing.run import Trace
from methods.decomposition import add_residual, at_rows, rolled_out


@dataclass(frozen=True)
class GlobEnc:
    """The plain product of all layers' maps of norms, from the input up to each layer.

    The summands of attention and its residual pass through both LayerNorms, which are linear once their deviations are
    fixed; of the feed-forward block only the residual is kept. Biases are left out. In a pre-LN model there is no
    LayerNorm on this path, and the maps are those of N-Res.

    Args:
        normalise: divide each row of a map by its sum before multiplying. The authors' program does not, and it changes
            the ranks.
        encoder: in an encoder-decoder, whether the source is followed through the encoder; otherwise each of
            the encoder's states counts as its own token. Its decoder's self-attention has one norm, that after it.
    """

    cost: ClassVar[str] = "layer arithmetic"

    normalise: bool = False
    encoder: bool = True

    def __post_init__(self):
        check.choice("encoder", self.encoder, (True, False))

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model whose layers' parts cannot be found."""
        layer_parts(model)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, token]
        return rolled_out(trace, _norm, self.normalise, self.encoder)


def _norm(run: LayerRun, rows: Tensor, parts: Tensor) -> Tensor:
    parts = add_residual(run, rows, parts)
    if not run.layer.pre_norm:
        for norm, total in ((run.layer.attention_norm, run.attended), (run.layer.feed_forward_norm, run.summed)):
            parts = parts if norm is None else norm.shares(parts, at_rows(total, rows))
    return parts.norm(dim=-1)
