"""How far scores follow a token's position: the mean of Spearman's rho with the index from the end of the sentence."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import pandas as pd

from harness.statistics.correlation import spearman_by_layer
from harness.statistics.padding import padded

Lines: TypeAlias = Mapping[tuple[str, int, int], float]  # by explainer, head and layer


def position_agreement(examples: pd.DataFrame, scores: pd.DataFrame) -> Lines:
    """Of every explainer, head and layer; positive where early tokens score higher, NaN where nothing is defined.

    Args:
        examples: a run's table of examples, for the ranked tokens.
        scores: a run's table of scores.
    """
    held = scores[scores["kind"] == "explainer"]
    ranked = examples.set_index("example")["ranked"]
    lines = {}
    for (method, head, layer), own in held.groupby(["method", "head", "layer"], sort=False):
        of = ranked.loc[own["example"]]
        width = max(map(len, of))
        early = np.broadcast_to(-np.arange(width, dtype=float), (len(of), width))
        rho = spearman_by_layer(padded(own["scores"], width)[:, None], early, padded(of, width).astype(bool))[:, 0]
        defined = rho[~np.isnan(rho)]
        lines[str(method), int(str(head)), int(str(layer))] = float(defined.mean()) if len(defined) else np.nan
    return lines
