"""The cells of a leaderboard by table, explainer and layer, and what its marks mean."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from harness.report.formats.plain import NOT_ABOVE
from harness.report.grid import measure_name
from harness.statistics.leaderboard import TABLE


class BoardCell(NamedTuple):
    """What a grid shows of one line of a leaderboard."""

    kind: str
    layer: int
    mean: float
    std: float
    low: float
    high: float
    group: str
    n: int
    same: bool
    best: bool
    above_floors: bool
    seed_std: float

    @property
    def marked(self) -> bool:
        """Whether it is an explainer's, and not significantly above every floor."""
        return self.kind == "explainer" and not self.above_floors


def board_tables(board: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Title, task and lines of each table of a board, without reliability."""
    shown = board[board["kind"] != "reliability"]
    for (task, model, seed, measure), part in shown.groupby(TABLE, sort=False):
        yield f"{task}, {model}, seed {seed}: {measure_name(part, str(measure))}", str(task), part


def by_explainer(board: pd.DataFrame) -> Iterator[tuple[str, int, pd.DataFrame]]:
    """The lines of each explainer and head, in the board's order."""
    for (explainer, head), cells in board.groupby(["explainer", "head"], sort=False):
        yield str(explainer), int(str(head)), cells


def cells_by_layer(cells: pd.DataFrame) -> dict[int, BoardCell]:
    """One explainer's cells by their layer."""
    lines = (BoardCell(*line) for line in cells[list(BoardCell._fields)].itertuples(index=False, name=None))
    return {line.layer: line for line in lines}


def best_columns(by_layer: Mapping[int, BoardCell], layers: Sequence[int]) -> list[int]:
    """The columns, after one of names, of the cells in bold."""
    return [1 + column for column, layer in enumerate(layers) if layer in by_layer and by_layer[layer].best]


def board_marks(board: pd.DataFrame) -> list[str]:
    """What bold, ° and (reference) mean in a table."""
    notes = [
        "bold: the best mean of any explainer, and all explainer means not significantly different from it (paired "
        "sign-flip tests, Holm-corrected over the table)"
    ]
    floors = board.loc[board["kind"] == "floor", "explainer"].drop_duplicates().tolist()
    if floors:
        notes.append(f"{NOT_ABOVE} not significantly above every floor at its layer ({', '.join(floors)})")
    if (board["kind"] == "reference").any():
        notes.append(
            "(reference): how well two references agree with each other; a point of comparison, not an upper bound"
        )
    return notes
