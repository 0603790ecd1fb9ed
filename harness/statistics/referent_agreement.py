"""Referent agreement: does an explainer score the referent of the model's word above the other candidates?"""

from typing import Any

import numpy as np
import pandas as pd

from harness.statistics.tests import share_interval

CHANCE = 0.5  # of two candidates, with random scores


def referent_rows(examples: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """One row per example, explainer, layer and head: `right` is 1, 0, one half for a tie, or NaN where undefined.

    The right candidate is the one that the model's predicted class points to. A candidate's score is the mean over its
    tokens (a sum would favour long names). Undefined: the predicted class points to none, or a score is not finite.
    Empty where no example has candidates.

    Args:
        examples: a run's table of examples.
        scores: a run's table of scores; references among them are left out.
    """
    spans = _candidates(examples)
    cells = scores[scores["kind"] == "explainer"].merge(spans, on="example").rename(columns={"method": "explainer"})
    cells["right"] = [
        _right(np.asarray(one), pointed, others)
        for one, pointed, others in zip(cells["scores"], cells["pointed"], cells["others"], strict=True)
    ]
    return cells[["example", "explainer", "layer", "head", "right"]]


def referent_agreement(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows to one line per explainer, layer and head: `share` right, its 95% interval `low` to `high`, counts."""
    lines = []
    for (explainer, layer, head), group in rows.groupby(["explainer", "layer", "head"], sort=False):
        right = group["right"].dropna()
        low, high = share_interval(right.sum(), len(right))
        lines.append(
            {
                "explainer": explainer,
                "layer": layer,
                "head": head,
                "share": right.mean() if len(right) else np.nan,
                "low": low,
                "high": high,
                "n": len(right),
                "undefined": len(group) - len(right),
            }
        )
    return pd.DataFrame(lines, columns=["explainer", "layer", "head", "share", "low", "high", "n", "undefined"])


def _candidates(examples: pd.DataFrame) -> pd.DataFrame:
    """Token indices of each example's right candidate (None where there is none) and of the others."""
    lines = []
    example: Any
    for example in examples.itertuples():
        planted = {entry["name"]: list(entry["indices"]) for entry in example.planted}
        points_to = {entry["class"]: entry["name"] for entry in example.points_to}
        names = [name for name in example.referents if planted.get(name)]
        if len(names) < 2:
            continue
        chosen = points_to.get(example.predicted)
        others = [planted[name] for name in names if name != chosen]
        lines.append((example.example, planted.get(chosen), others))
    return pd.DataFrame(lines, columns=["example", "pointed", "others"])


def _right(scores: np.ndarray, pointed: list[int] | None, others: list[list[int]]) -> float:
    if pointed is None:
        return np.nan
    mine, best = scores[pointed].mean(), max(scores[other].mean() for other in others)
    if not np.isfinite(mine) or not np.isfinite(best):
        return np.nan
    return 0.5 if mine == best else float(mine > best)
