"""ALTI: how close each token's summand is to the attention block's output (Ferrando et al. 2022, section 3).

https://arxiv.org/abs/2203.04212
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from harness import check
from harness.tracing.model_parts import layer_parts
from harness.tracing.run import Trace
from methods.alti_contribution import contribution
from methods.decomposition import rolled_out


@dataclass(frozen=True)
class Alti:
    """The product of all layers' contribution maps from the input up to each layer.

    Where all of a query's contributions are clipped, they are NaN. In a pre-LN model the block ends before the next
    LayerNorm.

    In an encoder-decoder this is ALTI+ (Ferrando et al. 2022b, https://arxiv.org/abs/2205.11631): the contributions of
    cross-attention's block are those of the source's states and of the residual, and each row over source and prefix
    sums to 1.

    Args:
        encoder: in an encoder-decoder, whether the source is followed through the encoder; otherwise each of
            the encoder's states counts as its own token.
    """

    cost: ClassVar[str] = "layer arithmetic"

    encoder: bool = True

    def __post_init__(self):
        check.choice("encoder", self.encoder, (True, False))

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model whose layers' parts cannot be found."""
        layer_parts(model)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, token]
        return rolled_out(trace, contribution, normalise=True, encoder=self.encoder)
