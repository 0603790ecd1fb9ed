"""Rank correlation of all layers at once against a loop over scipy."""

import pandas as pd
import scipy.stats
import torch

from harness.statistics.correlation import spearman_by_layer
from tests.benchmark.blank_out import seconds

SIZES = ((200, 6, 10), (200, 6, 30), (100, 12, 128))


def table() -> pd.DataFrame:
    """scipy's seconds over ours, by batch, layers and tokens."""
    lines = []
    for batch, layers, tokens in SIZES:
        generator = torch.Generator().manual_seed(0)
        scores = torch.randint(0, 3 * tokens, (batch, layers, tokens), generator=generator).double()
        reference = torch.rand(batch, tokens, generator=generator).double()
        ranked = torch.ones(batch, tokens, dtype=torch.bool)

        def loop(scores: torch.Tensor = scores, reference: torch.Tensor = reference) -> list[list[float]]:
            pairs = zip(scores.numpy(), reference.numpy(), strict=True)
            return [[scipy.stats.spearmanr(layer, truth).statistic for layer in each] for each, truth in pairs]

        def ours(scores=scores, reference=reference, ranked=ranked) -> torch.Tensor:
            return spearman_by_layer(scores, reference, ranked)

        difference = (ours() - torch.tensor(loop())).abs().max().item()
        mine, theirs = seconds(ours, repeats=9), seconds(loop)
        lines.append(
            {
                "examples": batch,
                "layers": layers,
                "tokens": tokens,
                "milliseconds": round(1000 * mine, 2),
                "scipy loop": round(theirs / mine, 1),
                "largest difference": f"{difference:.1e}",
            }
        )
    return pd.DataFrame(lines)
