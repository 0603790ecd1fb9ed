"""What a ranking prints, checked by hand."""

import numpy as np
import pandas as pd
import pytest

from harness.report.formats.plain import plain_lines
from harness.report.layouts.metrics import metric_grids
from harness.report.layouts.ranking import ranking_grids
from harness.statistics.leaderboard import leaderboard
from harness.statistics.ranking import is_validation, ranking
from tests.harness.report.layouts.boards import NAN, TABLE, examples_of, ranked


def test_a_ranking_prints_means_effects_and_only_the_available_statistics():
    table = ranked(
        {"explainer": "flow", "layer": 3, "effect": 1.256, "tied": 0.25, "saturated": 0.125},
        {"explainer": "rollout", "head": 2, "effect": -0.001, "tied": 0.0, "n": 19},
        {"explainer": "random", "kind": "floor", "layer": 0, "mean": -0.001, "group": "b", "low": NAN, "high": NAN},
        floor="random",
    )
    (grid,) = ranking_grids(table)
    assert grid.headers == ["explainer", "layer", "mean", "group", "d", "tied", "saturated", "n"]
    assert plain_lines(grid) == [
        ["flow", "L3", "0.50 [0.40, 0.60]", "a", "1.26", "0.25", "0.12", "20"],
        ["rollout head 2", "L1", "0.50 [0.40, 0.60]", "a", "0.00", "0.00", "", "19"],
        ["random (floor)", "input", "0.00", "b", "", "", "", "20"],
    ]
    assert grid.bold == {(0, 2), (1, 2)}
    assert grid.title == "t, m, seed 0: Spearman's rho with blank_out, ranked"
    assert any("the best floor, random" in note for note in grid.notes)
    (plain,) = ranking_grids(ranked({"explainer": "flow"}))
    assert plain.headers == ["explainer", "layer", "mean", "group", "d", "n"]
    assert not any("floor" in note for note in plain.notes)


def test_a_ranking_sets_the_best_explainer_and_all_that_share_a_letter_with_it_in_bold():
    """As in the leaderboard, floors and references do not compete, and similarity is not transitive."""
    table = ranked(
        {"explainer": "other", "kind": "reference", "group": "a"},
        {"explainer": "random", "kind": "floor", "group": "a"},
        {"explainer": "best", "group": "bc"},
        {"explainer": "like_it", "group": "b"},
        {"explainer": "like_it_too", "group": "c"},
        {"explainer": "floor_alike", "kind": "floor", "group": "c"},
        {"explainer": "worse", "group": "d"},
        {"explainer": "gone", "group": ""},
    )
    (grid,) = ranking_grids(table)
    assert {plain_lines(grid)[line][0] for line, _ in grid.bold} == {"best", "like_it", "like_it_too"}
    (metrics,) = metric_grids(table.assign(measure="aopc", higher=True), pd.DataFrame())
    assert {plain_lines(metrics)[line][0] for line, _ in metrics.bold} == {"best", "like_it", "like_it_too"}
    (nobody,) = ranking_grids(table[table["kind"] != "explainer"])
    assert not nobody.bold


def test_the_tied_and_saturated_shares_are_means_over_the_reported_examples():
    size = 30
    rows = pd.DataFrame({"example": [str(number) for number in range(size)], "value": np.linspace(0, 1, size)})
    rows = rows.assign(**TABLE, measure="blank_out", kind="explainer", explainer="flow", layer=1, head=0, higher=None)
    rows = rows.assign(status="ok", same=False, tied=np.arange(size) / 100, saturated=NAN)
    rows.loc[:4, ["status", "tied"]] = ["constant scores", 1.0]  # the share of ties of an undefined row does not count
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
