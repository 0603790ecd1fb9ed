"""Leaderboard lines to a grid of printed cells: explainers down, layers across."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SAME = "≡"
UNDEFINED = "–"


@dataclass(frozen=True)
class Grid:
    """One reference's table, ready to be printed in any form."""

    task: str
    model: str
    seed: int
    reference: str
    columns: list[str]
    lines: list[list[str]]
    notes: list[str]

    @property
    def title(self) -> str:
        """What the table is of."""
        return f"{self.task}, {self.model}, seed {self.seed}: Spearman's rho with {self.reference}, mean ± std"


def grids(board: Any, seconds: Mapping[str, float]) -> list[Grid]:
    """One grid per task, model, seed and reference of a leaderboard, which is a DataFrame.

    `seconds` are those of a run, by `explainer <name>`.
    """
    return [
        _grid((str(task), str(model), int(seed), str(reference)), lines, seconds)
        for (task, model, seed, reference), lines in board.groupby(["task", "model", "seed", "reference"], sort=False)
    ]


def _grid(key: tuple[str, str, int, str], board: Any, seconds: Mapping[str, float]) -> Grid:
    layers = sorted(board["layer"].unique())
    columns = ["explainer", *("input" if layer == 0 else f"L{layer}" for layer in layers), "n", "undefined", "seconds"]
    failed = board["failed"].sum() > 0
    if failed:
        columns.insert(-1, "failed")
    lines = []
    for (explainer, head), cells in board.groupby(["explainer", "head"], sort=False):
        by_layer = {cell.layer: cell for cell in cells.itertuples()}
        name = f"{explainer} head {head}" if head else str(explainer)
        counted = [_span(cells["n"]), _span(cells["undefined"]), *([_span(cells["failed"])] if failed else [])]
        spent = seconds.get(f"explainer {explainer}")
        lines.append(
            [
                name,
                *(_cell(by_layer.get(layer)) for layer in layers),
                *counted,
                "" if spent is None or head > 1 else f"{spent:.1f}",
            ]
        )
    return Grid(*key, columns, lines, _notes(board))


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
