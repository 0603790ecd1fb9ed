"""Leaderboard lines to a grid of printed cells: explainers down, layers across."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.merged import Lost, Merged
from harness.notes import shared
from harness.referents import CHANCE

SAME = "≡"
UNDEFINED = "–"
COUNTS = ("n", "undefined", "failed", "seconds")  # columns that are no layer


@dataclass(frozen=True)
class Grid:
    """One reference's table, ready to be printed in any form; its first `names` columns are names, not numbers."""

    task: str
    title: str
    columns: list[str]
    lines: list[list[str]]
    notes: list[str]
    names: int = 1


def grids(board: Any, seconds: Mapping[str, float]) -> list[Grid]:
    """One grid per task, model, seed and reference of a leaderboard, which is a DataFrame.

    `seconds` are those of a run, by `explainer <name>`.
    """
    return [
        _grid(str(task), f"{task}, {model}, seed {seed}: {_rho(reference)}", lines, seconds)
        for (task, model, seed, reference), lines in board.groupby(["task", "model", "seed", "reference"], sort=False)
    ]


def _rho(reference: Any) -> str:
    return f"Spearman's rho with {reference}, mean ± std"


def _grid(task: str, title: str, board: Any, seconds: Mapping[str, float]) -> Grid:
    layers = sorted(board["layer"].unique())
    failed = bool(board["failed"].sum() > 0)
    spent = {name.removeprefix("explainer "): value for name, value in seconds.items()}
    columns = ["explainer", *map(_header, layers), *_counts(failed), "seconds"]
    return Grid(task, title, columns, _lines(board, {layer: layer for layer in layers}, failed, spent), _notes(board))


def referent_grid(task: str, title: str, boards: Mapping[str, Any]) -> Grid | None:
    """Referent agreement, explainers down and layers across; None without any.

    `boards` are those of `referent_agreement` by model; a single model's name is not printed.
    """
    boards = {model: board for model, board in boards.items() if len(board)}  # a model's sentences may lack referents
    if not boards:
        return None
    layers = sorted({layer for board in boards.values() for layer in board["layer"]})
    several = len(boards) > 1
    lines = []
    for model, board in boards.items():
        for (explainer, head), cells in board.groupby(["explainer", "head"], sort=False):
            by_layer = {cell.layer: cell for cell in cells.itertuples()}
            name = _named(explainer, head)
            counted = [_span(cells[count]) for count in _counts(False)]
            lines.append([*([model] if several else []), name, *(_share(by_layer.get(at)) for at in layers), *counted])
    columns = [*(["model"] if several else []), "explainer", *map(_header, layers), *_counts(False)]
    notes = [
        f"the share of examples whose referent, the one whom the model's word means, has the higher mean score; chance "
        f"{CHANCE:.2f}; in brackets Wilson's 95 % interval; undefined: the model's word means neither"
    ]
    return Grid(task, f"{title}: referent agreement", columns, lines, notes, 2 if several else 1)


def _share(cell: Any) -> str:
    if cell is None:
        return ""
    return UNDEFINED if cell.n == 0 else f"{cell.share:.2f} [{cell.low:.2f}, {cell.high:.2f}]"


def merged_grids(merged: Merged) -> list[Grid]:
    """One grid per task and reference, models and explainers down; a second one where the models' depths differ."""
    grids = []
    whole: Any = pd.DataFrame({"task": []}) if merged.board is None else merged.board
    tasks = whole["task"].drop_duplicates().tolist()
    for task in dict.fromkeys([*tasks, *(one.task for one in merged.lost)]):
        lost = [one for one in merged.lost if one.task == task]
        if task not in tasks:
            grids.append(Grid(task, f"{task}: no results", ["model", "explainer"], _lost(lost, 2), _why(lost), 2))
            continue
        board = whole[whole["task"] == task]
        for reference, cells in board.groupby("reference", sort=False):
            seconds = {key[1:]: value for key, value in merged.seconds.items() if key[0] == task}
            grids += _by_model(task, f"{task}: {_rho(reference)}", cells, seconds, lost)
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
    by_model = {model: _notes(cells) for model, cells in models.items()}
    grids = []
    for name, columns, place, notes in alignments:
        relative = bool(notes)
        header = [f"{column}/{least}" if relative and column else _header(column) for column in columns]
        lines = []
        for model, cells in models.items():
            spent = {explainer: value for (of, explainer), value in seconds.items() if of == model}
            layers = {column: place(column, depths[model] or least) for column in columns}
            lines += [[model, *line] for line in _lines(cells, layers, failed, spent)]
        every = ["model", "explainer", *header, *_counts(failed), "seconds"]
        lines += _lost(lost, len(every))
        grids.append(Grid(task, name, every, lines, [*notes, *shared(by_model), *_why(lost)], 2))
    return grids


def _lost(lost: Sequence[Lost], width: int) -> list[list[str]]:
    return [[one.name, one.status, *[""] * (width - 2)] for one in lost]


def _why(lost: Sequence[Lost]) -> list[str]:
    return [f"{one.status} {one.name} ({one.folder}): {one.error}" for one in lost]


def _named(explainer: Any, head: Any) -> str:
    return f"{explainer} head {head}" if head else str(explainer)


def _header(layer: int) -> str:
    return "input" if layer == 0 else f"L{layer}"


def _counts(failed: bool) -> list[str]:
    return ["n", "undefined", *(["failed"] if failed else [])]


def _lines(board: Any, layers: Mapping[int, int], failed: bool, seconds: Mapping[str, float]) -> list[list[str]]:
    """A line per explainer and head; `layers` says which layer a column shows."""
    lines = []
    for (explainer, head), cells in board.groupby(["explainer", "head"], sort=False):
        by_layer = {cell.layer: cell for cell in cells.itertuples()}
        spent = seconds.get(explainer)
        lines.append(
            [
                _named(explainer, head),
                *(_cell(by_layer.get(layer)) for layer in layers.values()),
                *(_span(cells[count]) for count in _counts(failed)),
                "" if spent is None or head > 1 else f"{spent:.1f}",
            ]
        )
    return lines


def _cell(cell: Any) -> str:
    if cell is None:
        return ""
    if cell.same:
        return SAME
    return UNDEFINED if cell.n == 0 else f"{cell.mean:z.2f} ± {cell.std:.2f}"


def _span(counts: Any) -> str:
    low, high = counts.min(), counts.max()
    return str(low) if low == high else f"{low}–{high}"


def _notes(board: Any) -> list[str]:
    notes = []
    if board["same"].any():
        notes.append(f"{SAME} the explainer's scores are the reference's own: nothing is compared")
    reasons = board.loc[board["reasons"] != "", ["explainer", "layer", "reasons"]]
    whole = reasons.groupby("reasons", sort=False)
    for reason, cells in whole:
        names = cells["explainer"].drop_duplicates().tolist()
        everyone = len(names) == board["explainer"].nunique()
        layers = sorted(cells["layer"].unique())
        where = "" if everyone or layers == [0] else f" in layer {', '.join(map(str, layers))}"
        notes.append(f"undefined for {'all explainers' if everyone else ', '.join(names)}{where}: {reason}")
    return notes
