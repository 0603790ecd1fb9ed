"""How well the references agree with each other, and those that draw at random with themselves, as grids."""

import pandas as pd

from harness.report.cells import Cell, Empty, Estimate, Reliability, Text, Undefined
from harness.report.grid import Column, Grid, GridLines, name_columns
from harness.statistics.leaderboard import TABLE


def reference_grids(board: pd.DataFrame) -> list[Grid]:
    """One grid per task, model and seed of a leaderboard with two references, or with two halves of one."""
    result = []
    for (task, model, seed), part in board.groupby(TABLE[:3], sort=False):
        between, halves = part[part["kind"] == "reference"], part[part["kind"] == "reliability"]
        if between.empty and halves.empty:
            continue
        names = part["measure"].drop_duplicates()
        compared = [name for name in names if name in {*between["measure"], *halves["measure"]}]
        measures = set(part.loc[part["kind"] != "reliability", "measure"])
        references = [name for name in compared if name in measures]
        lines = GridLines()
        for name in dict.fromkeys([*references, *halves["explainer"]]):
            line = between[between["explainer"] == name]
            cells = [_agreement(line[line["measure"] == other]) for other in references]
            own = [_reliability(halves[halves["explainer"] == name])] if len(halves) else []
            lines.add([Text(name), *cells, *own])
        columns = [*name_columns(""), *map(Column, references), *([Column("halves")] if len(halves) else [])]
        title = f"{task}, {model}, seed {seed}: references against each other"
        result.append(lines.grid(str(task), title, columns, _notes(bool(len(halves)))))
    return result


def _notes(halves: bool) -> list[str]:
    notes = [
        "mean of Spearman's rho over examples and its 95% bootstrap interval; a point of comparison, not an upper "
        "bound: a perfect explainer could agree with two noisy references better than they agree with each other"
    ]
    if halves:
        notes.append(
            "halves: agreement between two halves of the method's own random draws; r: the Spearman-Brown estimate of "
            "the reliability of all draws together; for a method with several layers, the first"
        )
    return notes


def _agreement(cells: pd.DataFrame) -> Cell:
    for cell in cells.head(1).to_dict("records"):
        return Estimate(cell["mean"], cell["low"], cell["high"]) if cell["n"] else Undefined()
    return Empty()


def _reliability(cells: pd.DataFrame) -> Cell:
    for cell in cells.head(1).to_dict("records"):
        return Reliability(cell["mean"], cell["low"], cell["high"]) if cell["n"] else Undefined()
    return Empty()
