"""Explainers ranked by their best layer, which is chosen on one part of the examples and reported on the others."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from harness.statistics.cells import COMPETING, Cells, cells, lower_is_better, the_references_own
from harness.statistics.leaderboard import TABLE, of_measures, with_clusters
from harness.statistics.tests import effect_size
from harness.tables import STATISTICS

PARTS = 3  # one part in this many is the validation part
COLUMNS = [
    *TABLE,
    *(
        "kind",
        "explainer",
        "layer",
        "head",
        "mean",
        "std",
        "low",
        "high",
        "group",
        "effect",
        "floor",
        "mean_rank",
        "n",
        "higher",
    ),
    *STATISTICS,
]


def is_validation(clusters: NDArray) -> NDArray:
    """Whether each example is in the validation part: by a hash of its cluster, the same in every run, `[example]`."""
    names, index = np.unique(clusters.astype(str), return_inverse=True)
    chosen = [int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % PARTS == 0 for name in names]
    return np.array(chosen, dtype=bool)[index]


def ranking(rows: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
    """One line per task, model, seed, measure and explainer, best mean first.

    Columns as in `leaderboard`, but all on the examples outside the validation part, at the layer (and head) with the
    best mean inside it. Lines that share a letter in `group` do not differ significantly (paired sign-flip tests,
    Holm's correction over the pairs of lines). `effect` is Cohen's d of the paired differences from the best floor,
    whose name is `floor`; `mean_rank` is the mean over examples of the rank among explainers and floors, 1 being the
    best. Empty where no layer can be chosen.
    """
    rows = of_measures(rows)
    rows = with_clusters(rows[rows["kind"] != "reliability"], examples)
    tables = []
    for key, part in rows.groupby(TABLE, sort=False):
        lines = _ranked(part)
        if len(lines):
            of_table: dict[str, Any] = dict(zip(TABLE, key, strict=True))
            tables.append(lines.assign(**of_table))
    return pd.concat(tables, ignore_index=True).reindex(columns=COLUMNS) if tables else pd.DataFrame(columns=COLUMNS)


def _ranked(rows: pd.DataFrame) -> pd.DataFrame:
    every = cells(rows)
    every = every.part(np.flatnonzero(~the_references_own(rows, every.names)))
    validation = is_validation(every.clusters)
    if validation.all():  # so few examples that none is left to report on
        return pd.DataFrame(columns=COLUMNS)
    chosen = _best_layers(every.part(examples=validation))
    if not chosen:
        return pd.DataFrame(columns=COLUMNS)
    rest = every.part(np.array(chosen), ~validation)
    order = np.argsort(-np.nan_to_num(rest.means, nan=-np.inf), kind="stable")
    rest = every.part(np.array(chosen)[order], ~validation)
    low, high = rest.intervals.T
    competing = rest.names["kind"].isin(COMPETING).to_numpy()
    floors = np.flatnonzero((rest.names["kind"] == "floor").to_numpy() & ~np.isnan(rest.means))
    floor = floors[0] if len(floors) else None  # lines are in the order of their means
    sign = -1.0 if lower_is_better(rows) else 1.0
    ends = (low, high) if sign > 0 else (-high, -low)
    lines = rest.names.assign(
        mean=sign * rest.means,
        std=[np.nanstd(column) if np.isfinite(column).any() else np.nan for column in rest.values.T],
        low=ends[0],
        high=ends[1],
        group=rest.letters(np.arange(len(order))),
        effect=[
            np.nan if floor is None or floor == cell else effect_size(rest.values[:, cell], rest.values[:, floor])
            for cell in range(len(order))
        ],
        floor="" if floor is None else rest.names["explainer"].iloc[floor],
        mean_rank=_mean_ranks(rest.values, competing),
        n=(~np.isnan(rest.values)).sum(axis=0),
        higher=rows["higher"].iloc[0],
    )
    return lines.join(_statistics(rows, rest.names))


def _best_layers(validation: Cells) -> list[int]:
    """The cell with the best mean of each explainer, in the order of the table."""
    names = validation.names.assign(mean=validation.means, cell=np.arange(len(validation.names)))
    names = names.dropna(subset="mean")
    best = names.sort_values("mean", ascending=False, kind="stable").drop_duplicates(["kind", "explainer"])
    return sorted(best["cell"].tolist())


def _mean_ranks(values: NDArray, competing: NDArray) -> NDArray:
    """The mean rank of each competing line over the examples on which all of them are defined; NaN for the others."""
    mean = np.full(values.shape[1], np.nan)
    whole = values[:, competing]
    whole = whole[~np.isnan(whole).any(axis=1)]
    if len(whole):
        mean[competing] = rankdata(-whole, axis=1).mean(axis=0)
    return mean


def _statistics(rows: pd.DataFrame, names: pd.DataFrame) -> pd.DataFrame:
    """Means of the further statistics over the same examples, a line for each of `names`."""
    columns = [name for name in STATISTICS if name in rows]
    outside = rows[~is_validation(rows["cluster"].to_numpy()) & (rows["status"] == "ok")]
    means = outside.groupby(list(names), sort=False)[columns].mean()
    means = means.reindex(pd.MultiIndex.from_frame(names)).reset_index(drop=True)
    return means.reindex(columns=list(STATISTICS))


def tied_groups(lines: pd.DataFrame) -> list[list[str]]:
    """The sets of two or more explainers and floors of one table's ranking that share a letter, best first."""
    lines = lines[lines["kind"].isin(COMPETING)]
    groups = [
        lines.loc[lines["group"].str.contains(letter, regex=False), "explainer"].tolist()
        for letter in dict.fromkeys("".join(lines["group"]))
    ]
    return [group for group in groups if len(group) > 1]
