"""Referent agreement as a grid: explainers down, layers across."""

from collections.abc import Mapping

import pandas as pd

from harness.report.cells import Cell, Empty, Estimate, Text, Undefined
from harness.report.grid import (
    Grid,
    GridLines,
    count_cells,
    count_columns,
    frames_by_layer,
    layer_columns,
    line_name,
    name_columns,
)
from harness.report.layouts.board_cells import by_explainer
from harness.statistics.referent_agreement import CHANCE


def referent_grid(task: str, title: str, boards: Mapping[str, pd.DataFrame]) -> Grid | None:
    """One grid for all models; None where no example has referents.

    `boards` are those of `referent_agreement` by model; the name of a single model is not printed.
    """
    boards = {model: board for model, board in boards.items() if len(board)}  # a model's sentences may lack referents
    if not boards:
        return None
    layers = sorted({int(layer) for board in boards.values() for layer in board["layer"]})
    several = len(boards) > 1
    lines = GridLines()
    for model, board in boards.items():
        for explainer, head, cells in by_explainer(board):
            by_layer = frames_by_layer(cells)
            shares = [_share(by_layer.get(layer)) for layer in layers]
            name = Text(line_name(explainer, head))
            lines.add([*([Text(model)] if several else []), name, *shares, *count_cells(cells)])
    names = name_columns("model", "explainer") if several else name_columns("explainer")
    notes = [
        "share of examples in which the candidate that the predicted word refers to has the highest mean score; chance "
        f"is {CHANCE:.2f}; in brackets: Wilson's 95% interval; undefined: the predicted word refers to no candidate"
    ]
    columns = [*names, *layer_columns(layers), *count_columns()]
    return lines.grid(task, f"{title}: referent agreement", columns, notes)


def _share(cells: pd.DataFrame | None) -> Cell:
    if cells is None:
        return Empty()
    (cell,) = cells.to_dict("records")
    return Estimate(cell["share"], cell["low"], cell["high"]) if cell["n"] else Undefined()
