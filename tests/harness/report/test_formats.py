"""One grid in three forms: the same numbers, and LaTeX that compiles with booktabs alone."""

import re
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from harness.report.formats import drawn, latex, markdown
from harness.report.grid import Grid, full_grids, grids
from harness.statistics.leaderboard import leaderboard

NUMBER = re.compile(r"-?\d+\.\d+|-?\d+")
KNOWN = {  # of LaTeX itself, and of booktabs
    *("begin", "end", "centering", "scriptsize", "setlength", "tabcolsep", "caption", "textbf", "pm", "equiv", "circ"),
    *("uparrow", "downarrow", "textasciitilde", "textasciicircum", "textbackslash", "textbar"),
    *("toprule", "midrule", "bottomrule"),
}
AWKWARD = r"a_b & 50 % of $x$ #1 {y} ~ ^ \ <.0001 > |"


def board() -> pd.DataFrame:
    """Of two explainers, a floor and a yardstick at three layers."""
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
            frame = frame.assign(rho=generator.normal(layer / 10 - 0.1, 0.3, 25), kind=kind, explainer=explainer)
            tables.append(frame.assign(layer=layer))
    rows = pd.concat(tables, ignore_index=True)
    rows.loc[rows.index[:4], "rho"] = np.nan
    rows["status"] = np.where(rows["rho"].isna(), "constant scores", "ok")
    told = {"task": "t_1", "model": "m", "seed": 0, "reference": "blank_out", "higher": None, "head": 0, "same": False}
    return leaderboard(rows.assign(**told), rows[["example"]].assign(cluster=rows["example"]))


def lines_of_markdown(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[part.strip() for part in line.strip("|").split("|")] for line in (lines[0], *lines[2:])]


def lines_of_latex(text: str) -> list[list[str]]:
    """The parts of each line of the tabular, by unescaped ampersands."""
    inside = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    lines = [line for line in inside.splitlines() if line.endswith(r"\\")]
    return [[part.strip() for part in re.split(r"(?<!\\)&", line.removesuffix(r"\\"))] for line in lines]


def numbers(lines: list[list[str]]) -> list[list[list[str]]]:
    """The numbers in each part but the name; a dash between two of them is no sign."""
    return [[NUMBER.findall(re.sub(r"(?<=\d)(–|--)(?=\d)", " ", part)) for part in line[1:]] for line in lines[1:]]


@pytest.mark.parametrize("layout", [lambda board: grids(board, {"explainer flow": 1.5}), full_grids])
def test_markdown_latex_and_the_terminal_hold_the_same_numbers(layout):
    (grid,) = layout(board())
    ours = numbers([grid.columns, *grid.lines])
    assert sum(len(part) for line in ours for part in line) > 20
    assert numbers(lines_of_markdown(markdown(grid, []))) == ours
    assert numbers(lines_of_latex(latex(grid, []))) == ours
    (table,) = drawn(grid, 500)
    cells = [list(column.cells) for column in table.columns]
    assert numbers([grid.columns, *map(list, zip(*cells, strict=True))]) == ours


def test_they_are_the_csvs_numbers():
    lines = board()
    table = pd.read_csv(StringIO(lines.to_csv(index=False)))
    (grid,) = grids(lines, {})
    texts = {
        (line[0].split(" (")[0], column): part
        for line in grid.lines
        for column, part in zip(grid.columns, line, strict=True)
    }
    for cell in table.itertuples():
        text = texts[cell.explainer, "input" if cell.layer == 0 else f"L{cell.layer}"]
        mean, std = map(float, NUMBER.findall(text))
        assert (mean, std) == (pytest.approx(cell.mean, abs=0.00501), pytest.approx(cell.std, abs=0.00501))
    undefined = table[table["explainer"] == "input_x_gradient"]["undefined"]
    assert texts["input_x_gradient", "undefined"] == f"{undefined.min()}–{undefined.max()}" == "0–4"


@pytest.mark.parametrize("names", [1, 2, 3])
def test_each_line_has_the_columns_of_its_tabular(names: int):
    columns = ["explainer", "a & b", "c_d", "100 %"]
    grid = Grid(
        "t", AWKWARD, columns, [[AWKWARD, "1", "", "2 & 3"], ["", "", "", ""]], [], names, frozenset({(0, 0)}), (1,)
    )
    text = latex(grid, [])
    spec = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)
    assert spec is not None
    assert spec[1] == "l" * names + "r" * (4 - names)
    assert [len(line) for line in lines_of_latex(text)] == [4, 4, 4]
    assert text.count(r"\midrule") == 2
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_special_characters_come_out_as_they_are():
    grid = Grid("t", AWKWARD, ["explainer", "L1"], [[AWKWARD, "≡ – ± ° ↑ ↓"]], [])
    text = latex(grid, [])
    escaped = r"a\_b \& 50 \% of \$x\$ \#1 \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{} $<$.0001 $>$"
    escaped += r" \textbar{}"
    assert f"{escaped} & " in text
    assert rf"\caption{{{escaped}.}}" in text
    assert r"$\equiv$ -- $\pm$ $^{\circ}$ $\uparrow$ $\downarrow$ \\" in text
    assert text.isascii()


def test_latex_knows_no_command_beyond_its_own_and_booktabs():
    wide = full_grids(board())[0]
    for grid in (wide, Grid("t", AWKWARD, ["explainer"], [[AWKWARD]], [])):
        text = re.sub(r"\\[\\_%&#${}]", "", latex(grid, []))
        assert set(re.findall(r"\\([a-zA-Z]+)", text)) <= KNOWN
        assert set(re.findall(r"\\begin\{(\w+)\}", text)) == {"table", "tabular"}
        assert re.findall(r"\\begin\{(\w+)\}", text) == re.findall(r"\\end\{(\w+)\}", text)[::-1]


def test_notes_stay_comments_however_many_lines_they_have():
    grid = Grid("t", "title", ["explainer"], [["flow"]], ["50 % sure"])
    text = latex(grid, ["FAILED flow: ValueError: first line\nsecond line & more"])
    assert text.startswith("% 50 % sure\n% FAILED flow: ValueError: first line\n% second line & more\n\\begin{table}\n")


def test_a_wide_table_is_set_small():
    narrow = Grid("t", "title", ["explainer", "L1"], [["flow", "0.5"]], [])
    wide = Grid(
        "t", "title", ["explainer", *[f"L{number}" for number in range(20)]], [["flow", *["0.12 ± 0.34"] * 20]], []
    )
    assert r"\scriptsize" not in latex(narrow, [])
    assert r"\scriptsize" in latex(wide, [])


def test_bold_parts_are_bold_in_every_form():
    grid = Grid(
        "t", "title", ["explainer", "L1"], [["flow", "0.5"], ["rollout", ""]], [], bold=frozenset({(0, 1), (1, 1)})
    )
    assert lines_of_markdown(markdown(grid, []))[1:] == [["flow", "**0.5**"], ["rollout", ""]]
    assert lines_of_latex(latex(grid, []))[1:] == [["flow", r"\textbf{0.5}"], ["rollout", ""]]
    (table,) = drawn(grid, 100)
    assert list(table.columns[1].cells) == ["[bold]0.5[/bold]", ""]


def test_where_room_is_short_the_terminal_loses_no_number():
    (grid,) = grids(board(), {})
    whole = max(Console(width=1000).measure(table).maximum for table in drawn(grid, 500))
    tight, tighter = drawn(grid, whole - 1), drawn(grid, 10)
    assert [len(tables) for tables in (tight, tighter)] == [1, 2]
    assert "\n±" in str(next(iter(tight[0].columns[2].cells)))
    assert [column.header for column in tighter[1].columns] == ["explainer", "n", "undefined", "seconds"]
