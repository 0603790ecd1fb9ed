"""Two runs, or two explainers of one run, on tables made by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.report.comparison import COMPARISON, comparison_of_explainers, comparison_of_runs
from harness.report.formats.plain import plain_lines
from harness.report.layouts.comparison import comparison_grid
from harness.results.run_folder import RunFolder
from harness.statistics.tests import holm, mean_interval, sign_flip
from tests.harness.report.run_folders import rewrite, write_run

IDS = [f"{number:03d}" for number in range(40)]
CELLS = [("rollout", 1), ("rollout", 2), ("flow", 1), ("flow", 2), ("random", 0)]


def values(seed: int = 0) -> dict[tuple[str, int], np.ndarray]:
    generator = np.random.default_rng(seed)
    shared = generator.normal(0.3, 0.2, size=len(IDS))
    return {cell: shared + generator.normal(0, 0.05, size=len(IDS)) for cell in CELLS}


def run(path: Path, cells: dict[tuple[str, int], np.ndarray], metric: bool = False, clusters=IDS) -> RunFolder:
    """A run folder with one reference, or one metric where lower is better; a NaN is an undefined value."""
    tables = [
        pd.DataFrame({"example": IDS, "value": values, "explainer": explainer, "layer": layer})
        for (explainer, layer), values in cells.items()
    ]
    rows = pd.concat(tables, ignore_index=True)
    rows["kind"] = np.where(rows["explainer"] == "random", "floor", "explainer")
    rows["status"] = np.where(rows["value"].isna(), "constant scores", "ok")
    examples = pd.DataFrame({"example": IDS, "cluster": list(clusters)})
    if metric:
        return write_run(path, rows[:0], examples, rows.assign(metric="sufficiency", higher=False))
    return write_run(path, rows.rename(columns={"value": "rho"}).assign(reference="blank_out"), examples)


def test_identical_runs_differ_nowhere(tmp_path: Path):
    table, title = comparison_of_runs(run(tmp_path / "one", values()), run(tmp_path / "two", values()))
    assert table.columns.tolist() == COMPARISON
    assert list(zip(table["explainer"], table["layer"], strict=True)) == CELLS
    assert (table[["difference", "low", "high"]] == 0).all(axis=None)
    assert (table["p"] == 1).all()
    assert table["effect"].isna().all()
    assert (table["better"] == "").all()
    assert (table["n"] == len(IDS)).all()
    assert (table["unpaired"] == 0).all()
    grid = comparison_grid(table, title)
    assert not grid.bold
    assert grid.notes[0] == "0 of 5 cells differ significantly (bold)"
    assert title == "first: agreement, small, seed 0 (one); second: agreement, small, seed 0 (two)"


def test_an_explainer_made_worse_differs_in_its_cells_by_as_much(tmp_path: Path):
    worse, noise = values(), np.random.default_rng(1).normal(scale=0.02, size=len(IDS))
    worse["flow", 2] = worse["flow", 2] - 0.1 + noise
    table, title = comparison_of_runs(run(tmp_path / "one", values()), run(tmp_path / "two", worse))
    line = table.iloc[3]
    assert (line["explainer"], line["layer"], line["better"]) == ("flow", 2, "first")
    assert line["difference"] == pytest.approx(-0.1 + noise.mean(), abs=1e-12)
    assert line["second"] - line["first"] == pytest.approx(line["difference"], abs=1e-12)
    assert [line["low"], line["high"]] == pytest.approx(mean_interval((-0.1 + noise)[:, None])[0].tolist(), abs=1e-12)
    assert line["effect"] == pytest.approx((noise.mean() - 0.1) / noise.std(ddof=1), rel=1e-9)
    others = table.drop(index=3)
    assert (others["difference"] == 0).all()
    assert (others["better"] == "").all()
    assert comparison_grid(table, title).bold == {(3, 5)}
    back, _ = comparison_of_runs(RunFolder(tmp_path / "two"), RunFolder(tmp_path / "one"))
    assert back["better"].tolist() == ["", "", "", "second", ""]
    np.testing.assert_allclose(back["difference"], -table["difference"], atol=1e-15)
    np.testing.assert_allclose(back["p"], table["p"])


def test_p_values_are_those_of_the_paired_test_corrected_over_the_table(tmp_path: Path):
    first, second = values(0), values(1)
    table, _ = comparison_of_runs(run(tmp_path / "one", first), run(tmp_path / "two", second))
    differences = np.stack([second[cell] - first[cell] for cell in CELLS], axis=1)
    np.testing.assert_allclose(table["p"], holm(sign_flip(differences)), atol=1e-12)


def test_if_lower_is_better_the_lower_side_is_better(tmp_path: Path):
    lower = values()
    lower["flow", 1] = lower["flow", 1] - 0.1
    table, _ = comparison_of_runs(
        run(tmp_path / "one", values(), metric=True), run(tmp_path / "two", lower, metric=True)
    )
    assert table["measure"].unique().tolist() == ["sufficiency"]
    assert table["difference"].round(12).tolist() == [0, 0, -0.1, 0, 0]
    assert table["better"].tolist() == ["", "", "second", "", ""]


def test_examples_on_one_side_only_are_left_out_and_counted(tmp_path: Path):
    first, second = values(), values()
    first["flow", 1][:3] = np.nan
    second["flow", 1][2:7] = np.nan  # one of them is undefined on both sides
    second["flow", 2] += 0.1
    del second["random", 0]
    table, title = comparison_of_runs(run(tmp_path / "one", first), run(tmp_path / "two", second))
    assert table[["n", "unpaired"]].to_numpy().tolist() == [[40, 0], [40, 0], [33, 6], [40, 0]]
    kept = slice(7, None)
    assert table["first"].iloc[2] == table["second"].iloc[2] == pytest.approx(first["flow", 1][kept].mean())
    assert table["difference"].iloc[2] == 0
    grid = comparison_grid(table, title)
    assert [line[-2:] for line in plain_lines(grid)] == [["40", "0"], ["40", "0"], ["33", "6"], ["40", "0"]]
    assert "unpaired: examples left out because only one side has a value" in grid.notes[1]


def test_a_cluster_counts_once(tmp_path: Path):
    """Eight clusters of five: no sign-flip p-value is below 2 / 2^8, whatever the number of examples."""
    by_sentence = np.repeat(np.linspace(0.05, 0.4, 8), 5)
    shifted = {cell: rho + by_sentence for cell, rho in values().items()}
    clusters = [f"sentence {number // 5}" for number in range(len(IDS))]
    folders = [run(tmp_path / name, of, clusters=clusters) for name, of in (("one", values()), ("two", shifted))]
    table, _ = comparison_of_runs(*folders)
    np.testing.assert_allclose(table["p"], 5 * 2 / 2**8)
    ends = mean_interval(by_sentence[:, None], np.array(clusters))[0]
    np.testing.assert_allclose(table[["low", "high"]], [ends] * 5, atol=1e-12)
    alone = mean_interval(by_sentence[:, None])[0]
    assert np.diff(ends)[0] > 1.5 * np.diff(alone)[0]


def test_two_explainers_are_compared_layer_by_layer(tmp_path: Path):
    cells = values()
    folder = run(tmp_path / "one", cells)
    table, title = comparison_of_explainers(folder, "rollout", "flow")
    assert table[["explainer", "layer"]].to_numpy().tolist() == [["rollout / flow", 1], ["rollout / flow", 2]]
    for line, layer in zip(table.itertuples(), (1, 2), strict=True):
        assert line.first == pytest.approx(cells["rollout", layer].mean(), abs=1e-12)
        assert line.difference == pytest.approx((cells["flow", layer] - cells["rollout", layer]).mean(), abs=1e-12)
    assert title == "agreement, small, seed 0; first: rollout; second: flow"


@pytest.mark.parametrize("turned", [False, True])
def test_an_explainer_without_layers_is_compared_with_every_layer(tmp_path: Path, turned: bool):
    cells = values()
    cells["random", 0][:4] = cells["flow", 1][2:9] = np.nan
    order = ("random", "flow") if turned else ("flow", "random")
    table, _ = comparison_of_explainers(run(tmp_path / "one", cells), *order)
    assert table["layer"].tolist() == [1, 2]
    sign = -1 if turned else 1
    for line, layer in zip(table.itertuples(), (1, 2), strict=True):
        difference = sign * (cells["random", 0] - cells["flow", layer])
        assert line.difference == pytest.approx(np.nanmean(difference), abs=1e-12)
        assert line.n == (~np.isnan(difference)).sum()
    assert table["unpaired"].tolist() == [7, 4]  # 0 to 3 and 2 to 8, minus those that neither has; 0 to 3


def test_runs_that_cannot_be_compared_are_an_error(tmp_path: Path):
    one, two = (run(tmp_path / name, values()) for name in ("one", "two"))
    with pytest.raises(ValueError, match="has no explainer 'flo': choose from rollout, flow, random"):
        comparison_of_explainers(one, "flow", "flo")
    rows = two.table("rows")
    rewrite(two, rows=rows.assign(example="other " + rows["example"]))
    with pytest.raises(ValueError, match=r"no explainer and reference on the same examples .*compare runs of one task"):
        comparison_of_runs(one, two)
    heads = one.table("rows")
    rewrite(one, rows=heads.assign(head=(heads["explainer"] == "flow").astype(int)))
    with pytest.raises(ValueError, match="rollout and flow have no layer and head in common"):
        comparison_of_explainers(one, "rollout", "flow")
