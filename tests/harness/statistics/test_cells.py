"""One table's cells: what differs, what is best, what is above the floors; and the leaderboard columns that show it."""

import numpy as np
import pandas as pd
import pytest

from harness.report.formats.plain import plain_lines
from harness.report.layouts.full_leaderboard import full_leaderboard_grids
from harness.report.layouts.leaderboard import leaderboard_grids
from harness.statistics.cells import NAME, Cells, cells, lower_is_better, the_references_own
from harness.statistics.leaderboard import leaderboard
from harness.statistics.tests import mean_interval

NAN = float("nan")


def table(size: int = 60, noise: float = 0.02, seed: int = 0, **means: float) -> Cells:
    """Cells with exactly these means and partly shared noise; `explainer_1` is layer 1, floors go by their names."""
    generator = np.random.default_rng(seed)
    values = generator.normal(scale=0.2, size=(size, 1)) + generator.normal(scale=noise, size=(size, len(means)))
    values += np.array(list(means.values())) - values.mean(axis=0)
    lines = []
    for name in means:
        explainer, _, layer = name.rpartition("_")
        kind = explainer if explainer in ("floor", "reference") else "explainer"
        lines.append((kind, explainer, 0, int(layer)))
    return Cells(pd.DataFrame(lines, columns=NAME), values, np.arange(size).astype(str))


def rows_of(of: Cells, **constant) -> pd.DataFrame:
    """The rows of these cells; a NaN is undefined because of constant scores."""
    tables = []
    for cell, name in enumerate(of.names.itertuples(index=False)):
        values = of.values[:, cell]
        ids = [f"{number:03d}" for number in range(len(values))]
        rows = pd.DataFrame(
            {"example": ids, "cluster": of.clusters, "value": values, **dict(zip(of.names.columns, name, strict=True))}
        )
        tables.append(rows.assign(status=np.where(np.isnan(values), "constant scores", "ok")))
    told = {"task": "t", "model": "m", "seed": 0, "model_seed": 0, "measure": "blank_out", "higher": None}
    return pd.concat(tables, ignore_index=True).assign(**told | {"same": False, "error": None} | constant)


def board_of(of: Cells, **constant) -> pd.DataFrame:
    rows = rows_of(of, **constant)
    return leaderboard(rows, rows[["example", "cluster"]])


def test_the_best_and_all_that_do_not_differ_significantly_from_it_are_best():
    of = table(good_1=0.301, twin_2=0.3, bad_3=0.2)
    assert of.best().tolist() == [True, True, False]
    assert of.part([1, 2]).best().tolist() == [True, False]
    assert of.part([2]).best().tolist() == [True]


def test_no_floor_or_reference_is_ever_best():
    of = table(good_1=0.3, twin_2=0.3, floor_0=0.5, bad_1=0.1, reference_0=0.9)
    assert of.best().tolist() == [True, True, False, False, False]
    level = table(good_1=0.3, floor_0=0.3, reference_0=0.3)
    assert level.best().tolist() == [True, False, False]
    assert level.part([1, 2]).best().tolist() == [False, False]


def test_if_nothing_is_defined_nothing_is_best():
    of = table(one_1=0.1, two_1=0.2)
    empty = Cells(of.names, np.full_like(of.values, np.nan), of.clusters)
    assert empty.best().tolist() == [False, False]
    assert np.isnan(empty.means).all()
    assert np.isnan(empty.intervals).all()
    assert empty.letters(np.arange(2)) == ["", ""]
    half = Cells(of.names, of.values * [1, np.nan], of.clusters)
    assert half.best().tolist() == [True, False]
    assert half.letters(np.arange(2)) == ["a", ""]


def test_undefined_examples_are_left_out_of_a_mean():
    of = Cells(table(one_1=0, two_1=0).names, np.array([[0.1, NAN], [NAN, NAN], [0.5, 0.2]]), np.array(["a", "b", "c"]))
    np.testing.assert_allclose(of.means, [0.3, 0.2])
    np.testing.assert_array_equal(of.intervals, mean_interval(of.values, of.clusters))
    assert np.isnan(of.intervals[1]).all()  # of a single value


def test_a_cell_is_compared_with_the_floors_of_its_layer_and_those_without_layers():
    of = table(low_1=0.2, low_2=0.2, high_1=0.4, floor_0=0.1, floor_1=0.3, floor_2=0.15)
    assert of.above_floors().tolist() == [False, True, True, False, False, False]
    without = of.part([0, 1, 2])
    assert without.above_floors().all()
    level = table(one_1=0.2, two_1=0.3, floor_0=0.2, reference_0=0.9)
    assert level.above_floors().tolist() == [False, True, False, True]
    below = table(one_1=0.1, floor_0=0.2)  # they differ, but in the wrong direction
    assert below.above_floors().tolist() == [False, False]


def test_being_above_floors_is_decided_by_the_test_and_not_the_mean():
    of = table(size=12, noise=0.5, one_1=0.25, floor_0=0.2)
    assert of.means[0] > of.means[1]
    assert of.p[0, 1] > 0.05
    assert of.above_floors().tolist() == [False, False]


def test_letters_join_what_does_not_differ_best_mean_first():
    of = table(a_1=0.1, b_1=0.3, c_1=0.3, d_1=0.5, floor_1=0.1)
    assert of.letters(np.arange(5)) == ["c", "b", "b", "a", "c"]
    assert of.letters(np.array([0, 1, 4])) == ["b", "a", "b"]


def test_letters_follow_the_corrected_p_values_where_similarity_is_not_transitive():
    generator = np.random.default_rng(1)
    noise = generator.normal(scale=0.3, size=(50, 3))
    values = noise - noise.mean(axis=0) + [0.0, 0.1, 0.2]
    of = Cells(table(a_1=0, b_1=0, c_1=0).names, values, np.arange(50).astype(str))
    assert of.p[0, 1] >= 0.05 <= of.p[1, 2]
    assert of.p[0, 2] < 0.05
    assert of.letters(np.arange(3)) == ["b", "ab", "a"]
    assert of.best().tolist() == [False, True, True]


def test_groups_after_the_last_letter_have_none():
    count = 54
    of = table(size=100, noise=0.001, **{f"e{number}_1": number / 10 for number in range(count)})
    letters = of.letters(np.arange(count))
    assert letters[-1] == "a"
    assert letters[2:] == sorted(letters[2:], key=letters.index)
    assert letters[:3] == ["", "", "Z"]


def test_cells_are_bit_identical_in_any_order_of_the_rows():
    of = table(one_1=0.2, one_2=0.3, floor_0=0.1)
    rows = rows_of(of)
    first, second = cells(rows), cells(rows.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(first.names, second.names)
    for name in ("values", "means", "intervals", "p"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    np.testing.assert_array_equal(first.clusters, second.clusters)
    order = [first.names["explainer"].tolist().index(name) for name in ("one", "floor")]
    np.testing.assert_array_equal(first.values[:, order], of.values[:, [0, 2]])


def test_an_example_under_another_model_seed_is_another_member_of_its_cluster():
    rows = rows_of(table(one_1=0.2))
    of = cells(pd.concat([rows.assign(model_seed=seed, value=rows["value"] + seed) for seed in (0, 1)]))
    assert of.values.shape == (120, 1)
    assert (pd.Series(of.clusters).value_counts() == 2).all()
    assert of.means[0] == pytest.approx(0.7)


def test_failed_and_undefined_values_are_not_read():
    rows = rows_of(table(size=4, one_1=0.5)).assign(value=[1.0, 2.0, 3.0, 4.0], status=["ok", "failed", "ok", "tied"])
    np.testing.assert_array_equal(cells(rows).values[:, 0], [1.0, NAN, 3.0, NAN])


def test_if_lower_is_better_values_are_negated():
    rows = rows_of(table(one_1=0.2, two_1=0.4))
    assert not lower_is_better(rows)
    assert not lower_is_better(rows.drop(columns="higher"))
    assert not lower_is_better(rows.assign(higher=True))
    lower = rows.assign(higher=False)
    assert lower_is_better(lower)
    of = cells(lower)
    np.testing.assert_allclose(of.means, [-0.2, -0.4])
    assert of.best().tolist() == [True, False]


def test_scores_that_equal_the_references_everywhere_are_reported():
    rows = rows_of(table(size=3, one_1=0.1, two_1=0.2))
    names = cells(rows).names
    assert the_references_own(rows.drop(columns="same"), names).tolist() == [False, False]
    same = rows.assign(same=[True, True, True, True, False, True])
    assert the_references_own(same, names).tolist() == [True, False]
    undefined = same.assign(status=["ok", "ok", "ok", "ok", "constant scores", "ok"])
    assert the_references_own(undefined, names).tolist() == [True, True]


def test_undefined_and_failed_cells_are_counted_next_to_the_defined_ones():
    of = table(one_1=0.3, two_1=0.2, floor_0=0.1)
    values = of.values.copy()
    values[:7, 0] = values[3:12, 1] = np.nan
    rows = rows_of(Cells(of.names, values, of.clusters))
    rows.loc[rows["value"].isna() & rows["example"].isin(["003", "004"]), "status"] = "failed"
    board = leaderboard(rows, rows[["example", "cluster"]]).set_index("explainer")
    assert board[["n", "undefined", "failed"]].to_numpy().tolist() == [[53, 5, 2], [51, 7, 2], [60, 0, 0]]
    assert board.loc["two", "reasons"] == "constant scores (7); failed (2)"
    np.testing.assert_allclose(board["mean"], np.nanmean(values, axis=0))
    np.testing.assert_allclose(board["std"], np.nanstd(values, axis=0))


def test_a_leaderboard_has_columns_for_best_above_floors_and_group():
    of = table(one_1=0.3, one_2=0.5, two_1=0.3, two_2=0.2, floor_0=0.25, reference_0=0.9)
    board = board_of(of).set_index(["explainer", "layer"])
    assert board.index[board["best"]].tolist() == [("one", 2)]
    assert board.index[~board["above_floors"]].tolist() == [("two", 2), ("floor", 0)]
    assert board["group"].to_dict() == {
        ("one", 1): "a",
        ("two", 1): "a",
        ("one", 2): "a",
        ("two", 2): "b",
        ("reference", 0): "a",
        ("floor", 0): "b",
    }


def test_if_a_floor_is_on_top_the_best_explainers_are_bold_and_marked():
    of = table(one_1=0.3, two_1=0.1, floor_0=0.5)
    (grid,) = leaderboard_grids(board_of(of), {})
    lines = {line[0]: (place, line) for place, line in enumerate(plain_lines(grid))}
    assert grid.bold == {(lines["one"][0], 2)}
    assert lines["one"][1][2].endswith("°")
    assert any("best mean of any explainer" in note for note in grid.notes)
    (full,) = full_leaderboard_grids(board_of(of))
    assert full.bold == {(lines["one"][0], 2)}


def test_reversing_a_metric_negates_its_numbers_and_changes_nothing_else():
    of = table(one_1=0.3, two_1=0.31, bad_1=0.1, floor_0=0.05)
    upward = board_of(of, higher=True)
    turned = Cells(of.names, -of.values, of.clusters)
    downward = board_of(turned, higher=False)
    for name in ("best", "above_floors", "group", "n", "std"):
        assert upward[name].tolist() == downward[name].tolist()
    np.testing.assert_allclose(upward["mean"], -downward["mean"])
    np.testing.assert_allclose(upward[["low", "high"]], -downward[["high", "low"]])


def test_the_spread_over_seeds_is_the_standard_deviation_of_their_means():
    rows = rows_of(table(one_1=0.3, floor_0=0.1))
    shifts = {0: 0.0, 1: 0.2, 2: 0.1}
    seeds = pd.concat(
        [
            rows.assign(model_seed=seed, value=rows["value"] + (rows["kind"] == "explainer") * by)
            for seed, by in shifts.items()
        ]
    )
    board = leaderboard(seeds, rows[["example", "cluster"]])
    np.testing.assert_allclose(board["seed_std"], [0.1, 0.0], atol=1e-12)
    (grid,) = leaderboard_grids(board, {})
    assert [line[:3] for line in plain_lines(grid) if "seeds" in line[0]] == [
        ["  std of the seeds' means", "", "0.100"],
        ["  std of the seeds' means", "0.000", ""],
    ]
    assert leaderboard(rows, rows[["example", "cluster"]])["seed_std"].isna().all()


def test_a_floor_that_is_nowhere_defined_does_not_count():
    of = table(one_1=0.9, chance_0=0.0, broken_0=0.0)
    kinds = of.names.assign(kind=["floor" if name != "one" else "explainer" for name in of.names["explainer"]])
    values = of.values.copy()
    values[:, (of.names["explainer"] == "broken").to_numpy()] = np.nan
    above = Cells(kinds, values, of.clusters).above_floors()
    assert dict(zip(of.names["explainer"], above.tolist(), strict=True)) == {
        "one": True,
        "chance": False,
        "broken": False,
    }
