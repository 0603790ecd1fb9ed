"""A ranking as grids: each explainer at its best layer, which was chosen on other examples."""

import pandas as pd

from harness.report.cells import AtLayer, Cell, Count, Estimate, Number, Text
from harness.report.grid import Column, Grid, GridLines, line_name, measure_name, name_columns
from harness.statistics.leaderboard import TABLE

FURTHER = {
    "rho_all": "all tokens",
    "rho_content": "content",
    "partial": "given position",
    "tau": "tau-b",
    "top": "top quarter",
    "tied": "tied",
    "saturated": "saturated",
    "unassigned": "no token's",
}


def ranking_grids(ranking: pd.DataFrame) -> list[Grid]:
    """One grid per table of a ranking."""
    result = []
    for (task, model, seed, measure), part in ranking.groupby(TABLE, sort=False):
        further = [name for name in FURTHER if part[name].notna().any()]
        lines = GridLines()
        for line in part.to_dict("records"):
            name = line_name(line["explainer"], line["head"], line["kind"])
            cells: list[Cell] = [
                Text(f"{name} (floor)" if line["kind"] == "floor" else name),
                AtLayer(line["layer"]),
                Estimate(line["mean"], line["low"], line["high"]),
                Text(line["group"]),
                Number(line["effect"]),
                *(Number(line[name]) for name in further),
                Count(line["n"], line["n"]),
            ]
            lines.add(cells, [2] if among_the_best(line["kind"], line["group"], part) else [])
        values = [Column(name) for name in ("layer", "mean", "group", "d")]
        statistics = [Column(FURTHER[name], "further") for name in further]
        columns = [*name_columns("explainer"), *values, *statistics, Column("n", "count")]
        title = f"{task}, {model}, seed {seed}: {measure_name(part, str(measure))}, ranked"
        result.append(lines.grid(str(task), title, columns, _notes(part["floor"].iloc[0], bool(further))))
    return result


def _notes(floor: str, further: bool) -> list[str]:
    notes = [
        "the layer was chosen on a third of the examples, and the numbers are from the others; in brackets: 95% "
        "bootstrap interval of the mean; lines that share a letter are not significantly different (paired sign-flip "
        "tests, Holm-corrected over the pairs); bold: the best explainer and those that share a letter with it"
    ]
    if floor:
        notes.append(
            f"d: the mean of the paired differences from the best floor, {floor}, divided by their standard deviation"
        )
    if further:
        notes.append(
            "all tokens, content: Spearman's rho over these tokens; given position: Spearman's rho controlling for "
            "the token's position; tau-b: Kendall's; top quarter: how much of the reference's top quarter is found; "
            "tied: share of tokens whose score another token has too; saturated: share of tokens at flow's upper "
            "bound; no token's: share, by size, of the parts that belong to no token, e.g. what feed-forward blocks "
            "add to a logit"
        )
    return notes


def among_the_best(kind: str, group: str, ranked: pd.DataFrame) -> bool:
    """Whether a line is an explainer that shares a letter with the best explainer of its table of a ranking."""
    best = next((letters for letters in ranked.loc[ranked["kind"] == "explainer", "group"] if letters), "")
    return kind == "explainer" and bool(set(group) & set(best))
