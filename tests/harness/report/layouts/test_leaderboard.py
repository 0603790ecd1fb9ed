"""What a leaderboard prints, checked by hand."""

import numpy as np
import pandas as pd
import pytest

from harness.report.cells import Empty, Number
from harness.report.formats.plain import plain_lines
from harness.report.formats.terminal import terminal_tables
from harness.report.layouts.leaderboard import leaderboard_grids
from harness.statistics.leaderboard import leaderboard
from tests.harness.report.layouts.boards import TABLE

HEADINGS = ["n", "undefined", "failed", "seconds", "correlation", "trace", "L1"]  # or names of phases


def board(*lines: tuple[str, str, int, list[float]], **given) -> pd.DataFrame:
    """The leaderboard of `(kind, explainer, layer, values)`."""
    tables = [
        pd.DataFrame({"example": [str(number) for number in range(len(values))], "value": values}).assign(
            kind=kind, explainer=explainer, layer=layer
        )
        for kind, explainer, layer, values in lines
    ]
    rows = pd.concat(tables, ignore_index=True).assign(**TABLE, measure="blank_out", higher=None, head=0, same=False)
    rows = rows.assign(status="ok").assign(**given)
    return leaderboard(rows, rows[["example"]].assign(cluster=rows["example"]))


@pytest.mark.parametrize("name", HEADINGS)
def test_an_explainer_may_have_the_name_of_a_heading_or_a_phase(name: str):
    lines = board(("explainer", name, 1, [0.1, 0.2, 0.3]), ("explainer", "flow", 1, [0.3, 0.2, 0.4]))
    (grid,) = leaderboard_grids(lines, {"flow": 1.25})
    assert grid.headers == ["explainer", "L1", "n", "undefined", "seconds"]
    by_name = {line[0]: line for line in plain_lines(grid)}
    assert by_name[name] == [name, "0.20 ± 0.08", "3", "0", ""]
    assert by_name["flow"][-1] == "1.2"
    (table,) = terminal_tables(grid, 500)
    assert [str(cell) for cell in table.columns[0].cells] == [name, "flow"]


@pytest.mark.parametrize("name", HEADINGS)
def test_a_measure_may_have_the_name_of_a_heading(name: str):
    lines = board(("explainer", "flow", 1, [0.1, 0.2, 0.3]), measure=name, higher=False)
    (grid,) = leaderboard_grids(lines, {})
    assert grid.title == f"t, m, seed 0: {name} (lower is better), mean ± std"
    assert len(terminal_tables(grid, 20)) == 2


def test_cells_hold_values_not_text():
    generator = np.random.default_rng(0)
    lines = board(
        *(("explainer", "flow", layer, generator.normal(layer, 0.1, 20).tolist()) for layer in (1, 2)),
        ("floor", "random", 0, generator.normal(0, 0.1, 20).tolist()),
    )
    (grid,) = leaderboard_grids(lines, {"flow": 1.5, "random": 0.5})
    flow, random = grid.lines
    assert [cell.mean for cell in flow[2:4]] == lines[lines["explainer"] == "flow"]["mean"].tolist()
    assert flow[1] == random[2] == Empty()
    assert (flow[-1], random[-1]) == (Number(1.5, ".1f"), Number(0.5, ".1f"))
    assert [column.role for column in grid.columns] == [
        *("name", "layer", "layer", "layer"),
        *("count", "count", "seconds"),
    ]


def test_the_spread_over_seeds_has_its_own_line_below():
    values = [0.1, 0.2, 0.3, 0.3, 0.4, 0.5]
    lines = board(("explainer", "flow", 1, values), model_seed=[0, 0, 0, 1, 1, 1], example=["a", "b", "c"] * 2)
    (grid,) = leaderboard_grids(lines, {"flow": 2.0})
    assert plain_lines(grid) == [
        ["flow", "0.30 ± 0.13", "6", "0", "2.0"],
        ["  std of the seeds' means", "0.141", *[""] * 3],
    ]
