"""The best layer is chosen on one part of the examples and scored on the rest."""

import numpy as np
import pandas as pd
import pytest

from harness.statistics.ranking import is_validation, ranking, tied_groups

NAN = float("nan")
TOLD = {"task": "t", "model": "m", "seed": 0, "measure": "blank_out", "higher": None, "same": False, "error": None}


def rows_of(values: dict[tuple[str, int], np.ndarray], head: int = 0, **constant) -> pd.DataFrame:
    """Rows of `(explainer, layer)` and its value for each example; floors and references go by their names."""
    tables = []
    for (explainer, layer), rho in values.items():
        kind = next((kind for kind in ("floor", "reference", "reliability") if explainer.startswith(kind)), "explainer")
        ids = [f"{number:03d}" for number in range(len(rho))]
        status = np.where(np.isnan(rho), "constant scores", "ok")
        tables.append(pd.DataFrame({"example": ids, "value": rho, "status": status, "layer": layer, "kind": kind}))
        tables[-1]["explainer"] = explainer
    return pd.concat(tables, ignore_index=True).assign(head=head, **TOLD | constant)


def alone(rows: pd.DataFrame) -> pd.DataFrame:
    """Independent examples."""
    examples = rows[["example"]].drop_duplicates()
    return examples.assign(cluster=examples["example"])


def chosen(size: int) -> np.ndarray:
    """The validation part of independent examples."""
    return is_validation(np.array([f"{number:03d}" for number in range(size)]))


def random_rows(size: int = 90, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    cells = [(name, layer) for name in ("one", "two", "three") for layer in (1, 2, 3)] + [("floor", 0), ("floor_b", 0)]
    values = {cell: generator.normal(0.2, 0.3, size) for cell in cells}
    for rho in values.values():
        rho[generator.random(size) < 0.1] = np.nan
    return rows_of(values, tau=0.5 * generator.random(size * len(cells)))


def test_about_a_third_of_the_clusters_is_used_for_selection_depending_only_on_their_names():
    names = np.array([f"sentence {number}" for number in range(3000)])
    part = is_validation(names)
    assert part.mean() == pytest.approx(1 / 3, abs=4 * np.sqrt(2 / 9 / 3000))
    order = np.random.default_rng(0).permutation(3000)
    assert (is_validation(names[order]) == part[order]).all()
    assert [bool(is_validation(names[at : at + 1])[0]) for at in range(20)] == part[:20].tolist()
    assert is_validation(np.arange(5)).tolist() == is_validation(np.arange(5).astype(str)).tolist()


def test_a_layer_selected_by_luck_gets_its_true_value_on_the_reporting_part():
    size = 120
    lucky = chosen(size)
    noise = np.random.default_rng(0).normal(scale=0.05, size=size)
    steady, luck = 0.5 + noise, np.where(lucky, 0.9, 0.1) + noise
    rows = rows_of({("flow", 1): steady, ("flow", 2): luck, ("rollout", 1): 0.4 + noise})
    table = ranking(rows, alone(rows)).set_index("explainer")
    assert table.index.tolist() == ["rollout", "flow"]
    assert table["layer"].to_dict() == {"rollout": 1, "flow": 2}
    assert table.loc["flow", "mean"] == pytest.approx(luck[~lucky].mean())
    assert float(table.loc["flow", "mean"]) < 0.2 < luck.mean()
    assert (table["n"] == (~lucky).sum()).all()


def test_selection_examples_are_not_reported_and_reported_examples_do_not_select():
    """Changing values outside the selection part keeps the layers; changing them inside keeps a layer's numbers."""
    rows = random_rows()
    inside = rows["example"].map(dict(zip(alone(rows)["example"], chosen(90), strict=True)))
    before = ranking(rows, alone(rows)).set_index("explainer")
    outside = ranking(rows.assign(value=rows["value"].where(inside, -(rows["value"] ** 3))), alone(rows)).set_index(
        "explainer"
    )
    assert outside["layer"].to_dict() == before["layer"].to_dict()
    assert (outside["mean"] != before["mean"].reindex(outside.index)).all()
    shifted = ranking(rows.assign(value=rows["value"].where(~inside, rows["value"] + 5)), alone(rows)).set_index(
        "explainer"
    )
    pd.testing.assert_frame_equal(shifted, before)  # the same shift for all selects the same layers


def test_every_number_equals_that_of_a_naive_loop():
    rows = random_rows()
    part = dict(zip(alone(rows)["example"], chosen(90), strict=True))
    ok = rows[rows["status"] == "ok"]
    held = {}
    for explainer in rows["explainer"].unique():
        means = {}
        for layer in rows.loc[rows["explainer"] == explainer, "layer"].unique():
            cell = ok[(ok["explainer"] == explainer) & (ok["layer"] == layer)]
            means[layer] = np.mean(
                [rho for name, rho in zip(cell["example"], cell["value"], strict=True) if part[name]]
            )
        best = max(means, key=means.get)
        cell = ok[(ok["explainer"] == explainer) & (ok["layer"] == best) & ~ok["example"].map(part)]
        held[explainer] = (best, cell.set_index("example"))
    table = ranking(rows, alone(rows))
    assert table["mean"].is_monotonic_decreasing
    floors = {name: cell["value"].mean() for name, (_, cell) in held.items() if name.startswith("floor")}
    floor = max(floors, key=floors.get)
    common = pd.concat([cell["value"].rename(name) for name, (_, cell) in held.items()], axis=1).dropna()
    for line in table.itertuples():
        layer, cell = held[line.explainer]
        assert line.layer == layer
        assert line.mean == pytest.approx(cell["value"].mean(), abs=1e-12)
        assert line.std == pytest.approx(cell["value"].std(ddof=0), abs=1e-12)
        assert line.low < line.mean < line.high
        assert (line.n, line.floor) == (len(cell), floor)
        assert line.tau == pytest.approx(cell["tau"].mean(), abs=1e-12)
        ranks = [1 + (row.drop(line.explainer) > row[line.explainer]).sum() for _, row in common.iterrows()]
        assert line.mean_rank == pytest.approx(np.mean(ranks), abs=1e-12)
        if line.explainer == floor:
            assert np.isnan(line.effect)
        else:
            difference = (cell["value"] - held[floor][1]["value"]).dropna()
            assert line.effect == pytest.approx(difference.mean() / difference.std(ddof=1), abs=1e-12)


@pytest.mark.parametrize("seed", [1, 2])
def test_rows_in_any_order_give_the_same_ranking(seed: int):
    """With ties between layers and explainers too: the first layer and the first name win."""
    rows = random_rows()
    twin = rows[(rows["explainer"] == "one") & (rows["layer"] == 2)]
    rows = pd.concat([rows, *(twin.assign(explainer=name, layer=layer) for name in ("a", "b") for layer in (1, 2))])
    shuffled = rows.sample(frac=1, random_state=seed)
    whole = ranking(rows, alone(rows))
    assert whole.loc[whole["explainer"].isin(["a", "b"]), ["explainer", "layer"]].to_numpy().tolist() == [
        ["a", 1],
        ["b", 1],
    ]
    pd.testing.assert_frame_equal(ranking(shuffled, alone(shuffled)), whole, rtol=1e-12)


def test_examples_of_the_same_cluster_are_in_the_same_part():
    size = 90
    rows = rows_of({("flow", 1): np.linspace(0, 1, size), ("flow", 2): np.linspace(1, 0, size)})
    examples = alone(rows)
    examples["cluster"] = [f"sentence {number // 9}" for number in range(size)]
    part = is_validation(examples["cluster"].to_numpy()).reshape(10, 9)
    assert (part == part[:, :1]).all()
    assert 0 < part.mean() < 1
    line = ranking(rows, examples).iloc[0]
    values = np.linspace(0, 1, size) if line["layer"] == 1 else np.linspace(1, 0, size)
    assert line["n"] == (~part).sum()
    assert line["mean"] == pytest.approx(values[~part.flatten()].mean(), abs=1e-12)


def test_single_heads_can_be_chosen():
    size = 60
    noise = np.random.default_rng(0).normal(scale=0.01, size=size)
    heads = [rows_of({("heads", layer): 0.1 * layer * head + noise}, head=head) for layer in (1, 2) for head in (1, 2)]
    rows = pd.concat(heads, ignore_index=True)
    table = ranking(rows, alone(rows))
    assert table[["explainer", "layer", "head"]].to_numpy().tolist() == [["heads", 2, 2]]


def test_if_lower_is_better_the_lowest_comes_first():
    size = 60
    noise = np.random.default_rng(0).normal(scale=0.05, size=(3, size))
    cells = {
        ("good", 1): 0.4 + noise[0],
        ("good", 2): 0.1 + noise[1],
        ("bad", 1): 0.3 + noise[2],
        ("floor", 0): noise[0] + 0.7,
    }
    rows = rows_of(cells, higher=False, measure="sufficiency")
    table = ranking(rows, alone(rows)).set_index("explainer")
    assert table.index.tolist() == ["good", "bad", "floor"]
    assert table.loc["good", "layer"] == 2
    assert table.loc["good", "mean"] == pytest.approx(cells["good", 2][~chosen(size)].mean())
    assert (table["low"] < table["mean"]).all()
    assert (table["mean"] < table["high"]).all()
    assert (
        float(table.loc["good", "effect"]) > float(table.loc["bad", "effect"]) > 0
    )  # better than the floor, not higher
    assert table["mean_rank"].tolist() == [1, 2, 3]


def test_references_are_listed_in_the_ranking_without_a_rank():
    size = 60
    noise = np.random.default_rng(0).normal(scale=0.05, size=(2, size))
    rows = rows_of({("flow", 1): 0.2 + noise[0], ("reference", 0): 0.8 + noise[1], ("reliability", 0): noise[0]})
    table = ranking(rows, alone(rows)).set_index("explainer")
    assert table.index.tolist() == ["reference", "flow"]
    assert np.isnan(table.loc["reference", "mean_rank"])
    assert table.loc["flow", "mean_rank"] == 1
    assert table["floor"].tolist() == ["", ""]
    assert table["effect"].isna().all()


def test_the_references_own_scores_and_undefined_explainers_are_not_ranked():
    size = 60
    rho = np.random.default_rng(0).normal(size=size)
    rows = rows_of({("own", 1): np.ones(size), ("flow", 1): rho, ("gone", 1): np.full(size, np.nan)})
    rows["same"] = rows["explainer"] == "own"
    assert ranking(rows, alone(rows))["explainer"].tolist() == ["flow"]
    empty = ranking(rows[rows["explainer"] == "gone"], alone(rows))
    assert empty.empty
    assert {"explainer", "mean", "tau"} <= set(empty)


def test_an_explainer_without_a_value_on_the_reporting_part_stays_with_a_count_of_zero():
    size = 60
    part = chosen(size)
    rows = rows_of({("flow", 1): np.linspace(0, 1, size), ("gone", 1): np.where(part, 0.9, NAN)})
    line = ranking(rows, alone(rows)).set_index("explainer").loc["gone"]
    assert (line["n"], line["group"]) == (0, "")
    assert np.isnan([line["mean"], line["std"], line["low"], line["high"]]).all()


def test_ties_are_listed_best_first_without_references():
    lines = pd.DataFrame(
        {
            "explainer": ["yard", "a", "b", "floor", "c"],
            "kind": ["reference", "explainer", "explainer", "floor", "explainer"],
            "group": ["a", "ab", "bc", "c", "d"],
        }
    )
    assert tied_groups(lines) == [["a", "b"], ["b", "floor"]]


def test_without_examples_to_report_on_there_is_no_ranking():
    rows = random_rows()
    few = rows[is_validation(rows["example"].to_numpy())]
    assert len(few)
    assert ranking(few, alone(few)).empty
