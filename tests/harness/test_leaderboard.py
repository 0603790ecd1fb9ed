import numpy as np
import pandas as pd
import pytest

from harness.grid import grids
from harness.leaderboard import leaderboard
from harness.report import latex, markdown


def rows(**columns) -> pd.DataFrame:
    """Rows of one explainer and one reference, a row per example."""
    size = len(columns["rho"])
    constant = {
        "task": "agreement",
        "model": "small",
        "seed": 0,
        "reference": "blank_out",
        "explainer": "flow",
        "head": 0,
        "layer": 1,
        "status": ["ok" if not np.isnan(rho) else "constant scores" for rho in columns["rho"]],
        "same": False,
        "error": None,
        "example": [str(number) for number in range(size)],
    }
    return pd.DataFrame(constant | columns)


def test_mean_and_spread_are_over_defined_examples_and_the_rest_are_counted():
    board = leaderboard(rows(rho=[0.1, 0.5, np.nan, 0.9, np.nan]))
    line = board.iloc[0]
    assert line["mean"] == pytest.approx(0.5)
    assert line["std"] == pytest.approx(np.std([0.1, 0.5, 0.9]))  # population
    assert (line["n"], line["undefined"], line["failed"]) == (3, 2, 0)
    assert line["reasons"] == "constant scores (2)"


def test_failed_cells_are_counted_apart():
    failed = rows(rho=[0.5, np.nan, np.nan], status=["ok", "failed", "fewer than 3 tokens"])
    line = leaderboard(failed).iloc[0]
    assert (line["n"], line["undefined"], line["failed"]) == (1, 1, 1)


def test_nothing_defined_is_printed_as_undefined_and_not_as_zero():
    board = leaderboard(rows(rho=[np.nan, np.nan]))
    assert np.isnan(board.iloc[0]["mean"])
    (grid,) = grids(board, {})
    assert grid.lines[0] == ["flow", "–", "0", "2", ""]
    assert grid.notes == ["undefined for all explainers: constant scores (2)"]


def test_a_definition_compared_with_itself_is_marked():
    (grid,) = grids(leaderboard(rows(rho=[1.0, 1.0, np.nan], same=[True, True, False])), {})
    assert grid.lines[0][1] == "≡"
    assert "nothing is compared" in grid.notes[0]
    (grid,) = grids(leaderboard(rows(rho=[1.0, 1.0, 0.5], same=[True, True, False])), {})
    assert grid.lines[0][1] == "0.83 ± 0.24"


def test_layers_stand_in_columns_and_a_method_without_layers_in_its_own():
    table = pd.concat(
        [rows(rho=[0.2], layer=[2]), rows(rho=[0.1], layer=[1]), rows(rho=[0.3], layer=[0], explainer="random")]
    )
    (grid,) = grids(leaderboard(table), {"explainer flow": 1.234})
    assert grid.columns == ["explainer", "input", "L1", "L2", "n", "undefined", "seconds"]
    assert grid.lines == [
        ["flow", "", "0.10 ± 0.00", "0.20 ± 0.00", "1", "0", "1.2"],
        ["random", "0.30 ± 0.00", "", "", "1", "0", ""],
    ]


def test_single_heads_have_rows_of_their_own():
    table = pd.concat([rows(rho=[0.1 * head], head=head) for head in (1, 2)])
    (grid,) = grids(leaderboard(table), {"explainer flow": 2.0})
    assert [line[0] for line in grid.lines] == ["flow head 1", "flow head 2"]
    assert [line[-1] for line in grid.lines] == ["2.0", ""]


def test_explainers_keep_the_order_they_were_chosen_in():
    table = pd.concat([rows(rho=[0.1], explainer=name) for name in ("random", "attention", "flow")])
    assert leaderboard(table)["explainer"].tolist() == ["random", "attention", "flow"]


def test_latex_needs_booktabs_alone_and_escapes_names():
    (grid,) = grids(leaderboard(rows(rho=[0.25, 0.75], explainer="input_x_gradient")), {})
    text = latex(grid, ["100 % sure"])
    assert r"input\_x\_gradient & 0.50 $\pm$ 0.25 & 2 & 0 &  \\" in text
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1
    assert "\n% 100 % sure\n" in f"\n{text}"
    assert all(ord(character) < 128 for line in text.splitlines() if line[:1] != "%" for character in line)


def test_markdown_has_a_row_per_explainer():
    (grid,) = grids(leaderboard(rows(rho=[0.25, 0.75])), {})
    lines = markdown(grid, ["a note"]).splitlines()
    assert lines[2:5] == [
        "| explainer | L1 | n | undefined | seconds |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| flow | 0.50 ± 0.25 | 2 | 0 |  |",
    ]
    assert lines[-1] == "- a note"
