"""Tables of many layers are cut into blocks, and lose nothing."""

import re
from io import StringIO

import pytest
from rich.console import Console

from harness.report.cells import Cell, Count, Empty, Estimate, MeanStd, Number, Text
from harness.report.formats.blocks import layer_blocks, page_blocks
from harness.report.formats.latex import latex
from harness.report.formats.markdown import markdown
from harness.report.formats.plain import plain_lines
from harness.report.formats.terminal import print_grid, terminal_tables
from harness.report.grid import Grid, GridLines, count_columns, layer_columns, name_columns
from harness.report.layouts.leaderboard import SECONDS


def grid_of(layers: int, explainers: int = 3) -> Grid:
    """Explainers with layers, one without, below a rule a floor at odd layers; the last layer of the first is bold."""
    lines = GridLines()
    for index in range(explainers):
        means: list[Cell] = [MeanStd(-layer / 100, index / 10, above_floors=False) for layer in range(1, layers + 1)]
        name = Text(f"layer_gradient_x_activation_{index}")
        lines.add([name, Empty(), *means, Count(9, 10), Count(0, 1), Number(1.5)], [layers + 1] if index == 0 else [])
    lines.add([Text("saliency"), MeanStd(0.5, 0.25), *[Empty()] * layers, Count(7, 7), Count(3, 3), Number(2.5)])
    lines.rule()
    odd = [MeanStd(0.0, 0.5) if layer % 2 else Empty() for layer in range(1, layers + 1)]
    lines.add([Text("floor"), Empty(), *odd, Count(8, 8), Count(2, 2), Empty()])
    columns = [*name_columns("explainer"), *layer_columns(range(layers + 1)), *count_columns(), SECONDS]
    return lines.grid("t", "title", columns, ["a note"])


def cells(grid: Grid) -> list[tuple[str, str, str]]:
    """Line, column and text of everything that is printed."""
    return [
        (line[0], header, text)
        for line in plain_lines(grid)
        for header, text in zip(grid.headers[1:], line[1:], strict=True)
        if text
    ]


@pytest.mark.parametrize("layers", [30, 80])
@pytest.mark.parametrize("width", [60, 100, 200])
def test_a_terminal_shows_every_cell_of_many_layers_once(layers: int, width: int):
    grid = grid_of(layers)
    tables = terminal_tables(grid, width)
    assert all(Console(width=1000).measure(table).maximum <= width for table in tables)
    shown = []
    for table in tables:
        headers, *columns = [[str(column.header), *map(str, column.cells)] for column in table.columns]
        assert headers[0] == "explainer"
        shown += [
            (name, column[0], text) for column in columns for name, text in zip(headers[1:], column[1:], strict=True)
        ]
    assert sorted(cell for cell in shown if cell[2]) == sorted(cells(grid))
    console = Console(width=width, file=StringIO())
    print_grid(console, grid)
    printed = console.file.getvalue()
    assert "…" not in printed
    assert (printed.count("title"), printed.count("a note")) == (1, 1)


@pytest.mark.parametrize("layers", [30, 80])
def test_a_wider_terminal_has_fewer_blocks_of_even_size(layers: int):
    counts = []
    for width in (60, 100, 200, 2000):
        tables = terminal_tables(grid_of(layers), width)
        sizes = [len(table.columns) - 1 for table in tables if str(table.columns[-1].header).startswith("L")]
        assert max(sizes, default=0) - min(sizes, default=0) <= 1
        counts.append(len(tables))
    assert counts == sorted(set(counts), reverse=True)
    assert counts[-1] == 1


@pytest.mark.parametrize("layers", [30, 80])
def test_files_hold_every_cell_of_many_layers_once_in_tables_that_fit_a_page(layers: int):
    grid = grid_of(layers)
    blocks = page_blocks(grid)
    assert sorted(cell for block in blocks for cell in cells(block)) == sorted(cells(grid))
    assert all(sum(map(len, line)) + 2 * len(line) <= 125 for block in blocks for line in plain_lines(block))
    written = markdown(grid, ["another note"])
    assert re.findall(r"\bL(\d+)\b", written) == [str(layer) for layer in range(1, layers + 1)]
    assert written.count("| explainer |") == len(blocks)
    assert (written.count("### title"), written.count("- a note\n- another note")) == (1, 1)
    text = latex(grid, [])
    assert re.findall(r"& L(\d+)\b", text) == [str(layer) for layer in range(1, layers + 1)]
    captions = re.findall(r"\\caption\{(.*)\}", text)
    assert len(set(captions)) == len(captions) == len(blocks)
    assert captions[0].startswith("title, input to L")
    assert captions[-2:] == [f"title, {blocks[-2].headers[1]} to L{layers}.", "title, all layers."]
    assert text.count("% a note") == 1


@pytest.mark.parametrize("layers", [3, 6, 12])
def test_up_to_twelve_layers_a_file_keeps_one_table(layers: int):
    wide = Estimate(-0.123, -0.45, -0.67, "abcdefghijklm", above_floors=False)
    columns = [*name_columns("model", "explainer"), *layer_columns(range(layers + 1)), *count_columns()]
    line: list[Cell] = [Text("m" * 90), Text("e" * 60), *[wide] * (layers + 1), Count(100, 200), Count(100, 200)]
    for grid in (grid_of(layers), Grid("t", "title", columns, [line], [])):
        assert page_blocks(grid) == [grid]


def test_only_the_first_block_has_lines_without_a_cell():
    first, *others, last = layer_blocks(grid_of(30), lambda block: len(block.columns) <= 2)
    names = [f"layer_gradient_x_activation_{index}" for index in range(3)]
    assert [line[0] for line in plain_lines(first)] == [*names, "saliency", "floor"]
    assert [line[0] for line in plain_lines(others[0])] == [*names, "floor"]  # L1
    assert [line[0] for line in plain_lines(others[1])] == names
    assert [line[0] for line in plain_lines(last)] == [*names, "saliency", "floor"]
    assert last.headers == ["explainer", "n", "undefined", "seconds"]


def test_bold_cells_and_rules_stay_with_their_lines():
    first, *others, last = layer_blocks(grid_of(30), lambda block: len(block.columns) <= 12)
    assert [block.bold for block in (first, *others, last)] == [set(), set(), {(0, 10)}, set()]
    assert [block.rules for block in (first, *others, last)] == [(4,), (3,), (3,), (4,)]
    single = layer_blocks(grid_of(30), lambda block: len(block.columns) <= 2)
    assert [block.rules for block in single[1:3]] == [(3,), ()]  # the floor has no cell at L2


def test_names_that_leave_no_room_for_a_layer_are_not_repeated():
    grid = grid_of(30)
    assert layer_blocks(grid, lambda _: False) == [grid]
    assert len(terminal_tables(grid, 20)) == 2
