"""Which cells of two runs, or of two explainers of one run, differ significantly, and by how much."""

import numpy as np
import pandas as pd

from harness.results.run_folder import RunFolder
from harness.results.run_labels import run_labels
from harness.statistics.cells import lower_is_better
from harness.statistics.leaderboard import with_clusters
from harness.statistics.tests import ALPHA, effect_size, holm, mean_interval, sign_flip

COMPARED = ["measure", "kind", "explainer", "head", "layer"]  # what identifies a cell
COMPARISON = [*COMPARED, "first", "second", "difference", "low", "high", "p", "effect", "n", "unpaired", "better"]


def comparison_of_runs(first: RunFolder, second: RunFolder) -> tuple[pd.DataFrame, str]:
    """The cells that two runs share, on the examples that both explain, and a title.

    The columns are those of `COMPARISON`: both means, the mean of the paired differences (second minus first) with its
    95% bootstrap interval, the p-value of the sign-flip test, Holm-corrected over all cells of the comparison, Cohen's
    d, the number of examples, the number left out because only one side has a value, and the better side: `first`,
    `second`, or empty where p >= .05.

    Raises:
        ValueError: the runs share no cell.
    """
    manifests = [first.manifest, second.manifest]
    ours, theirs = (_defined(folder) for folder in (first, second))
    both, alone = _paired(ours, theirs)
    if both.empty:
        raise ValueError(
            f"{first.path} and {second.path} have no explainer and reference on the same examples in common "
            f"({manifests[0].task} and {manifests[1].task}): compare runs of one task"
        )
    sides = [
        f"{label.task}, {label.model}, seed {manifest.seed}"
        for label, manifest in zip(run_labels(manifests), manifests, strict=True)
    ]
    title = f"first: {sides[0]} ({first.path.name}); second: {sides[1]} ({second.path.name})"
    return _compared(both, alone), title


def comparison_of_explainers(folder: RunFolder, first: str, second: str) -> tuple[pd.DataFrame, str]:
    """Two explainers of one run, layer by layer, as in `comparison_of_runs`.

    An explainer without layers is compared with every layer of the other.

    Raises:
        ValueError: the run lacks one of them, or they share no layer and head.
    """
    rows = _defined(folder)
    ours, theirs = _on_same_layers(_of_explainer(rows, first), _of_explainer(rows, second))
    name = f"{first} / {second}"
    both, alone = _paired(*(side.assign(explainer=name, kind="explainer") for side in (ours, theirs)))
    if both.empty:
        raise ValueError(
            f"{first} and {second} have no layer and head in common: choose two explainers that both have heads, or "
            "two that have none"
        )
    manifest = folder.manifest
    title = f"{manifest.task}, {manifest.model_name}, seed {manifest.seed}; first: {first}; second: {second}"
    return _compared(both, alone), title


def _defined(folder: RunFolder) -> pd.DataFrame:
    """A run's defined values; `lower` marks those of metrics of which less is better."""
    rows = with_clusters(folder.measured(), folder.table("examples"))
    rows = rows[(rows["status"] == "ok") & (rows["kind"] != "reliability")]
    lower = {name: lower_is_better(part) for name, part in rows.groupby("measure")}
    return rows.assign(lower=rows["measure"].map(lower))[[*COMPARED, "example", "cluster", "value", "lower"]]


def _of_explainer(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    rows = rows[rows["kind"] != "reference"]
    side = rows[rows["explainer"] == name]
    if side.empty:
        known = rows["explainer"].drop_duplicates()
        raise ValueError(f"the run has no explainer {name!r}: choose from {', '.join(known)}")
    return side.drop(columns=["explainer", "kind"])


def _on_same_layers(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both sides; where one alone has no layers, its values are repeated for every layer and head of the other."""
    flat = [bool((side["layer"] == 0).all()) for side in (first, second)]
    if flat == [True, False]:
        return _repeated(first, second), second
    return (first, _repeated(second, first)) if flat == [False, True] else (first, second)


def _repeated(flat: pd.DataFrame, layered: pd.DataFrame) -> pd.DataFrame:
    cells = layered[["measure", "layer", "head"]].drop_duplicates()
    return flat.drop(columns=["layer", "head"]).merge(cells, on="measure")


def _paired(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The values that both sides have, side by side, and those that only one side has."""
    keys = [*COMPARED, "example"]
    both = first.merge(second, on=keys, suffixes=("_first", "_second"))
    every = first[keys].merge(second[keys], how="outer", indicator="side")
    return both, every[every["side"] != "both"]


def _compared(both: pd.DataFrame, alone: pd.DataFrame) -> pd.DataFrame:
    both = both.assign(difference=both["value_second"] - both["value_first"])
    wide = both.pivot(index=["cluster_first", "example"], columns=COMPARED, values="difference")
    wide = wide.sort_index(level="example")
    clusters = wide.index.get_level_values("cluster_first").to_numpy()
    values = wide.to_numpy(dtype=float)
    table = wide.columns.to_frame(index=False)
    low, high = mean_interval(values, clusters).T
    means = both.groupby(COMPARED, sort=False)[["value_first", "value_second", "difference"]].mean()
    lower = both.groupby(COMPARED, sort=False)["lower_first"].first()
    at = pd.MultiIndex.from_frame(table[COMPARED])
    p = holm(sign_flip(values, clusters))
    difference = means["difference"].reindex(at).to_numpy()
    upward = (difference > 0) != lower.reindex(at).to_numpy(dtype=bool)
    table = table.assign(
        first=means["value_first"].reindex(at).to_numpy(),
        second=means["value_second"].reindex(at).to_numpy(),
        difference=difference,
        low=low,
        high=high,
        p=p,
        effect=[effect_size(column, np.zeros(len(column))) for column in values.T],
        n=(~np.isnan(values)).sum(axis=0),
        unpaired=alone.groupby(COMPARED).size().reindex(at, fill_value=0).to_numpy(),
        better=np.where(p < ALPHA, np.where(upward, "second", "first"), ""),
    )
    order = {name: both[name].drop_duplicates().tolist() for name in ("measure", "kind", "explainer")}
    return table.sort_values(
        COMPARED, key=lambda column: column.map(order[name].index) if (name := str(column.name)) in order else column
    ).reset_index(drop=True)[COMPARISON]
