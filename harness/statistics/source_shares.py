"""How much of the scores of an encoder-decoder's examples lies on the source, and how much on the prefix."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from harness.statistics.tests import mean_interval

CELL = ["kind", "explainer", "layer", "head"]
COLUMNS = [*CELL, "mean", "low", "high", "n", "undefined"]


def source_shares(examples: pd.DataFrame, scores: pd.DataFrame, floors: Collection[str] = ()) -> pd.DataFrame:
    """The source's share of the sum of absolute scores, a line for each method, layer and head.

    The rest is the prefix's. Mean over examples with its 95% interval. A share is undefined where all scores are zero
    or one is not finite. Empty where the examples have no source. The explainers in `floors` have that kind.
    """
    source = examples.loc[examples["source"] > 0].set_index("example")
    held = scores[scores["example"].isin(source.index)].rename(columns={"method": "explainer"})
    if held.empty:
        return pd.DataFrame(columns=COLUMNS)
    lengths = source["source"].loc[held["example"]]
    held = held.assign(share=[_share(one, length) for one, length in zip(held["scores"], lengths, strict=True)])
    cells = held[CELL].drop_duplicates().reset_index(drop=True)
    cell = pd.MultiIndex.from_frame(cells).get_indexer(pd.MultiIndex.from_frame(held[CELL]))
    row = source.index.get_indexer(pd.Index(held["example"]))
    shares = np.full((len(source), len(cells)), np.nan)  # [example, cell]
    shares[row, cell] = held["share"]
    defined = ~np.isnan(shares)
    counts = defined.sum(axis=0)
    low, high = mean_interval(shares, source["cluster"].to_numpy()).T
    means = np.divide(np.nansum(shares, axis=0), counts, out=np.full(len(cells), np.nan), where=counts > 0)
    table = cells.assign(mean=means, low=low, high=high, n=counts, undefined=len(source) - counts)
    table.loc[(table["kind"] == "explainer") & table["explainer"].isin(list(floors)), "kind"] = "floor"
    return table[COLUMNS]


def _share(scores: np.ndarray, source: int) -> float:
    sizes = np.abs(np.asarray(scores, dtype=float))
    total = sizes.sum()
    return float(sizes[:source].sum() / total) if np.isfinite(total) and total > 0 else np.nan
