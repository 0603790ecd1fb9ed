"""The grids of a sweep: models and explainers down, layers across, and by relative depth where depths differ."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from harness.report.grid import Grid, Lines, add_lines, cell_notes, counts, header, marks, measure
from harness.report.layouts.summaries import referent_grid
from harness.report.notes import shared
from harness.results.pooled import Lost, Merged


def merged_grids(merged: Merged) -> list[Grid]:
    """One grid per task and reference, models and explainers down; a second one where the models' depths differ."""
    grids = []
    whole: Any = pd.DataFrame({"task": []}) if merged.board is None else merged.board
    tasks = whole["task"].drop_duplicates().tolist()
    for task in dict.fromkeys([*tasks, *(one.task for one in merged.lost)]):
        lost = [one for one in merged.lost if one.task == task]
        if task not in tasks:
            lines = Lines()
            _add_lost(lines, lost, 2)
            grids.append(lines.grid(task, f"{task}: no results", ["model", "explainer"], _why(lost), 2))
            continue
        board = whole[(whole["task"] == task) & (whole["kind"] != "reliability")]
        for reference, cells in board.groupby("reference", sort=False):
            seconds = {key[1:]: value for key, value in merged.seconds.items() if key[0] == task}
            grids += _by_model(task, f"{task}: {measure(cells, reference)}, mean ± std", cells, seconds, lost)
        by_model = {model: board for (of, model), board in merged.referents.items() if of == task}
        referents = referent_grid(task, task, by_model)
        grids += [] if referents is None else [referents]
    return grids


def _by_model(
    task: str, title: str, board: Any, seconds: Mapping[tuple[str, str], float], lost: Sequence[Lost]
) -> list[Grid]:
    models = {str(model): cells for model, cells in board.groupby("model", sort=False)}
    depths = {model: int(cells["layer"].max()) for model, cells in models.items()}
    deep = [depth for depth in depths.values() if depth]  # of methods without layers alone, a depth is not known
    least, most = min(deep, default=0), max(deep, default=0)
    failed = bool(board["failed"].sum() > 0)
    inputs = [0] if (board["layer"] == 0).any() else []
    alignments = [(title, [*inputs, *range(1, most + 1)], lambda column, depth: column, [])]
    if least < most:
        alignments.append(
            (
                f"{title}, by relative depth",
                [*inputs, *range(1, least + 1)],
                lambda column, depth: -(-column * depth // least),  # ceil(k L / Lmin) in whole numbers; the input is 0
                [f"in column k/{least}, a model of L layers shows its layer ceil(k L / {least})"],
            )
        )
    by_model = {model: [*marks(cells), *cell_notes(cells)] for model, cells in models.items()}
    grids = []
    for name, columns, place, notes in alignments:
        relative = bool(notes)
        headers = [f"{column}/{least}" if relative and column else header(column) for column in columns]
        lines = Lines()
        for model, cells in models.items():
            spent = {explainer: value for (of, explainer), value in seconds.items() if of == model}
            layers = {column: place(column, depths[model] or least) for column in columns}
            add_lines(lines, cells, layers, failed, spent, [model])
            lines.rule()
        every = ["model", "explainer", *headers, *counts(failed), "seconds"]
        _add_lost(lines, lost, len(every))
        grids.append(lines.grid(task, name, every, [*notes, *shared(by_model), *_why(lost)], 2))
    return grids


def _add_lost(lines: Lines, lost: Sequence[Lost], width: int) -> None:
    for one in lost:
        lines.add([one.name, one.status, *[""] * (width - 2)])


def _why(lost: Sequence[Lost]) -> list[str]:
    return [f"{one.status} {one.name} ({one.folder}): {one.error}" for one in lost]
