import numpy as np
import pandas as pd
import pytest

from harness.report.formats.latex import latex
from harness.report.formats.markdown import markdown
from harness.report.formats.plain import plain_lines
from harness.report.grid import Grid
from harness.report.layouts.full_leaderboard import full_leaderboard_grids
from harness.report.layouts.leaderboard import leaderboard_grids
from harness.statistics.leaderboard import leaderboard


def rows(**columns) -> pd.DataFrame:
    """Rows of one explainer and one reference, one row per example."""
    size = len(columns["value"])
    constant = {
        "task": "agreement",
        "model": "small",
        "seed": 0,
        "measure": "blank_out",
        "kind": "explainer",
        "explainer": "flow",
        "higher": None,
        "head": 0,
        "layer": 1,
        "status": ["ok" if not np.isnan(rho) else "constant scores" for rho in columns["value"]],
        "same": False,
        "error": None,
        "example": [str(number) for number in range(size)],
    }
    return pd.DataFrame(constant | columns)


def board(table: pd.DataFrame) -> pd.DataFrame:
    """The leaderboard of rows with independent examples."""
    examples = table[["example"]].drop_duplicates()
    return leaderboard(table, examples.assign(cluster=examples["example"]))


def grid_of(table: pd.DataFrame, seconds: dict[str, float] | None = None) -> Grid:
    (grid,) = leaderboard_grids(board(table), seconds or {})
    return grid


def test_mean_and_spread_are_over_defined_examples_and_the_rest_are_counted():
    line = board(rows(value=[0.1, 0.5, np.nan, 0.9, np.nan])).iloc[0]
    assert line["mean"] == pytest.approx(0.5)
    assert line["std"] == pytest.approx(np.std([0.1, 0.5, 0.9]))  # population standard deviation
    assert (line["n"], line["undefined"], line["failed"]) == (3, 2, 0)
    assert line["reasons"] == "constant scores (2)"


def test_failed_cells_are_counted_separately():
    failed = rows(value=[0.5, np.nan, np.nan], status=["ok", "failed", "fewer than 3 tokens"])
    line = board(failed).iloc[0]
    assert (line["n"], line["undefined"], line["failed"]) == (1, 1, 1)


def test_a_cell_without_defined_values_is_printed_as_undefined_and_not_as_zero():
    table = rows(value=[np.nan, np.nan])
    assert board(table)[["mean", "std", "low", "high"]].isna().all(axis=None)
    grid = grid_of(table)
    assert plain_lines(grid)[0] == ["flow", "–", "0", "2", ""]
    assert grid.notes[1:] == ["undefined for all: constant scores (2)"]


def test_a_definition_compared_with_itself_is_marked():
    grid = grid_of(rows(value=[1.0, 1.0, np.nan], same=[True, True, False]))
    assert plain_lines(grid)[0][1] == "≡"
    assert not grid.bold
    assert "there is nothing to compare" in grid.notes[1]
    assert plain_lines(grid_of(rows(value=[1.0, 1.0, 0.5], same=[True, True, False])))[0][1] == "0.83 ± 0.24"


def test_layers_are_columns_and_a_method_without_layers_has_its_own():
    table = pd.concat(
        [rows(value=[0.2], layer=[2]), rows(value=[0.1], layer=[1]), rows(value=[0.3], layer=[0], explainer="random")]
    )
    grid = grid_of(table, {"flow": 1.234})
    assert grid.headers == ["explainer", "input", "L1", "L2", "n", "undefined", "seconds"]
    assert plain_lines(grid) == [
        ["flow", "", "0.10 ± 0.00", "0.20 ± 0.00", "1", "0", "1.2"],
        ["random", "0.30 ± 0.00", "", "", "1", "0", ""],
    ]


def test_single_heads_have_their_own_rows():
    table = pd.concat([rows(value=[0.1 * head], head=head) for head in (1, 2)])
    grid = grid_of(table, {"flow": 2.0})
    assert [line[0] for line in plain_lines(grid)] == ["flow head 1", "flow head 2"]
    assert [line[-1] for line in plain_lines(grid)] == ["2.0", ""]


def test_explainers_keep_the_order_in_which_they_were_chosen():
    table = pd.concat([rows(value=[0.1], explainer=name) for name in ("random", "attention", "flow")])
    assert board(table)["explainer"].tolist() == ["random", "attention", "flow"]


def test_latex_needs_only_booktabs_and_escapes_names():
    grid = grid_of(rows(value=[0.25, 0.75], explainer="input_x_gradient"))
    text = latex(grid, ["100 % sure"])
    assert r"input\_x\_gradient & \textbf{0.50 $\pm$ 0.25} & 2 & 0 &  \\" in text
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1
    assert "\n% 100 % sure\n" in f"\n{text}"
    assert all(ord(character) < 128 for line in text.splitlines() if line[:1] != "%" for character in line)


def test_markdown_has_one_row_per_explainer():
    grid = grid_of(rows(value=[0.25, 0.75]))
    lines = markdown(grid, ["a note"]).splitlines()
    assert lines[2:5] == [
        "| explainer | L1 | n | undefined | seconds |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| flow | **0.50 ± 0.25** | 2 | 0 |  |",
    ]
    assert lines[-1] == "- a note"


def several(size: int = 60, **means: float) -> pd.DataFrame:
    """Rows of explainers with normal values around their means and partly shared noise; floors go by their names."""
    generator = np.random.default_rng(3)
    shared = generator.normal(scale=0.2, size=size)
    tables = []
    for name, mean in means.items():
        rho = mean + shared + generator.normal(scale=0.02, size=size)
        kind = "floor" if name.startswith("floor") else "reference" if name.startswith("yard") else "explainer"
        tables.append(rows(value=rho - rho.mean() + mean, explainer=name, kind=kind))
    return pd.concat(tables, ignore_index=True)


def test_the_best_group_is_bold_and_not_only_the_largest_number():
    table = several(good=0.301, twin=0.3, bad=0.2, floor=0.1, yard=0.9)
    lines = board(table).set_index("explainer")
    assert lines["best"].to_dict() == {"good": True, "twin": True, "bad": False, "floor": False, "yard": False}
    assert lines["group"].to_dict() == {"good": "b", "twin": "b", "bad": "c", "floor": "d", "yard": "a"}
    grid = grid_of(table)
    assert grid.bold == {(0, 1), (1, 1)}
    assert grid.rules == (3, 4)
    assert [line[0] for line in plain_lines(grid)] == ["good", "twin", "bad", "floor", "yard (reference)"]


def test_what_is_not_above_every_floor_is_marked():
    table = several(above=0.3, level=0.2, floor_one=0.2, floor_two=-0.1)
    lines = board(table).set_index("explainer")
    assert lines["above_floors"].to_dict() == {"above": True, "level": False, "floor_one": False, "floor_two": False}
    grid = grid_of(table)
    assert [line[1][-1] == "°" for line in plain_lines(grid)] == [False, True, False, False]
    assert "° not significantly above every floor at its layer (floor_one, floor_two)" in grid.notes


def test_if_lower_is_better_the_lowest_is_best():
    table = several(low=0.1, high=0.4).assign(higher=False, measure="sufficiency")
    lines = board(table).set_index("explainer")
    assert lines["best"].to_dict() == {"low": True, "high": False}
    assert lines.loc["low", "mean"] == pytest.approx(0.1)
    assert float(lines.loc["low", "low"]) < 0.1 < float(lines.loc["low", "high"])
    assert "sufficiency (lower is better)" in grid_of(table).title


def test_examples_of_the_same_cluster_widen_the_interval():
    table = several(one=0.3)
    examples = table[["example"]].assign(cluster=[str(number // 10) for number in range(len(table))])
    values = np.repeat(np.random.default_rng(0).normal(size=6), 10)
    table = table.assign(value=values)
    alone, clustered = board(table).iloc[0], leaderboard(table, examples).iloc[0]
    assert alone["mean"] == clustered["mean"]
    assert clustered["high"] - clustered["low"] > 2 * (alone["high"] - alone["low"])


def test_the_spread_over_model_seeds_has_its_own_line():
    table = several(one=0.3)
    seeds = pd.concat([table.assign(model_seed=seed, value=table["value"] + seed / 10) for seed in (0, 1, 2)])
    assert board(seeds)["seed_std"].tolist() == pytest.approx([0.1])
    assert plain_lines(grid_of(seeds))[1][:2] == ["  std of the seeds' means", "0.100"]


def test_the_full_layout_has_intervals_letters_and_blocks_of_layers():
    table = pd.concat([several(one=0.3, two=0.1).assign(layer=layer) for layer in range(1, 9)])
    first, second = full_leaderboard_grids(board(table))
    assert first.headers == ["explainer", "L1", "L2", "L3", "L4", "L5", "L6"]
    assert second.headers == ["explainer", "L7", "L8"]
    assert plain_lines(first)[0][1].startswith("0.30 [0.2")
    assert plain_lines(first)[0][1].endswith("] a")
    assert plain_lines(first)[1][1].endswith("] b")
    assert "L1 to L6" in first.title
