"""Grids on the terminal."""

import os
from collections.abc import Container, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text as Styled

from harness.report.formats.blocks import column_blocks, grid_part
from harness.report.formats.plain import plain
from harness.report.formats.screen import Screen, printable
from harness.report.formats.short_names import with_short_names
from harness.report.formats.wrapping import broken
from harness.report.grid import Grid

BESIDE, BELOW = " ± ", "\n±"  # where a standard deviation stands
LEAVE_FIRST, LEAVE_NEXT = ("further", "text"), ("count", "seconds")  # roles of columns that leave a table too wide
READABLE = 40  # characters to which a column of texts is folded at most
SHARE_OF_NAMES = 0.6  # of the width that names take at most, before a table is cut into blocks
MEASURING = Console(width=10_000)


def terminal(width: int = 200) -> Console:
    """Standard output; `width` characters wide where that is no terminal and the environment has no COLUMNS.

    A pipe gets the same lines whatever terminal it comes from, and notes on a run in one line each.
    """
    console, columns = Screen(), os.environ.get("COLUMNS", "")
    if console.is_terminal or (columns.isdigit() and int(columns) > 0):
        return console
    return Screen(width=width, soft_wrap=True)


def terminal_tables(grid: Grid, width: int) -> list[Table]:
    """A grid for a terminal of this width.

    Where space is short, standard deviations go below the means; where it is shorter still, further statistics go into
    a table of their own. Then names are shortened if the rest fits so, or else counts and seconds leave it too. What
    does not fit even so is cut into blocks of columns.
    """
    return [_table(part, between) for part, between in _parts(grid, width)]


def print_grid(console: Console, grid: Grid, known: Container[str] = ()) -> None:
    """Print a grid with its own notes, but for those that the reader knows already."""
    print_heading(console, grid.title)
    for table in terminal_tables(grid, console.width):
        console.print(table, soft_wrap=False)
    print_notes(console, [note for note in grid.notes if note not in known], wrap=grid.names == 1)
    console.print()


def print_heading(console: Console, text: str) -> None:
    """Print a line in bold."""
    console.print(Styled(printable(text), style="bold"))


def print_notes(console: Console, notes: Sequence[str], wrap: bool = False) -> None:
    """Print sentences just as they are, broken between words at the width of the console.

    A console of soft wraps, for which no terminal breaks lines, has each in one line unless `wrap`. A path that is
    wider than the console stays in one piece, so that it can be copied.
    """
    for note in notes:
        text = printable(note)
        if wrap or not console.soft_wrap:
            text = broken(text, console.width)
        console.print(text, highlight=False, markup=False, soft_wrap=True)


def _parts(grid: Grid, width: int) -> list[tuple[Grid, str]]:
    """Parts of a grid that fit, each with the place of its standard deviations."""
    for between in (BESIDE, BELOW):
        if _fits(grid, between, width):
            return [(grid, between)]
    halves = _divided(grid, LEAVE_FIRST)
    if halves is None:
        short = with_short_names(grid, width - _width(grid, BELOW) + _width(grid_part(grid, [], "", True), BELOW))
        if _fits(short, BELOW, width):
            return [(short, BELOW)]
        halves = _divided(grid, LEAVE_NEXT)
    if halves is not None:
        return [part for half in halves for part in _parts(half, width)]
    values = range(grid.names, len(grid.columns))
    short = with_short_names(grid, int(SHARE_OF_NAMES * width))
    blocks = column_blocks(short, values, lambda block: _fits(block, BESIDE, width))
    return [(block, BESIDE) for block in blocks] or [(grid, BELOW)]


def _divided(grid: Grid, roles: Sequence[str]) -> tuple[Grid, Grid] | None:
    """The other columns and those of these roles; None where one of the two has none."""
    values = range(grid.names, len(grid.columns))
    apart = [index for index in values if grid.columns[index].role in roles]
    rest = [index for index in values if index not in apart]
    return (grid_part(grid, rest, "", every_line=True), grid_part(grid, apart, "")) if apart and rest else None


def _fits(grid: Grid, between: str, width: int) -> bool:
    return _width(grid, between) <= width


def _width(grid: Grid, between: str) -> int:
    """Characters of a grid's table, in which texts are folded."""
    table = _table(grid, between)
    texts = [column for column, told in zip(table.columns, grid.columns, strict=True) if told.role == "text"]
    for column in texts:
        column.max_width = READABLE
    return MEASURING.measure(table).maximum


def _table(grid: Grid, between: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in grid.columns:
        justify = "left" if column.flush_left else "right"
        table.add_column(Styled(printable(column.header)), justify=justify, no_wrap=column.role != "text")
    for number, line in enumerate(grid.lines):
        texts = [
            Styled(printable(plain(cell, between)), style="bold" if (number, index) in grid.bold else "")
            for index, cell in enumerate(line)
        ]
        table.add_row(*texts, end_section=number + 1 in grid.rules)
    return table
