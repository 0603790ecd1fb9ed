"""A table of values, ready for any format, and the pieces that layouts make it of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from harness.report.cells import Cell, Count

LINE_KINDS = ("explainer", "floor", "reference")  # in the order of their lines
BLOCK = 6  # layers side by side where cells are wide
COUNTED = ("n", "undefined")
Role = Literal["name", "layer", "value", "count", "seconds", "further", "text"]


@dataclass(frozen=True)
class Column:
    """A column of a grid.

    Args:
        header: its heading.
        role: what its cells are: names, values at one layer, other values, counts, seconds, further values, which go
            into a table of their own first where space is short, or texts of several words, which may be folded.
    """

    header: str
    role: Role = "value"

    @property
    def flush_left(self) -> bool:
        """Whether its cells are words and no values."""
        return self.role in ("name", "text")


@dataclass(frozen=True)
class Grid:
    """A table of values.

    Args:
        columns: those of names come first.
        bold: the cells in bold, as line and column.
        rules: lines with a rule above them.
    """

    task: str
    title: str
    columns: Sequence[Column]
    lines: Sequence[Sequence[Cell]]
    notes: Sequence[str]
    bold: frozenset[tuple[int, int]] = frozenset()
    rules: tuple[int, ...] = ()

    @property
    def names(self) -> int:
        """The number of columns that hold names."""
        return sum(column.role == "name" for column in self.columns)

    @property
    def headers(self) -> list[str]:
        """The headings of the columns."""
        return [column.header for column in self.columns]


@dataclass
class GridLines:
    """The lines of a grid as they are collected, with their bold cells and rules."""

    lines: list[Sequence[Cell]] = field(default_factory=list)
    bold: set[tuple[int, int]] = field(default_factory=set)
    rules: list[int] = field(default_factory=list)

    def add(self, line: Sequence[Cell], bold: Iterable[int] = ()) -> None:
        """Add a line; `bold` are its columns in bold."""
        self.bold |= {(len(self.lines), column) for column in bold}
        self.lines.append(line)

    def rule(self) -> None:
        """Draw a rule above the next line, unless that is the first line or has one already."""
        if self.lines and self.rules[-1:] != [len(self.lines)]:
            self.rules.append(len(self.lines))

    def grid(self, task: str, title: str, columns: Sequence[Column], notes: Sequence[str]) -> Grid:
        """The finished grid; a rule after the last line is dropped."""
        assert all(len(line) == len(columns) for line in self.lines), title
        rules = tuple(rule for rule in self.rules if rule < len(self.lines))
        return Grid(task, title, columns, self.lines, notes, frozenset(self.bold), rules)


def name_columns(*headers: str) -> list[Column]:
    """Columns of names."""
    return [Column(header, "name") for header in headers]


def layer_columns(layers: Iterable[int]) -> list[Column]:
    """A column of values for each layer."""
    return [Column(layer_name(layer), "layer") for layer in layers]


def count_columns(failed: bool = False) -> list[Column]:
    """The columns after the layers: defined and undefined examples and, where there are any, failed ones."""
    return [Column(name, "count") for name in counted_columns(failed)]


def counted_columns(failed: bool = False) -> list[str]:
    """The columns of a leaderboard that `count_columns` shows."""
    return [*COUNTED, *(["failed"] if failed else [])]


def count_cells(cells: pd.DataFrame, failed: bool = False) -> list[Cell]:
    """The counts of one line, from its cells in a leaderboard."""
    return [Count(int(cells[name].min()), int(cells[name].max())) for name in counted_columns(failed)]


def frames_by_layer(cells: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """The lines of each layer."""
    return {int(layer): cells[cells["layer"] == layer] for layer in cells["layer"].unique()}


def layer_name(layer: int) -> str:
    """`L3`; layer 0 means methods without layers and is called `input`."""
    return "input" if layer == 0 else f"L{layer}"


def line_name(explainer: str, head: int, kind: str = "explainer") -> str:
    """What a line is called."""
    if kind == "reference":
        return f"{explainer} (reference)"
    return f"{explainer} head {head}" if head else explainer


def measure_name(table: pd.DataFrame, measure: str) -> str:
    """What the numbers of one table are, from its lines of a leaderboard or a ranking."""
    if table["higher"].isna().all():
        return f"Spearman's rho with {measure}"
    return f"{measure} ({'higher' if table['higher'].iloc[0] else 'lower'} is better)"
