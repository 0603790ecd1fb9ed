"""How far explainers, or references, agree with each other: mean Spearman's rho between their scores."""

import numpy as np
import pandas as pd

from harness.statistics.correlation import spearman_between
from harness.statistics.padding import padded


def explainer_agreement(examples: pd.DataFrame, scores: pd.DataFrame, ranking: pd.DataFrame) -> pd.DataFrame:
    """A square table of mean rho between the explainers and floors of one table's ranking, each at its best layer.

    Args:
        examples: a run's table of examples, for the ranked tokens.
        scores: a run's table of scores.
        ranking: the lines of `ranking` for one reference; other references among them are left out.
    """
    lines = ranking[ranking["kind"] != "reference"]
    chosen = lines[["explainer", "layer", "head"]]
    names = lines["explainer"].tolist()
    held = scores[scores["kind"] == "explainer"].rename(columns={"method": "explainer"}).merge(chosen)
    wide = held.pivot(index="example", columns="explainer", values="scores").reindex(
        index=examples["example"], columns=names
    )
    whole = wide.notna().all(axis=1).to_numpy()
    wide, ranked = wide[whole], examples.loc[whole, "ranked"]
    if wide.empty:
        return pd.DataFrame(np.nan, index=names, columns=names)
    width = max(map(len, ranked))
    mask = padded(ranked, width).astype(bool)
    values = np.stack([padded(wide[name], width) for name in names], axis=1)  # [example, explainer, token]
    rho = spearman_between(values, mask)  # [example, explainer, explainer]
    counts = (~np.isnan(rho)).sum(axis=0)
    means = np.where(counts, np.nansum(rho, axis=0) / np.maximum(counts, 1), np.nan)
    return pd.DataFrame(means, index=names, columns=names)


def reference_agreement(board: pd.DataFrame) -> pd.DataFrame:
    """A square table of mean rho between references, from one model's leaderboard; itself is 1."""
    held = board[board["kind"] == "reference"]
    names = [name for name in board["measure"].drop_duplicates() if name in set(held["explainer"])]
    table = held.pivot_table(index="explainer", columns="measure", values="mean").reindex(index=names, columns=names)
    return table.where(~np.eye(len(names), dtype=bool), 1.0)
