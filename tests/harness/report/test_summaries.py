"""What the summing-up tables print, by hand."""

import numpy as np
import pandas as pd
import pytest

from harness.measure.rows import STATISTICS
from harness.report.layouts.summaries import diagnosticity, metrics_grid, ranking_grids, reference_grids, referent_grid
from harness.statistics.leaderboard import leaderboard
from harness.statistics.ranking import is_validation, ranking

NAN = float("nan")
TABLE = {"task": "t", "model": "m", "seed": 0}


def ranked(*lines: dict, **constant) -> pd.DataFrame:
    """A ranking of these lines."""
    line = {"kind": "explainer", "layer": 1, "head": 0, "mean": 0.5, "low": 0.4, "high": 0.6, "group": "a", "n": 20}
    told = {"reference": "blank_out", "effect": NAN, "floor": "", "higher": None, **dict.fromkeys(STATISTICS, NAN)}
    return pd.DataFrame([TABLE | line | told | constant | one for one in lines])


def examples_of(*clusters: str) -> pd.DataFrame:
    return pd.DataFrame({"example": [str(number) for number in range(len(clusters))], "cluster": list(clusters)})


def test_a_ranking_prints_means_effects_and_only_the_statistics_that_there_are():
    table = ranked(
        {"explainer": "flow", "layer": 3, "effect": 1.256, "tied": 0.25, "saturated": 0.125},
        {"explainer": "rollout", "head": 2, "effect": -0.001, "tied": 0.0, "n": 19},
        {"explainer": "random", "kind": "floor", "layer": 0, "mean": -0.001, "group": "b", "low": NAN, "high": NAN},
        floor="random",
    )
    (grid,) = ranking_grids(table)
    assert grid.columns == ["explainer", "layer", "mean", "group", "d", "tied", "saturated", "n"]
    assert grid.lines == [
        ["flow", "L3", "0.50 [0.40, 0.60]", "a", "1.26", "0.25", "0.12", "20"],
        ["rollout head 2", "L1", "0.50 [0.40, 0.60]", "a", "0.00", "0.00", "", "19"],
        ["random (floor)", "input", "0.00", "b", "", "", "", "20"],
    ]
    assert grid.bold == {(0, 2), (1, 2)}
    assert grid.title == "t, m, seed 0: Spearman's rho with blank_out, ranked"
    assert any("the best floor, random" in note for note in grid.notes)
    (plain,) = ranking_grids(ranked({"explainer": "flow"}))
    assert plain.columns == ["explainer", "layer", "mean", "group", "d", "n"]
    assert not any("floor" in note for note in plain.notes)


def test_bold_in_a_ranking_is_the_best_explainer_and_who_shares_a_letter_with_it():
    """As in the leaderboard: floors and yardsticks are not in the running, and likeness need not carry over."""
    table = ranked(
        {"explainer": "yard", "kind": "reference", "group": "a"},
        {"explainer": "random", "kind": "floor", "group": "a"},
        {"explainer": "best", "group": "bc"},
        {"explainer": "like_it", "group": "b"},
        {"explainer": "like_it_too", "group": "c"},
        {"explainer": "floor_alike", "kind": "floor", "group": "c"},
        {"explainer": "worse", "group": "d"},
        {"explainer": "gone", "group": ""},
    )
    (grid,) = ranking_grids(table)
    assert {grid.lines[line][0] for line, _ in grid.bold} == {"best", "like_it", "like_it_too"}
    (metrics,) = metrics_grid(table.assign(reference="aopc", higher=True), pd.DataFrame())
    assert {metrics.lines[line][0] for line, _ in metrics.bold} == {"best", "like_it", "like_it_too"}
    (nobody,) = ranking_grids(table[table["kind"] != "explainer"])
    assert not nobody.bold


def test_the_shares_tied_and_saturated_are_means_over_the_examples_that_are_reported():
    size = 30
    rows = pd.DataFrame({"example": [str(number) for number in range(size)], "rho": np.linspace(0, 1, size)})
    rows = rows.assign(**TABLE, reference="blank_out", kind="explainer", explainer="flow", layer=1, head=0, higher=None)
    rows = rows.assign(status="ok", same=False, tied=np.arange(size) / 100, saturated=NAN)
    rows.loc[:4, ["status", "tied"]] = ["constant scores", 1.0]  # an undefined row's share of ties is not meant
    rows.loc[10:12, "saturated"] = 0.5
    part = is_validation(rows["example"].to_numpy())
    assert 0 < part[:5].sum() < 5
    kept = rows[~part & (rows["status"] == "ok")]
    line = ranking(rows, examples_of(*rows["example"])).iloc[0]
    assert line["tied"] == pytest.approx(kept["tied"].mean(), abs=1e-12)
    assert line["n"] == len(kept)
    board = leaderboard(rows, examples_of(*rows["example"])).iloc[0]
    assert board["tied"] == pytest.approx(rows["tied"][5:].mean(), abs=1e-12)
    assert board["saturated"] == pytest.approx(0.5)
    assert (board["n"], board["undefined"]) == (25, 5)


def board_of(*lines: tuple[str, str, str, float, int]) -> pd.DataFrame:
    """Leaderboard lines of `(kind, explainer, reference, mean, n)`."""
    board = pd.DataFrame(lines, columns=["kind", "explainer", "reference", "mean", "n"])
    return board.assign(**TABLE, low=board["mean"] - 0.1, high=board["mean"] + 0.1)


def test_references_are_held_against_each_other_by_hand():
    board = board_of(
        ("explainer", "flow", "blank_out", 0.9, 9),
        ("reference", "input_gradient", "blank_out", 0.5, 9),
        ("reference", "blank_out", "input_gradient", 0.5, 9),
        ("explainer", "flow", "input_gradient", 0.8, 9),
        ("reference", "shapley", "blank_out", NAN, 0),
        ("reference", "blank_out", "shapley", NAN, 0),
        ("reliability", "shapley", "shapley", 0.6, 9),
    )
    (grid,) = reference_grids(board)
    assert grid.columns == ["", "blank_out", "input_gradient", "shapley", "halves"]
    assert grid.lines == [
        ["blank_out", "", "0.50 [0.40, 0.60]", "–", ""],
        ["input_gradient", "0.50 [0.40, 0.60]", "", "", ""],
        ["shapley", "–", "", "", "0.60 [0.50, 0.70], r 0.75"],  # Spearman and Brown: 1.2 / 1.6
    ]
    (without,) = reference_grids(board[board["kind"] != "reliability"])
    assert without.columns == ["", "blank_out", "input_gradient", "shapley"]
    assert not any("halves" in note for note in without.notes)


def test_halves_alone_are_a_table_too():
    board = board_of(
        ("explainer", "kernel_shap", "blank_out", 0.3, 9), ("reliability", "kernel_shap", "kernel_shap", 0.5, 9)
    )
    (grid,) = reference_grids(board)
    assert grid.columns == ["", "halves"]
    assert grid.lines == [["kernel_shap", "0.50 [0.40, 0.60], r 0.67"]]


def test_without_two_references_there_is_no_such_table():
    assert reference_grids(board_of(("explainer", "flow", "blank_out", 0.9, 9))) == []


def metric_rows(**values: list[float]) -> pd.DataFrame:
    """Values of `explainer__metric` for each example; lower is better of what ends in `_low`."""
    tables = []
    for name, column in values.items():
        explainer, metric = name.split("__")
        frame = pd.DataFrame({"example": [str(number) for number in range(len(column))], "rho": column})
        kind = "floor" if explainer in ("random", "position") else "explainer"
        tables.append(frame.assign(explainer=explainer, kind=kind, reference=metric, higher=metric[-4:] != "_low"))
    rows = pd.concat(tables, ignore_index=True)
    return rows.assign(status=np.where(rows["rho"].isna(), "undefined", "ok"), layer=0, head=0)


def test_diagnosticity_by_hand():
    rows = metric_rows(
        random__aopc=[0.5, 0.5, 0.5, NAN, 0.5],
        flow__aopc=[0.9, 0.5, 0.1, 0.9, NAN],  # a win, a tie, a loss; nothing to compare
        rollout__aopc=[0.9, 0.9, 0.1, 0.9, 0.6],  # a win, a win, a loss, a win
        position__aopc=[9.0] * 5,  # a floor is no real attribution
        random__sufficiency_low=[0.5, 0.5, 0.5, 0.5, 0.5],
        flow__sufficiency_low=[0.9, 0.5, 0.1, 0.1, 0.1],
    )
    table = diagnosticity(rows, examples_of(*"abcde")).set_index("metric")
    assert table["share"].to_dict() == pytest.approx({"aopc": (1 + 0.75 + 0 + 1) / 4, "sufficiency_low": 3.5 / 5})
    assert table["n"].to_dict() == {"aopc": 4, "sufficiency_low": 5}
    assert ((table["low"] < table["share"]) & (table["share"] < table["high"])).all()
    assert diagnosticity(rows[rows["explainer"] != "random"], examples_of(*"abcde")).empty
    one = diagnosticity(rows, examples_of(*"aaaaa"))
    assert one["low"].isna().all()  # a single cluster has no interval


def test_layers_count_evenly_within_an_example():
    rows = metric_rows(random__aopc=[0.5, 0.5], flow__aopc=[0.9, 0.1])
    deep = rows[rows["explainer"] == "flow"].assign(layer=2, rho=[0.1, 0.1])
    table = diagnosticity(pd.concat([rows, deep]), examples_of(*"ab"))
    assert table["share"].tolist() == [(0.5 + 0) / 2]


def test_metrics_at_a_glance_have_arrows_gaps_rules_and_diagnosticity():
    table = pd.concat(
        [
            ranked(
                {"explainer": "flow", "layer": 2, "group": "a"}, {"explainer": "rollout"}, reference="aopc", higher=True
            ),
            ranked(
                {"explainer": "random", "kind": "floor", "layer": 0, "mean": 0.1, "group": "a"},
                {"explainer": "flow", "mean": 0.25, "group": "b"},
                reference="sufficiency",
                higher=False,
            ),
        ]
    )
    told = pd.DataFrame([{"metric": "sufficiency", "share": 0.7, "low": 0.5, "high": NAN, "n": 5}]).assign(high=0.9)
    (grid,) = metrics_grid(table, told)
    assert grid.columns == ["explainer", "aopc ↑", "sufficiency ↓"]
    assert grid.lines == [
        ["flow", "0.500 a L2", "0.250 b L1"],
        ["rollout", "0.500 a L1", ""],
        ["random", "", "0.100 a input"],
        ["diagnosticity", "", "0.70 [0.50, 0.90]"],
    ]
    assert grid.bold == {(0, 1), (1, 1), (0, 2)}
    assert grid.rules == (2, 3)


def test_referents_print_shares_intervals_and_what_is_undefined():
    board = pd.DataFrame(
        [
            ("flow", 1, 0, 0.75, 0.41, 0.93, 8, 2),
            ("flow", 2, 0, NAN, NAN, NAN, 0, 10),
            ("heads", 1, 3, 0.5, 0.2, 0.8, 10, 0),
        ],
        columns=["explainer", "layer", "head", "share", "low", "high", "n", "undefined"],
    )
    assert referent_grid("pronoun", "title", {"m": board[:0]}) is None
    grid = referent_grid("pronoun", "title", {"m": board})
    assert grid is not None
    assert grid.columns == ["explainer", "L1", "L2", "n", "undefined"]
    assert grid.lines == [
        ["flow", "0.75 [0.41, 0.93]", "–", "0–8", "2–10"],
        ["heads head 3", "0.50 [0.20, 0.80]", "", "10", "0"],
    ]
    both = referent_grid("pronoun", "title", {"m": board, "other": board[2:]})
    assert both is not None
    assert both.columns[:2] == ["model", "explainer"]
    assert [line[0] for line in both.lines] == ["m", "m", "other"]
