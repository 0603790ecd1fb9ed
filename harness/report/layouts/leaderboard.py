"""A leaderboard as grids in the paper's layout: explainers down, layers across, mean ± std."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from harness.report.cells import Cell, Empty, MeanStd, Number, Same, Text, Undefined
from harness.report.formats.plain import SAME
from harness.report.grid import (
    LINE_KINDS,
    Column,
    Grid,
    GridLines,
    count_cells,
    count_columns,
    layer_columns,
    line_name,
    name_columns,
)
from harness.report.layouts.board_cells import (
    BoardCell,
    best_columns,
    board_marks,
    board_tables,
    by_explainer,
    cells_by_layer,
)
from harness.statistics.position_agreement import Lines

SECONDS = Column("seconds", "seconds")


AGE = "  rho with position"
AGE_NOTE = (
    "rho with position: Spearman's rho of the scores with the floor position, the earlier the higher, mean over "
    "examples; in a causal model scores may follow it whatever the model computes"
)


def leaderboard_grids(board: pd.DataFrame, seconds: Mapping[str, float], positions: Lines | None = None) -> list[Grid]:
    """One grid per task, model, seed and measure, in the paper's layout: mean ± std.

    `seconds` are those of each explainer, `positions` its agreement with position, for a line below its own.
    """
    result = []
    for title, task, part in board_tables(board):
        layers = sorted(part["layer"].unique())
        failed = bool(part["failed"].sum() > 0)
        lines = GridLines()
        add_lines(lines, part, layers, failed, seconds, positions=positions)
        columns = [*name_columns("explainer"), *layer_columns(layers), *count_columns(failed), SECONDS]
        result.append(
            lines.grid(
                task,
                f"{title}, mean ± std",
                columns,
                [*board_marks(part), *undefined_notes(part), *([AGE_NOTE] if positions else [])],
            )
        )
    return result


def add_lines(
    lines: GridLines,
    board: pd.DataFrame,
    layers: Sequence[int],
    failed: bool,
    seconds: Mapping[str, float],
    before: Sequence[Cell] = (),
    positions: Lines | None = None,
) -> None:
    """Add a line per explainer and head; floors and references are below rules.

    `layers` are those that the columns show, `failed` says whether there is a column of failed examples, and the cells
    `before` are put in front of each line. With `positions`, an explainer's agreement with position stands below it.
    """
    spread = board["seed_std"].notna().any()
    for kind in LINE_KINDS:
        lines.rule()
        for explainer, head, cells in by_explainer(board[board["kind"] == kind]):
            by_layer = cells_by_layer(cells)
            timed = kind != "reference" and head <= 1 and explainer in seconds
            time = Number(seconds[explainer], ".1f") if timed else Empty()
            values = [_cell(by_layer.get(layer)) for layer in layers]
            counts = count_cells(cells, failed)
            bold = [len(before) + column for column in best_columns(by_layer, layers)]
            lines.add([*before, Text(line_name(explainer, head, kind)), *values, *counts, time], bold)
            if positions and kind == "explainer":
                ages = [positions.get((explainer, head, layer), math.nan) for layer in layers]
                cells_of_age = [Empty() if math.isnan(age) else Number(age, ".2f") for age in ages]
                lines.add([*before, Text(AGE), *cells_of_age, *[Empty()] * (len(counts) + 1)])
            if spread and kind != "reference":
                over = [_spread(by_layer.get(layer)) for layer in layers]
                blank = [Empty()] * (len(counts) + 1)
                lines.add([*before, Text("  std of the seeds' means"), *over, *blank])


def undefined_notes(board: pd.DataFrame) -> list[str]:
    """Why cells have no number."""
    notes = []
    if board["same"].any():
        notes.append(f"{SAME} the explainer's scores are identical to the reference's: there is nothing to compare")
    reasons = board.loc[board["reasons"] != "", ["explainer", "layer", "reasons"]]
    for reason, cells in reasons.groupby("reasons", sort=False):
        names = cells["explainer"].drop_duplicates().tolist()
        everyone = len(names) == board["explainer"].nunique()
        layers = sorted(cells["layer"].unique())
        several = "s" if len(layers) > 1 else ""
        where = "" if everyone or layers == [0] else f" in layer{several} {', '.join(map(str, layers))}"
        notes.append(f"undefined for {'all' if everyone else ', '.join(names)}{where}: {reason}")
    return notes


def _cell(cell: BoardCell | None) -> Cell:
    if cell is None:
        return Empty()
    if cell.same:
        return Same()
    return Undefined() if cell.n == 0 else MeanStd(cell.mean, cell.std, above_floors=not cell.marked)


def _spread(cell: BoardCell | None) -> Cell:
    return Empty() if cell is None or math.isnan(cell.seed_std) else Number(cell.seed_std, ".3f")
