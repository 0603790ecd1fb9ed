"""Rows to a leaderboard: mean, standard deviation over examples, and counts, for every layer."""

from typing import Any

import pandas as pd

CELL = ["task", "model", "seed", "reference", "explainer", "head", "layer"]


def leaderboard(rows: Any) -> pd.DataFrame:
    """Rows, a DataFrame, to one line per task, model, seed, reference, explainer, head and layer.

    `mean` and `std` (population, over examples: a spread, no standard error) are of the defined correlations, `n`
    counts those, `undefined` and `failed` count the others, `reasons` says why, and `same` marks an explainer whose
    every score is the reference's own.
    """
    order = {name: rows[name].drop_duplicates().tolist() for name in ("task", "model", "explainer", "reference")}
    # A sum in floating point hangs on its order: by example, the shards of a run give the bits of the whole run.
    rows = rows.sort_values("example", kind="stable")
    lines = []
    for key, cell in rows.groupby(CELL, sort=False, dropna=False):
        defined = cell.loc[cell["status"] == "ok", "rho"]
        reasons = cell.loc[cell["status"] != "ok", "status"].value_counts()
        lines.append(
            dict(zip(CELL, key, strict=True))
            | {
                "mean": defined.mean(),
                "std": defined.std(ddof=0),
                "n": len(defined),
                "undefined": int(reasons.drop("failed", errors="ignore").sum()),
                "failed": int(reasons.get("failed", 0)),
                "reasons": "; ".join(f"{reason} ({count})" for reason, count in reasons.items()),
                "same": bool(len(defined)) and bool(cell.loc[cell["status"] == "ok", "same"].all()),
            }
        )
    table = pd.DataFrame(lines)
    for name, values in order.items():
        table[name] = pd.Categorical(table[name], categories=values, ordered=True)
    table = table.sort_values(CELL, kind="stable").reset_index(drop=True)
    return table.astype(dict.fromkeys(order, str))
