"""Agreement of pairs of explainers as grids: pairs down, layers across."""

from collections.abc import Sequence

import pandas as pd

from harness.report.cells import Cell, Empty, Estimate, Text, Undefined
from harness.report.grid import (
    BLOCK,
    Column,
    Grid,
    GridLines,
    count_cells,
    count_columns,
    frames_by_layer,
    layer_columns,
    layer_name,
    name_columns,
)
from harness.statistics.pairs import COEFFICIENTS, PAIR

COEFFICIENT_NAMES = {"rho": "Spearman's rho", "pearson": "Pearson's r"}


def pair_grids(board: pd.DataFrame, rows: pd.DataFrame, task: str, title: str) -> list[Grid]:
    """Both coefficients with their intervals, a few layers to a grid.

    `board` has a line per pair, layer and head; `rows` are the correlations that it summarises.
    """
    layers = sorted(board["layer"].unique())
    blocks = [layers[start : start + BLOCK] for start in range(0, len(layers), BLOCK)]
    notes = _notes(rows)
    result = []
    for block in blocks:
        lines = GridLines()
        for pair, cells in board[board["head"] == 0].groupby(PAIR, sort=False):
            if cells["layer"].isin(block).any():
                lines.rule()
                _add_pair(lines, str(pair[0]), str(pair[1]), cells, block)
        which = "" if len(blocks) == 1 else f", {layer_name(block[0])} to {layer_name(block[-1])}"
        columns: list[Column] = [*name_columns("pair", ""), *layer_columns(block), *count_columns()]
        result.append(lines.grid(task, f"{title}: pairs of explainers{which}", columns, notes))
    return result


def _add_pair(lines: GridLines, first: str, second: str, cells: pd.DataFrame, layers: Sequence[int]) -> None:
    by_layer = frames_by_layer(cells)
    for coefficient, name in zip(COEFFICIENTS, (first, f"  {second}"), strict=True):
        values = [_estimate(by_layer.get(layer), coefficient) for layer in layers]
        lines.add([Text(name), Text(COEFFICIENT_NAMES[coefficient]), *values, *count_cells(cells)])


def _estimate(cells: pd.DataFrame | None, coefficient: str) -> Cell:
    if cells is None:
        return Empty()
    mean, low, high = (float(cells[f"{coefficient}{end}"].iloc[0]) for end in ("", "_low", "_high"))
    return Estimate(mean, low, high) if mean == mean else Undefined()


def _notes(rows: pd.DataFrame) -> list[str]:
    notes = [
        "mean over examples of the correlation between two explainers' scores over the ranked tokens; in brackets: its "
        "95% bootstrap interval; for explainers with single heads, the mean over heads (pairs.csv has each head)"
    ]
    undefined = rows.loc[rows["status"] != "ok", "status"].value_counts()
    if len(undefined):
        reasons = "; ".join(f"{reason} ({count})" for reason, count in undefined.items())
        notes.append(f"undefined, left out: {undefined.sum()} of {len(rows)} correlations: {reasons}")
    return notes
