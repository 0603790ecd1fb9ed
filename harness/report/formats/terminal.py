"""Grids on the terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text as Styled

from harness.report.formats.blocks import layer_blocks
from harness.report.formats.plain import plain
from harness.report.formats.screen import Screen, printable
from harness.report.grid import Grid


def terminal(width: int = 200) -> Console:
    """Standard output; `width` characters wide where that is not a terminal, so that no table is folded there."""
    console = Screen()
    return console if console.is_terminal else Screen(width=width)


def terminal_tables(grid: Grid, width: int) -> list[Table]:
    """A grid for a terminal of this width.

    Where space is short, standard deviations go below the means; where it is shorter still, counts and seconds go into
    a second table. Where the layers do not fit even so, they are cut into blocks.
    """
    every = list(range(len(grid.columns)))
    beside = [index for index in every if grid.columns[index].role in ("count", "seconds")]
    main = [index for index in every if index not in beside]
    apart = [main, [*every[: grid.names], *beside]] if beside else [every]
    for parts, between in (([every], " ± "), ([every], "\n±"), (apart, "\n±")):
        tables = [_table(grid, part, between) for part in parts]
        if all(_fits(table, width) for table in tables):
            break
    else:
        blocks = layer_blocks(grid, lambda block: _fits(_table(block), width))
        tables = [_table(block) for block in blocks] if len(blocks) > 1 else tables
    tables[0].title = Styled(printable(grid.title), style="bold")
    return tables


def print_grid(console: Console, grid: Grid) -> None:
    """Print a grid with its own notes."""
    for table in terminal_tables(grid, console.width):
        console.print(table)
    print_notes(console, grid.notes, wrap=grid.names == 1)
    console.print()


def print_notes(console: Console, notes: Sequence[str], wrap: bool = False) -> None:
    """Print sentences, one a line, just as they are; with `wrap`, broken at the width of the terminal."""
    for note in notes:
        console.print(printable(note), highlight=False, markup=False, soft_wrap=not wrap)


def _fits(table: Table, width: int) -> bool:
    return Console(width=1000).measure(table).maximum <= width


def _table(grid: Grid, chosen: Sequence[int] | None = None, between: str = " ± ") -> Table:
    """Some columns of a grid, or all."""
    columns = range(len(grid.columns)) if chosen is None else chosen
    table = Table(title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for index in columns:
        column = grid.columns[index]
        table.add_column(
            Styled(printable(column.header)), justify="left" if column.role == "name" else "right", no_wrap=True
        )
    for number, line in enumerate(grid.lines):
        texts = [
            Styled(printable(plain(line[index], between)), style="bold" if (number, index) in grid.bold else "")
            for index in columns
        ]
        table.add_row(*texts, end_section=number + 1 in grid.rules)
    return table
