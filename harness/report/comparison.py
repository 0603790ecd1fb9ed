"""The command `assay-compare`: which cells of two runs, or of two explainers, differ, by how much, how certainly."""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.cli.errors import complain
from harness.report.grid import Grid, Lines, header, interval, named
from harness.report.write import shown, written
from harness.results.run_folder import RunFolder
from harness.results.run_labels import names
from harness.statistics.cells import lower_is_better
from harness.statistics.leaderboard import with_clusters
from harness.statistics.tests import ALPHA, effect_size, holm, mean_interval, sign_flip

CELL = ["reference", "kind", "explainer", "head", "layer"]
COLUMNS = [*CELL, "first", "second", "difference", "low", "high", "p", "effect", "n", "unpaired", "better"]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="assay-compare",
        description="Tell which cells of two runs, or of two explainers of one run, differ, by how much, with what "
        "certainty. Paired on the examples that both hold; no model is needed.",
    )
    parser.add_argument("folder", nargs="+", type=Path, help="one run folder or two")
    parser.add_argument(
        "--explainers", nargs=2, metavar="NAME", help="two explainers to compare, layer by layer; in one run folder"
    )
    parser.add_argument("--out", type=Path, help="a folder to write comparison.md, .tex and .csv into")
    chosen = parser.parse_args()
    try:
        if len(chosen.folder) == 1 and chosen.explainers:
            table, title = of_explainers(RunFolder(chosen.folder[0]), *chosen.explainers)
        elif len(chosen.folder) == 2 and not chosen.explainers:
            table, title = of_runs(*map(RunFolder, chosen.folder))
        else:
            raise ValueError("give two run folders, or one and --explainers NAME NAME")
        grid = comparison_grid(table, title)
        shown([grid])
        if chosen.out:
            written([(grid, [])], chosen.out, "comparison")
            table.to_csv(chosen.out / "comparison.csv", index=False)
    except Exception as error:
        sys.exit(complain(error))


def of_runs(first: RunFolder, second: RunFolder) -> tuple[pd.DataFrame, str]:
    """The cells that two runs share, on the examples that both explain, and what to call the comparison.

    Columns `COLUMNS`: both means, the mean of the paired differences (second less first) with its 95 % bootstrap
    interval, the sign-flip p-value with Holm's correction over all cells of the comparison, Cohen's d, the number of
    examples, that of the examples left out because one side alone has a value, and which side is better, `first`,
    `second`, or neither where p >= .05. ValueError where they share nothing.
    """
    manifests = [first.manifest, second.manifest]
    ours, theirs = (_defined(folder) for folder in (first, second))
    both, alone = _paired(ours, theirs, [*CELL, "example"])
    if both.empty:
        raise ValueError(
            f"{first.path} and {second.path} hold no explainer and reference on the same examples "
            f"({manifests[0]['task']} and {manifests[1]['task']}): compare runs of one task"
        )
    called = names(manifests)
    sides = [f"{one.task}, {one.model}, seed {told['seed']}" for one, told in zip(called, manifests, strict=True)]
    title = f"first: {sides[0]} ({first.path.name}); second: {sides[1]} ({second.path.name})"
    return _compared(both, alone), title


def of_explainers(folder: RunFolder, first: str, second: str) -> tuple[pd.DataFrame, str]:
    """Two explainers of one run, layer by layer, as in `of_runs`; one without layers is held against every layer."""
    rows = _defined(folder)
    sides = []
    for name in (first, second):
        side = rows[(rows["explainer"] == name) & (rows["kind"] != "reference")]
        if side.empty:
            known = rows.loc[rows["kind"] != "reference", "explainer"].drop_duplicates()
            raise ValueError(f"the run holds no explainer {name!r}: choose from {', '.join(known)}")
        sides.append(side.drop(columns=["explainer", "kind"]))
    if (sides[0]["layer"] == 0).all() != (sides[1]["layer"] == 0).all():
        without = int((sides[1]["layer"] == 0).all())
        cells = sides[1 - without][["reference", "layer", "head"]].drop_duplicates()
        sides[without] = sides[without].drop(columns=["layer", "head"]).merge(cells, on="reference")
    sides = [side.assign(explainer=f"{first} / {second}", kind="explainer") for side in sides]
    both, alone = _paired(*sides, [*CELL, "example"])
    if both.empty:
        raise ValueError(f"{first} and {second} have no layer and head in common: choose two of one kind")
    manifest = folder.manifest
    title = f"{manifest['task']}, {manifest['model_name']}, seed {manifest['seed']}; first: {first}; second: {second}"
    return _compared(both, alone), title


def _defined(folder: RunFolder) -> pd.DataFrame:
    """A run's defined values; a metric of which less is better says so by `lower`."""
    rows: Any = with_clusters(folder.measured(), folder.table("examples"))
    rows = rows[(rows["status"] == "ok") & (rows["kind"] != "reliability")]
    lower = {name: lower_is_better(part) for name, part in rows.groupby("reference")}
    return rows.assign(lower=rows["reference"].map(lower))[[*CELL, "example", "cluster", "rho", "lower"]]


def _paired(first: Any, second: Any, keys: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The values that both sides have, side by side, and those that one side has alone."""
    both = first.merge(second, on=keys, suffixes=("_first", "_second"))
    every = first[keys].merge(second[keys], how="outer", indicator="side")
    return both, every[every["side"] != "both"]


def _compared(both: Any, alone: Any) -> pd.DataFrame:
    both = both.assign(difference=both["rho_second"] - both["rho_first"])
    wide = both.pivot(index=["cluster_first", "example"], columns=CELL, values="difference").sort_index(level="example")
    clusters = wide.index.get_level_values("cluster_first").to_numpy()
    values = wide.to_numpy(dtype=float)
    table = wide.columns.to_frame(index=False)
    low, high = mean_interval(values, clusters).T
    means = both.groupby(CELL, sort=False)[["rho_first", "rho_second", "difference"]].mean()
    lower = both.groupby(CELL, sort=False)["lower_first"].first()
    at = pd.MultiIndex.from_frame(table[CELL])
    p = holm(sign_flip(values, clusters))
    difference = means["difference"].reindex(at).to_numpy()
    upward = (difference > 0) != lower.reindex(at).to_numpy(dtype=bool)
    table = table.assign(
        first=means["rho_first"].reindex(at).to_numpy(),
        second=means["rho_second"].reindex(at).to_numpy(),
        difference=difference,
        low=low,
        high=high,
        p=p,
        effect=[effect_size(column, np.zeros(len(column))) for column in values.T],
        n=(~np.isnan(values)).sum(axis=0),
        unpaired=alone.groupby(CELL).size().reindex(at, fill_value=0).to_numpy(),
        better=np.where(p < ALPHA, np.where(upward, "second", "first"), ""),
    )
    order = {name: both[name].drop_duplicates().tolist() for name in ("reference", "kind", "explainer")}
    return table.sort_values(
        CELL, key=lambda column: column.map(order[column.name].index) if column.name in order else column
    ).reset_index(drop=True)[COLUMNS]


def comparison_grid(table: Any, title: str) -> Grid:
    """One line per cell; what differs is bold."""
    lines = Lines()
    for place, line in enumerate(table.itertuples()):
        if place and line.reference != table["reference"].iloc[place - 1]:
            lines.rule()
        lines.add(
            [
                line.reference,
                named(line.explainer, line.head, line.kind),
                header(line.layer),
                f"{line.first:z.3f}",
                f"{line.second:z.3f}",
                f"{line.difference:+z.3f} {interval(line.low, line.high)}".rstrip(),
                "" if np.isnan(line.p) else "<.0001" if line.p < 1e-4 else f"{line.p:.4f}",
                "" if np.isnan(line.effect) else f"{line.effect:z.2f}",
                str(line.n),
                str(line.unpaired),
            ],
            [5] if line.better else [],
        )
    differ = int((table["better"] != "").sum())
    notes = [
        f"{differ} of {len(table)} cells differ (bold)",
        "difference: second less first, mean over common examples and its 95 % bootstrap interval; p: paired sign-flip "
        "test, Holm's correction over the cells of this table; d: mean of the differences over their std; "
        "unpaired: examples left out because one side alone has a value",
    ]
    columns = ["reference", "explainer", "layer", "first", "second", "difference", "p", "d", "n", "unpaired"]
    return lines.grid("", title, columns, notes, 3)


if __name__ == "__main__":
    main()
