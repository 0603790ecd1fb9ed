"""One grid in three formats: the same numbers, and LaTeX that compiles with booktabs alone."""

import re
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from harness.report.cells import (
    AtLayer,
    BestLayer,
    Cell,
    Count,
    Empty,
    Estimate,
    MeanStd,
    Number,
    PValue,
    Reliability,
    Same,
    Text,
    Undefined,
)
from harness.report.formats.latex import latex
from harness.report.formats.markdown import markdown
from harness.report.formats.plain import plain, plain_lines
from harness.report.formats.terminal import print_grid, terminal_tables
from harness.report.grid import Column, Grid
from harness.report.layouts.full_leaderboard import full_leaderboard_grids
from harness.report.layouts.leaderboard import leaderboard_grids
from harness.statistics.leaderboard import leaderboard

NAN = float("nan")
NUMBER = re.compile(r"-?\d+\.\d+|-?\d+")
KNOWN = {  # those of LaTeX itself and of booktabs
    *("begin", "end", "centering", "scriptsize", "setlength", "tabcolsep", "caption", "textbf", "pm", "equiv", "circ"),
    *("uparrow", "downarrow", "textasciitilde", "textasciicircum", "textbackslash", "textbar"),
    *("toprule", "midrule", "bottomrule"),
}
AWKWARD = r"a_b & 50 % of $x$ #1 {y} ~ ^ \ <.0001 > |"


def board() -> pd.DataFrame:
    """A board of two explainers, a floor and another reference at three layers."""
    generator = np.random.default_rng(0)
    tables = []
    for explainer, kind, layers in (
        ("input_x_gradient", "explainer", [1, 2, 3]),
        ("flow", "explainer", [1, 2, 3]),
        ("random", "floor", [0]),
        ("shapley", "reference", [0]),
    ):
        for layer in layers:
            frame = pd.DataFrame({"example": [f"{number:02d}" for number in range(25)]})
            frame = frame.assign(value=generator.normal(layer / 10 - 0.1, 0.3, 25), kind=kind, explainer=explainer)
            tables.append(frame.assign(layer=layer))
    rows = pd.concat(tables, ignore_index=True)
    rows.loc[rows.index[:4], "value"] = np.nan
    rows["status"] = np.where(rows["value"].isna(), "constant scores", "ok")
    told = {"task": "t_1", "model": "m", "seed": 0, "measure": "blank_out", "higher": None, "head": 0, "same": False}
    return leaderboard(rows.assign(**told), rows[["example"]].assign(cluster=rows["example"]))


def of_texts(headers: list[str], lines: list[list[str]], names: int = 1, notes: tuple[str, ...] = (), **more) -> Grid:
    columns = [Column(header, "name" if index < names else "value") for index, header in enumerate(headers)]
    cells: list[list[Cell]] = [[Text(text) for text in line] for line in lines]
    return Grid("t", AWKWARD, columns, cells, notes, **more)


def lines_of_markdown(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[part.strip() for part in line.strip("|").split("|")] for line in (lines[0], *lines[2:])]


def lines_of_latex(text: str) -> list[list[str]]:
    """The parts of each line of the tabular, split at unescaped ampersands."""
    inside = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    lines = [line for line in inside.splitlines() if line.endswith(r"\\")]
    return [[part.strip() for part in re.split(r"(?<!\\)&", line.removesuffix(r"\\"))] for line in lines]


def numbers(lines: list[list[str]]) -> list[list[list[str]]]:
    """The numbers in each part except the name; a dash between two of them is not a sign."""
    return [[NUMBER.findall(re.sub(r"(?<=\d)(–|--)(?=\d)", " ", part)) for part in line[1:]] for line in lines[1:]]


@pytest.mark.parametrize("layout", [lambda board: leaderboard_grids(board, {"flow": 1.5}), full_leaderboard_grids])
def test_markdown_latex_and_the_terminal_hold_the_same_numbers(layout):
    (grid,) = layout(board())
    ours = numbers([grid.headers, *plain_lines(grid)])
    assert sum(len(part) for line in ours for part in line) > 20
    assert numbers(lines_of_markdown(markdown(grid, []))) == ours
    assert numbers(lines_of_latex(latex(grid, []))) == ours
    (table,) = terminal_tables(grid, 500)
    cells = [list(map(str, column.cells)) for column in table.columns]
    assert numbers([grid.headers, *map(list, zip(*cells, strict=True))]) == ours


def test_the_numbers_match_the_csv():
    lines = board()
    table = pd.read_csv(StringIO(lines.to_csv(index=False)))
    (grid,) = leaderboard_grids(lines, {})
    texts = {
        (line[0].split(" (")[0], column): part
        for line in plain_lines(grid)
        for column, part in zip(grid.headers, line, strict=True)
    }
    for cell in table.itertuples():
        text = texts[cell.explainer, "input" if cell.layer == 0 else f"L{cell.layer}"]
        mean, std = map(float, NUMBER.findall(text))
        assert (mean, std) == (pytest.approx(cell.mean, abs=0.00501), pytest.approx(cell.std, abs=0.00501))
    undefined = table[table["explainer"] == "input_x_gradient"]["undefined"]
    assert texts["input_x_gradient", "undefined"] == f"{undefined.min()}–{undefined.max()}" == "0–4"


@pytest.mark.parametrize("names", [1, 2, 3])
def test_each_line_has_as_many_columns_as_its_tabular(names: int):
    lines = [[AWKWARD, "1", "", "2 & 3"], ["", "", "", ""]]
    grid = of_texts(["explainer", "a & b", "c_d", "100 %"], lines, names, bold=frozenset({(0, 0)}), rules=(1,))
    text = latex(grid, [])
    spec = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)
    assert spec is not None
    assert spec[1] == "l" * names + "r" * (4 - names)
    assert [len(line) for line in lines_of_latex(text)] == [4, 4, 4]
    assert text.count(r"\midrule") == 2
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_special_characters_are_preserved():
    grid = of_texts(["explainer", "L1"], [[AWKWARD, "≡ – ± ° ↑ ↓"]])
    text = latex(grid, [])
    escaped = r"a\_b \& 50 \% of \$x\$ \#1 \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{} $<$.0001 $>$"
    escaped += r" \textbar{}"
    assert f"{escaped} & " in text
    assert rf"\caption{{{escaped}.}}" in text
    assert r"$\equiv$ -- $\pm$ $^{\circ}$ $\uparrow$ $\downarrow$ \\" in text
    assert text.isascii()


def test_latex_uses_no_commands_except_its_own_and_those_of_booktabs():
    wide = full_leaderboard_grids(board())[0]
    for grid in (wide, of_texts(["explainer"], [[AWKWARD]])):
        text = re.sub(r"\\[\\_%&#${}]", "", latex(grid, []))
        assert set(re.findall(r"\\([a-zA-Z]+)", text)) <= KNOWN
        assert set(re.findall(r"\\begin\{(\w+)\}", text)) == {"table", "tabular"}
        assert re.findall(r"\\begin\{(\w+)\}", text) == re.findall(r"\\end\{(\w+)\}", text)[::-1]


def test_notes_stay_comments_however_many_lines_they_have():
    grid = of_texts(["explainer"], [["flow"]], notes=("50 % sure",))
    text = latex(grid, ["FAILED flow: ValueError: first line\nsecond line & more"])
    assert text.startswith("% 50 % sure\n% FAILED flow: ValueError: first line\n% second line & more\n\\begin{table}\n")


def test_a_wide_table_is_set_in_small_type():
    narrow = of_texts(["explainer", "L1"], [["flow", "0.5"]])
    wide = of_texts(["explainer", *[f"L{number}" for number in range(20)]], [["flow", *["0.12 ± 0.34"] * 20]])
    assert r"\scriptsize" not in latex(narrow, [])
    assert r"\scriptsize" in latex(wide, [])


def test_bold_parts_are_bold_in_every_format():
    grid = of_texts(["explainer", "L1"], [["flow", "0.5"], ["rollout", ""]], bold=frozenset({(0, 1), (1, 1)}))
    assert lines_of_markdown(markdown(grid, []))[1:] == [["flow", "**0.5**"], ["rollout", ""]]
    assert lines_of_latex(latex(grid, []))[1:] == [["flow", r"\textbf{0.5}"], ["rollout", ""]]
    (table,) = terminal_tables(grid, 100)
    assert [(str(cell), str(cell.style)) for cell in table.columns[1].cells] == [("0.5", "bold"), ("", "bold")]


def test_a_narrow_terminal_loses_no_number():
    (grid,) = leaderboard_grids(board(), {})
    whole = max(Console(width=1000).measure(table).maximum for table in terminal_tables(grid, 500))
    tight, tighter = terminal_tables(grid, whole - 1), terminal_tables(grid, 10)
    assert [len(tables) for tables in (tight, tighter)] == [1, 2]
    assert "\n±" in str(next(iter(tight[0].columns[2].cells)))
    assert [str(column.header) for column in tighter[1].columns] == ["explainer", "n", "undefined", "seconds"]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (MeanStd(0.5, 0.25), "0.50 ± 0.25"),
        (MeanStd(-0.001, 0.25, above_floors=False), "0.00 ± 0.25°"),
        (Estimate(0.5, 0.4, 0.6, "ab", above_floors=False), "0.50 [0.40, 0.60] ab°"),
        (Estimate(0.5, NAN, NAN, "a"), "0.50 a"),
        (Estimate(0.5, NAN, NAN), "0.50"),
        (Estimate(-0.0001, -0.1, 0.1, form="+z.3f"), "+0.000 [-0.10, 0.10]"),
        (Reliability(0.6, 0.5, 0.7), "0.60 [0.50, 0.70], r 0.75"),
        (Reliability(0.6, NAN, NAN), "0.60, r 0.75"),
        (BestLayer(0.25, "b", 0), "0.250 b input"),
        (AtLayer(3), "L3"),
        (Count(0, 8), "0–8"),
        (Count(8, 8), "8"),
        (Number(NAN), ""),
        (Number(0.00012345, ".3g"), "0.000123"),
        (PValue(0.00001), "<.0001"),
        (PValue(0.04567), "0.0457"),
        (PValue(NAN), ""),
        (Same(), "≡"),
        (Undefined(), "–"),
        (Empty(), ""),
    ],
)
def test_each_kind_of_cell_has_its_own_text(cell: Cell, text: str):
    assert plain(cell) == text


def test_a_name_is_printed_unchanged_on_the_terminal():
    """It is not taken for markup, nor a sign in it for a mean's standard deviation."""
    name = "a ± b [bold]c[/bold] :smile: \\"
    grid = of_texts([name, "n ± m"], [[name, "1 ± 2"]])
    for width in (500, 10):
        for table in terminal_tables(grid, width):
            assert [str(column.header) for column in table.columns] == grid.headers
            assert [str(cell) for column in table.columns for cell in column.cells] == [name, "1 ± 2"]
    console = Console(width=200, file=StringIO())
    print_grid(console, grid)
    assert console.file.getvalue().count(name) == 2


def test_only_columns_of_counts_and_seconds_go_into_a_second_table():
    """Whatever their headings."""
    columns = [Column("seconds", "name"), Column("n", "layer"), Column("failed"), Column("x", "count")]
    columns.append(Column("y", "seconds"))
    grid = Grid("t", "title", columns, [[Text("flow"), MeanStd(0.5, 0.2), Number(1), Count(1, 2), Number(3)]], [])
    first, second = terminal_tables(grid, 5)
    assert [str(column.header) for column in first.columns] == ["seconds", "n", "failed"]
    assert [str(column.header) for column in second.columns] == ["seconds", "x", "y"]
    assert [str(cell) for column in first.columns for cell in column.cells] == ["flow", "0.50\n±0.20", "1.00"]
