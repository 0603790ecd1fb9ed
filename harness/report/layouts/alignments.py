"""Alignment error rates as a grid: explainers and their two readings of rows down, layers across."""

from collections.abc import Mapping

import pandas as pd

from harness.report.cells import Cell, Count, Empty, Estimate, Text, Undefined
from harness.report.formats.plain import NOT_ABOVE
from harness.report.grid import (
    LINE_KINDS,
    Grid,
    GridLines,
    count_columns,
    frames_by_layer,
    layer_columns,
    line_name,
    name_columns,
)
from harness.report.layouts.board_cells import by_explainer

COUNTED = ("sentences", "undefined")
NOTES = (
    "alignment error rate (lower is better): each target word is linked with the source word of the highest score, the "
    "sum of its tokens' scores; in brackets: 95% bootstrap interval over sentence pairs; bold: the lowest of any "
    "explainer",
    "row: the scores from the position that predicts a target word (output), or at which it is the input, one later "
    "(input); of a word in pieces their mean",
    "n: sentence pairs; undefined: target words without a link, since their scores are all equal or not finite",
)


def alignment_grid(task: str, title: str, boards: Mapping[str, pd.DataFrame]) -> Grid | None:
    """One grid for all models, of links by argmax; None where no sentence pair has gold links.

    `boards` are those of `alignment_board` by model; the name of a single model is not printed.
    """
    boards = {model: board[board["links"] == "argmax"] for model, board in boards.items() if len(board)}
    if not boards:
        return None
    layers = sorted({int(layer) for board in boards.values() for layer in board["layer"]})
    several = len(boards) > 1
    lines = GridLines()
    for model, board in boards.items():
        best, floor = (board.loc[board["kind"] == kind, "aer"].min() for kind in ("explainer", "floor"))
        for kind in LINE_KINDS:
            lines.rule()
            for explainer, head, both in by_explainer(board[board["kind"] == kind]):
                for row, cells in both.groupby("row", sort=False):
                    by_layer = frames_by_layer(cells)
                    values = [_cell(by_layer.get(layer), floor) for layer in layers]
                    names = [
                        *([Text(model)] if several else []),
                        Text(line_name(explainer, head, kind)),
                        Text(str(row)),
                    ]
                    counts = [Count(int(cells[name].min()), int(cells[name].max())) for name in COUNTED]
                    bold = [
                        len(names) + column
                        for column, layer in enumerate(layers)
                        if kind == "explainer" and layer in by_layer and by_layer[layer]["aer"].iloc[0] == best
                    ]
                    lines.add([*names, *values, *counts], bold)
    names = name_columns(*(["model"] if several else []), "explainer", "row")
    columns = [*names, *layer_columns(layers), *count_columns()]
    return lines.grid(task, f"{title}: alignment error rate", columns, [*NOTES, *_marks(boards)])


def _marks(boards: Mapping[str, pd.DataFrame]) -> list[str]:
    floors = pd.concat([board.loc[board["kind"] == "floor", "explainer"] for board in boards.values()])
    names = ", ".join(floors.drop_duplicates())
    return [f"{NOT_ABOVE} the interval reaches the lowest error rate of a floor ({names})"] if names else []


def _cell(cells: pd.DataFrame | None, floor: float) -> Cell:
    """An explainer's is marked where its interval reaches the lowest rate of a floor; NaN where there is no floor."""
    if cells is None:
        return Empty()
    (cell,) = cells.to_dict("records")
    if pd.isna(cell["aer"]):
        return Undefined()
    reached = cell["kind"] == "explainer" and cell["high"] >= floor
    return Estimate(cell["aer"], cell["low"], cell["high"], above_floors=not reached)
