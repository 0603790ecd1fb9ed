"""No line of a terminal is folded, and a pipe gets what it always got."""

import re
from io import StringIO

import pandas as pd
import pytest
from rich.cells import cell_len
from rich.console import Console

from harness.report.cells import BestLayer, Cell, Estimate, MeanStd, Number, Text
from harness.report.formats.plain import plain_lines
from harness.report.formats.terminal import print_grid, print_heading, print_notes, terminal, terminal_tables
from harness.report.formats.wrapping import broken
from harness.report.grid import Column, Grid, GridLines, count_columns, layer_columns, name_columns
from harness.report.layouts.comparison import comparison_grid
from harness.report.layouts.costs import cost_grid
from harness.report.layouts.ranking import FURTHER, ranking_grids
from harness.tables import Cost, Costs, Method
from tests.harness.report.layouts.boards import ranked
from tests.harness.report.run_folders import manifest

LONG = ["layer_gradient_x_activation", "randomised_attention", "integrated_gradients", "flow"]
SOURCE = "How much the output changes when a token is blanked out (Abnar & Zuidema 2020, section 4), one at a time"
WIDTHS = [80, 100, 120, 200]


def rankings(letters: str = "abcdef", head: int = 12) -> Grid:
    """All further statistics, and an explainer with heads."""
    lines = [{"explainer": name, "head": head * (index == 0), "group": letters} for index, name in enumerate(LONG)]
    table = ranked(*lines, {"explainer": "random", "kind": "floor"}, effect=-0.25, floor="random")
    (grid,) = ranking_grids(table.assign(**dict.fromkeys(FURTHER, -0.25)))
    return grid


def metrics() -> Grid:
    names = ["comprehensiveness", "sufficiency", "planted_precision_at_1", "planted_average_precision", "infidelity"]
    lines = GridLines()
    for name in LONG:
        lines.add([Text(name), *[BestLayer(-0.125, "abcd", 12)] * len(names)])
    lines.add([Text("diagnosticity"), *[Estimate(0.5, 0.4, 0.6)] * len(names)])
    return lines.grid(
        "t", "metrics", [*name_columns("explainer"), *(Column(f"{name} ↑") for name in names)], ["a note"]
    )


def costs() -> Grid:
    methods = {name: Method(name, SOURCE) for name in LONG}
    spent = {("explainer", name): Cost(1.5, 40, 80) for name in LONG} | {("phase", "trace"): Cost(1.0, 4)}
    grid = cost_grid(manifest(explainers=methods), Costs(spent), 4)
    assert grid is not None
    return grid


def comparison() -> Grid:
    line = {"measure": "input_gradient", "kind": "explainer", "explainer": LONG[0], "head": 0, "layer": 12}
    line |= {
        "first": -0.5,
        "second": -0.25,
        "difference": -0.25,
        "low": -0.3,
        "high": -0.2,
        "p": 0.0123,
        "effect": -1.5,
    }
    return comparison_grid(pd.DataFrame([line | {"n": 1000, "unpaired": 10, "better": "first"}]), "first; second")


def sweep(layers: int = 12) -> Grid:
    """A model with a long name, so that names take most of the width."""
    names = [Text("distilbert-base-uncased-finetuned-sst-2-english"), Text(LONG[0])]
    columns = [*name_columns("model", "explainer"), *layer_columns(range(layers + 1)), *count_columns()]
    means: list[Cell] = [MeanStd(-0.25, 0.5, above_floors=False)] * (layers + 1)
    return Grid("t", "sweep", columns, [[*names, *means, Number(1), Number(2)]], [])


GRIDS = {"ranking": rankings, "metrics": metrics, "costs": costs, "comparison": comparison, "sweep": sweep}


def printed(grid: Grid, width: int) -> list[str]:
    console = Console(width=width, file=StringIO())
    print_grid(console, grid)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", GRIDS)
def test_no_line_of_a_table_is_wider_than_the_terminal(name: str, width: int):
    lines = printed(GRIDS[name](), width)
    assert len(lines) > 4
    assert max(map(cell_len, lines)) <= width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", GRIDS)
def test_every_number_is_printed_once_under_its_heading(name: str, width: int):
    grid = GRIDS[name]()
    expected, shown = [], []
    for column, header in list(enumerate(grid.headers))[grid.names :]:
        expected += [(header, line[column]) for line in plain_lines(grid) if line[column]]
    for table in terminal_tables(grid, width):
        for column in table.columns[grid.names :]:
            texts = [str(cell).replace("\n±", " ± ") for cell in column.cells]
            shown += [(str(column.header), text) for text in texts if text]
    assert sorted(shown) == sorted(expected)


def test_further_statistics_go_into_a_second_table_and_then_into_blocks():
    first = ["explainer", "layer", "mean", "group", "d", "n"]
    columns = {
        width: [
            [str(column.header) for column in table.columns] for table in terminal_tables(rankings("ab", head=0), width)
        ]
        for width in (80, 120, 200)
    }
    statistics = list(FURTHER.values())
    assert columns[200] == [["explainer", "layer", "mean", "group", "d", *statistics, "n"]]
    assert columns[120] == [first, ["explainer", *statistics]]
    assert columns[80] == [first, ["explainer", *statistics[:4]], ["explainer", *statistics[4:]]]


def test_a_name_is_shortened_where_that_keeps_a_table_whole():
    six = [*name_columns("explainer"), *layer_columns(range(7)), *count_columns()]
    grid = Grid(
        "t", "six", six, [[Text(LONG[0]), *[MeanStd(-0.25, 0.5, above_floors=False)] * 7, Number(1), Number(2)]], []
    )
    means, counts = terminal_tables(grid, 80)
    assert len(means.columns) == 8
    (whole,) = terminal_tables(grid, 200)
    names = [str(next(iter(table.columns[0].cells))) for table in (means, counts, whole)]
    assert names == ["layer_grad…activation", LONG[0], LONG[0]]


def test_a_source_is_folded_and_loses_no_word():
    lines = printed(costs(), 80)
    start = next(index for index, line in enumerate(lines) if "source" in line)
    words = [word for line in lines[start + 2 :] for word in line.split()]
    assert " ".join(words).count("How much the output") == len(LONG)
    assert all(words.count(word) >= len(LONG) for word in SOURCE.split())


def test_a_title_may_take_more_lines_than_its_table_is_wide():
    console = Console(width=80, file=StringIO())
    print_heading(console, "distilbert-base-uncased-finetuned-sst-2-english, seed 0: Spearman's rho with blank_out")
    assert [len(line) <= 80 for line in console.file.getvalue().splitlines()] == [True, True]
    narrow = Grid("t", "a title of some words", [*name_columns("a"), Column("b")], [[Text("x"), Number(1)]], [])
    assert printed(narrow, 80)[0] == "a title of some words"


def test_notes_are_broken_between_words_at_the_width_and_a_path_stays_whole():
    path = f"/{'folder/' * 14}run"
    note = f"files     {path}: leaderboard.md, {'ranking.csv, ' * 10}manifest.json\nsecond line"
    console = Console(width=80, file=StringIO())
    print_notes(console, [note])
    lines = console.file.getvalue().splitlines()
    assert [line for line in lines if len(line) > 80] == [f"  {path}:"]
    assert lines[-1] == "second line"
    assert re.sub(r"\s+", " ", " ".join(lines)) == re.sub(r"\s+", " ", note)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one two three", ["one two", "  three"]),
        ("one two", ["one two"]),
        ("a  b   c", ["a  b   c"]),
        ("漢字 漢字漢字", ["漢字", "  漢字漢字"]),
        ("a\n\nb", ["a", "", "b"]),
        ("", []),
        ("  indented text", ["  indented", "  text"]),
    ],
)
def test_lines_are_broken_between_words(text: str, lines: list[str]):
    assert broken(text, 10).splitlines() == lines


def test_a_pipe_is_two_hundred_wide_and_keeps_each_note_in_a_line(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    console = terminal()
    assert console.width == 200
    print_notes(console, ["word " * 100 + "end"])
    assert capsys.readouterr().out == "word " * 100 + "end\n"


def test_columns_in_the_environment_set_the_width_of_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    console = terminal()
    assert console.width == 80
    print_notes(console, ["word " * 100 + "end"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
    for unusable in ("", "0", "wide"):
        monkeypatch.setenv("COLUMNS", unusable)
        assert terminal().width == 200
