"""Rank correlation of all layers at once compared with a loop over scipy."""

import numpy as np
import pandas as pd
import scipy.stats

from harness.statistics.correlation import spearman_by_layer
from tests.benchmark.blank_out import seconds

SIZES = ((200, 6, 10), (200, 6, 30), (100, 12, 128))


def table() -> pd.DataFrame:
    """scipy's seconds divided by ours, by batch, layers and tokens."""
    lines = []
    for batch, layers, tokens in SIZES:
        generator = np.random.default_rng(0)
        scores = generator.integers(0, 3 * tokens, (batch, layers, tokens)).astype(float)
        reference = generator.random((batch, tokens))
        ranked = np.ones((batch, tokens), dtype=bool)

        def loop(scores: np.ndarray = scores, reference: np.ndarray = reference) -> list[list[float]]:
            pairs = zip(scores, reference, strict=True)
            return [[scipy.stats.spearmanr(layer, truth).statistic for layer in each] for each, truth in pairs]

        def ours(
            scores: np.ndarray = scores, reference: np.ndarray = reference, ranked: np.ndarray = ranked
        ) -> np.ndarray:
            return spearman_by_layer(scores, reference, ranked)

        difference = np.abs(ours() - np.array(loop())).max()
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
