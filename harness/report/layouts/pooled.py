"""The leaderboard of a sweep as grids: models and explainers down, layers across, also by relative depth."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from harness.report.cells import Empty, Text
from harness.report.grid import Column, Grid, GridLines, count_columns, layer_name, measure_name, name_columns
from harness.report.layouts.board_cells import board_marks
from harness.report.layouts.leaderboard import AGE_NOTE, SECONDS, add_lines, undefined_notes
from harness.report.notes import shared_notes
from harness.results.pooled import Lost
from harness.statistics.position_agreement import Lines

Seconds = Mapping[str, Mapping[str, float]]  # by model and explainer


class Alignment(NamedTuple):
    """How models of different depths share columns.

    Args:
        columns: 0 for methods without layers, then from 1.
        layer: which layer of a model of a given depth a column shows.
    """

    title: str
    columns: list[int]
    headers: list[str]
    layer: Callable[[int, int], int]
    notes: list[str]


def pooled_grids(
    board: pd.DataFrame, seconds: Seconds, lost: Sequence[Lost], positions: Mapping[str, Lines] | None = None
) -> list[Grid]:
    """One grid for each measure of one task; a second one where the models' depths differ.

    `positions` are each causal model's agreements with position.
    """
    grids = []
    aged = positions or {}
    shown = board[board["kind"] != "reliability"]
    for measure, cells in shown.groupby("measure", sort=False):
        task = str(cells["task"].iloc[0])
        title = f"{task}: {measure_name(cells, str(measure))}, mean ± std"
        models = {str(model): part for model, part in cells.groupby("model", sort=False)}
        depths = {model: int(part["layer"].max()) for model, part in models.items()}
        inputs = bool((cells["layer"] == 0).any())
        grids += [_grid(task, one, models, depths, seconds, lost, aged) for one in _alignments(title, depths, inputs)]
    return grids


def lost_grid(task: str, lost: Sequence[Lost]) -> Grid:
    """The grid of a task without results."""
    lines = GridLines()
    _add_lost(lines, lost, 2)
    return lines.grid(task, f"{task}: no results", name_columns("model", "explainer"), _reasons(lost))


def _alignments(title: str, depths: Mapping[str, int], inputs: bool) -> list[Alignment]:
    deep = [depth for depth in depths.values() if depth]  # unknown where no method has layers
    least, most = min(deep, default=0), max(deep, default=0)
    first = [0] if inputs else []
    columns = [*first, *range(1, most + 1)]
    alignments = [Alignment(title, columns, [layer_name(column) for column in columns], lambda at, _: at, [])]
    if least < most:
        columns = [*first, *range(1, least + 1)]
        alignments.append(
            Alignment(
                f"{title}, by relative depth",
                columns,
                [f"{column}/{least}" if column else layer_name(0) for column in columns],
                lambda at, depth: -(-at * (depth or least) // least),  # rounded up in whole numbers; 0 stays 0
                [f"in column k/{least}, a model of L layers shows its layer ceil(k L / {least})"],
            )
        )
    return alignments


def _grid(
    task: str,
    alignment: Alignment,
    models: Mapping[str, pd.DataFrame],
    depths: Mapping[str, int],
    seconds: Seconds,
    lost: Sequence[Lost],
    positions: Mapping[str, Lines],
) -> Grid:
    failed = any(bool(cells["failed"].sum() > 0) for cells in models.values())
    lines = GridLines()
    for model, cells in models.items():
        layers = [alignment.layer(column, depths[model]) for column in alignment.columns]
        add_lines(lines, cells, layers, failed, seconds.get(model, {}), [Text(model)], positions.get(model))
        lines.rule()
    columns = [
        *name_columns("model", "explainer"),
        *(Column(header, "layer") for header in alignment.headers),
        *count_columns(failed),
        SECONDS,
    ]
    _add_lost(lines, lost, len(columns))
    marks = shared_notes({model: [*board_marks(cells), *undefined_notes(cells)] for model, cells in models.items()})
    return lines.grid(
        task, alignment.title, columns, [*alignment.notes, *marks, *([AGE_NOTE] if positions else []), *_reasons(lost)]
    )


def _add_lost(lines: GridLines, lost: Sequence[Lost], width: int) -> None:
    for one in lost:
        lines.add([Text(one.name), Text(one.status), *[Empty()] * (width - 2)])


def _reasons(lost: Sequence[Lost]) -> list[str]:
    return [f"{one.status} {one.name} ({one.folder}): {one.error}" for one in lost]
