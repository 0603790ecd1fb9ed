"""Rows to a leaderboard: mean, spread, interval, significant differences, and counts, for every layer."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from harness.statistics.cells import NAME, cells, lower_is_better, the_references_own
from harness.tables import STATISTICS

TABLE = ["task", "model", "seed", "measure"]
OF_RUN = {"task": "", "model": "", "seed": 0}  # columns that rows without a run lack


def leaderboard(rows: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
    """Rows to one line per task, model, seed, measure, kind, explainer, head and layer.

    Rows are those of `tables.measured`, or rows of references as `evaluate` yields them; of the examples, the column
    `cluster` is read. `mean` and `std` (population, over examples: a spread, not a standard error) are of the defined
    values, `low` and `high` the 95% bootstrap interval of the mean, with clusters of examples resampled together. `n`
    counts the defined values, `undefined` and `failed` the others; `reasons` says why. `best` marks the best explainer
    and all explainers that do not differ significantly from it, `above_floors` what is significantly above every floor,
    and cells of one column that share a letter in `group` do not differ significantly: paired sign-flip tests with
    Holm's correction over all pairs of the table's cells. `same` marks an explainer whose every score is the
    reference's own. Further statistics are means over the same rows; `seed_std` is the standard deviation of the means
    of several model seeds.
    """
    rows = of_measures(rows)
    order = {name: rows[name].drop_duplicates().tolist() for name in ("task", "model", "kind", "explainer", "measure")}
    rows = with_clusters(rows, examples)
    boards = [_board(dict(zip(TABLE, key, strict=True)), part) for key, part in rows.groupby(TABLE, sort=False)]
    table = pd.concat(boards, ignore_index=True)
    for name, values in order.items():
        table[name] = pd.Categorical(table[name], categories=values, ordered=True)
    table = table.sort_values([*TABLE, "kind", "explainer", "head", "layer"], kind="stable").reset_index(drop=True)
    return table.astype(dict.fromkeys(order, str))


def of_measures(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the columns `measure` and `value`, and those of a run where they lack them."""
    if "measure" not in rows:
        rows = rows.rename(columns={"reference": "measure", "rho": "value"})
    missing = {name: default for name, default in OF_RUN.items() if name not in rows}
    return rows.assign(**missing) if "higher" in rows else rows.assign(**missing, higher=None)


def with_clusters(rows: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
    """Rows with the columns `cluster` and `model_seed` that `cells` asks for.

    They are in the examples' order, so that the last bit of a mean does not depend on how a run was divided.
    """
    clusters = examples.drop_duplicates("example").set_index("example")["cluster"]
    seeds = rows["model_seed"] if "model_seed" in rows else rows["seed"]
    rows = rows.assign(cluster=rows["example"].map(clusters), model_seed=seeds)
    return rows.sort_values(["example", "model_seed"], kind="stable")


def _board(table: Mapping[str, Any], rows: pd.DataFrame) -> pd.DataFrame:
    """The lines of one table."""
    of = cells(rows)
    lower = lower_is_better(rows)
    wide = -of.values if lower else of.values
    counts = (~np.isnan(wide)).sum(axis=0)
    low, high = of.intervals.T
    if lower:
        low, high = -high, -low
    mean = np.where(counts, np.nansum(wide, axis=0) / np.maximum(counts, 1), np.nan)
    squares = np.nansum((wide - mean) ** 2, axis=0) / np.maximum(counts, 1)
    own = the_references_own(rows, of.names)
    real = (of.names["kind"] != "reliability").to_numpy() & ~own
    board = of.names.assign(**table, mean=mean, std=np.where(counts, np.sqrt(squares), np.nan), low=low, high=high)
    board = board.assign(higher=rows["higher"].iloc[0], same=own)
    board = board.assign(n=counts, best=False, above_floors=False, group="")
    if real.any():
        compared = of.part(np.flatnonzero(real))
        board.loc[real, "best"] = compared.best()
        board.loc[real, "above_floors"] = compared.above_floors()
        for layer in of.names.loc[real, "layer"].unique():
            column = real & (of.names["layer"] == layer).to_numpy()
            inside = np.flatnonzero(column[real])
            board.loc[column, "group"] = compared.letters(inside)
    grouped = rows.groupby(NAME, sort=False, dropna=False)
    reasons = grouped["status"].value_counts().rename("count").reset_index()
    reasons = reasons[reasons["status"] != "ok"]
    texts, undefined, failed = {}, {}, {}
    for key, part in reasons.groupby(NAME, sort=False):
        counted = dict(zip(part["status"], part["count"], strict=True))
        texts[key] = "; ".join(f"{reason} ({count})" for reason, count in counted.items())
        failed[key] = int(counted.pop("failed", 0))
        undefined[key] = int(sum(counted.values()))
    keys = list(board[NAME].itertuples(index=False, name=None))
    ok = rows[rows["status"] == "ok"]
    means = ok.groupby(NAME, sort=False)[[name for name in STATISTICS if name in rows]].mean()
    means = means.reindex(pd.MultiIndex.from_tuples(keys, names=NAME)).reset_index(drop=True)
    by_seed = ok.groupby([*NAME, "model_seed"], sort=False)["value"].mean().groupby(NAME, sort=False).std()
    return board.assign(
        undefined=[undefined.get(key, 0) for key in keys],
        failed=[failed.get(key, 0) for key in keys],
        reasons=[texts.get(key, "") for key in keys],
        **{str(name): means[name] for name in means},
        seed_std=by_seed.reindex(pd.MultiIndex.from_tuples(keys, names=NAME)).to_numpy(),
    )
