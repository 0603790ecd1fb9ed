"""A leaderboard in full as grids: means with intervals and groups, a few layers to a grid."""

from collections.abc import Sequence

import pandas as pd

from harness.report.cells import Cell, Empty, Estimate, Same, Text, Undefined
from harness.report.grid import BLOCK, LINE_KINDS, Grid, GridLines, layer_columns, layer_name, line_name, name_columns
from harness.report.layouts.board_cells import (
    BoardCell,
    best_columns,
    board_marks,
    board_tables,
    by_explainer,
    cells_by_layer,
)


def full_leaderboard_grids(board: pd.DataFrame) -> list[Grid]:
    """The same in full, a few layers to a grid: mean, its 95% interval, and the letters of its groups."""
    result = []
    for title, task, part in board_tables(board):
        layers = sorted(part["layer"].unique())
        inputs, deep = [layer for layer in layers if layer == 0], [layer for layer in layers if layer > 0]
        blocks = [deep[start : start + BLOCK] for start in range(0, len(deep), BLOCK)] or [[]]
        blocks[0] = [*inputs, *blocks[0]]
        notes = [
            "in brackets: 95% bootstrap interval of the mean over examples; cells in one column that share a letter "
            "are not significantly different",
            *board_marks(part),
        ]
        for block in blocks:
            which = f", {layer_name(block[0])} to {layer_name(block[-1])}" if len(blocks) > 1 else ""
            columns = [*name_columns("explainer"), *layer_columns(block)]
            lines = _full_lines(part, block)
            result.append(lines.grid(task, f"{title}, mean, interval and group{which}", columns, notes))
    return result


def _full_lines(board: pd.DataFrame, layers: Sequence[int]) -> GridLines:
    lines = GridLines()
    for kind in LINE_KINDS:
        lines.rule()
        for explainer, head, cells in by_explainer(board[board["kind"] == kind]):
            by_layer = cells_by_layer(cells)
            if any(layer in by_layer for layer in layers):
                values = [_full_cell(by_layer.get(layer)) for layer in layers]
                lines.add([Text(line_name(explainer, head, kind)), *values], best_columns(by_layer, layers))
    return lines


def _full_cell(cell: BoardCell | None) -> Cell:
    if cell is None:
        return Empty()
    if cell.same:
        return Same()
    if cell.n == 0:
        return Undefined()
    return Estimate(cell.mean, cell.low, cell.high, cell.group, above_floors=not cell.marked)
