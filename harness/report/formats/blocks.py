"""Grids of many layers, cut into blocks of layers that fit a page or a terminal."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from harness.report.cells import Empty
from harness.report.formats.plain import plain_lines
from harness.report.grid import Grid

WHOLE = 13  # columns of layers, twelve and `input`, up to which a table in a file stays in one piece
PAGE = 90  # characters of layers in one block of a larger table, so that it fits a page beside the names


def layer_blocks(grid: Grid, fits: Callable[[Grid], bool]) -> list[Grid]:
    """The fewest blocks of layers of which all fit, then the columns that are no layers; names are repeated in each.

    The blocks are as even as possible. The first one has every line, the others those with a cell there. Where not
    even blocks of one layer fit, the grid stays whole.
    """
    layers = [index for index, column in enumerate(grid.columns) if column.role == "layer"]
    others = [index for index, column in enumerate(grid.columns) if column.role not in ("name", "layer")]
    blocks = column_blocks(grid, layers, fits)
    if not blocks:
        return [grid]
    return [*blocks, *([grid_part(grid, others, "all layers")] if others else [])]


def column_blocks(grid: Grid, columns: Sequence[int], fits: Callable[[Grid], bool]) -> list[Grid]:
    """The fewest blocks, two or more, of these columns of which all fit, with the names in each; none if none fits."""
    for count in range(2, len(columns) + 1):
        cuts = [-(-len(columns) * number // count) for number in range(count + 1)]  # larger blocks first
        chosen = [columns[start:end] for start, end in pairwise(cuts)]
        blocks = [
            grid_part(grid, block, f"{grid.headers[block[0]]} to {grid.headers[block[-1]]}", number == 0)
            for number, block in enumerate(chosen)
        ]
        if all(map(fits, blocks)):
            return blocks
    return []


def page_blocks(grid: Grid) -> list[Grid]:
    """The blocks of a grid in a file; a grid of few layers stays whole."""
    few = sum(column.role == "layer" for column in grid.columns) <= WHOLE
    return [grid] if few else layer_blocks(grid, lambda block: _layer_width(block) <= PAGE)


def _layer_width(grid: Grid) -> int:
    """Characters of the columns of layers, each with two after it."""
    columns = zip(grid.columns, *plain_lines(grid), strict=True)
    return sum(max(map(len, [column.header, *texts])) + 2 for column, *texts in columns if column.role == "layer")


def grid_part(grid: Grid, values: Sequence[int], which: str, every_line: bool = False) -> Grid:
    """The names and some other columns of a grid, with all lines or only those that are not empty there."""
    columns = [*range(grid.names), *values]
    kept = [
        number
        for number, line in enumerate(grid.lines)
        if every_line or any(line[index] != Empty() for index in values)
    ]
    above = {sum(number < rule for number in kept) for rule in grid.rules}  # kept lines above each rule
    return Grid(
        grid.task,
        f"{grid.title}, {which}",
        [grid.columns[index] for index in columns],
        [[grid.lines[number][index] for index in columns] for number in kept],
        grid.notes,
        frozenset(
            (line, column)
            for line, number in enumerate(kept)
            for column, index in enumerate(columns)
            if (number, index) in grid.bold
        ),
        tuple(sorted(above - {0, len(kept)})),
    )
