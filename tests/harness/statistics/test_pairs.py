"""Correlations of two explainers' scores, computed only from a run's tables."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from harness.cli.record import head_size
from harness.cli.settings import check_pairs
from harness.contracts import Model
from harness.measure.rows import Scored, score_table
from harness.report import write
from harness.report.formats.plain import plain_lines
from harness.report.layouts.pairs import pair_grids
from harness.report.run_tables import RunTables
from harness.results.run_folder import RunFolder
from harness.statistics.pair_board import bins, pair_board, pair_lengths
from harness.statistics.pairs import pair_rows, pearson
from harness.statistics.tests import mean_interval
from methods.explainers.attention import Attention
from methods.explainers.effective_attention import EffectiveAttention
from tests.conftest import shared
from tests.real_model import SST2, real_model, real_trace

RNG = np.random.default_rng(3)
LENGTHS = {"a": 5, "b": 7, "c": 7, "d": 4}


def sst2():
    """The real model and sentences, as overrides."""
    return [
        "task=sst2",
        f"task.path={shared('data', 'sst2')}",
        f"model.path={shared('checkpoints', SST2)}",
    ]


def examples(lengths=LENGTHS, ranked=lambda n: [False] + [True] * (n - 1), cluster=None):
    return pd.DataFrame(
        {"example": name, "cluster": (cluster or {}).get(name, name), "ranked": ranked(n)}
        for name, n in lengths.items()
    )


def scores(name, layers, heads=0, lengths=LENGTHS, kind="explainer", values=None):
    return pd.DataFrame(
        {
            "example": example,
            "kind": kind,
            "method": name,
            "layer": layer,
            "head": head,
            "scores": RNG.normal(size=n) if values is None else np.asarray(values[:n], dtype=float),
        }
        for example, n in lengths.items()
        for layer in (range(1, layers + 1) if layers else [0])
        for head in (range(1, heads + 1) if heads else [0])
    )


def cell(table, **wanted):
    chosen = table
    for column, value in wanted.items():
        chosen = chosen[chosen[column] == value]
    assert len(chosen) == 1, wanted
    return chosen.iloc[0]


def test_both_coefficients_equal_scipys_over_the_ranked_tokens():
    table = pd.concat([scores("one", 2, 3), scores("two", 2, 3), scores("two", 2, 3, kind="reference")])
    rows = pair_rows(examples(), table, [["one", "two"]])
    assert len(rows) == 4 * 2 * 3
    held = table[table["kind"] == "explainer"].set_index(["method", "example", "layer", "head"])["scores"]
    for row in rows.itertuples():
        ours, theirs = (held.loc[name, row.example, row.layer, row.head][1:] for name in ("one", "two"))
        assert row.rho == pytest.approx(scipy.stats.spearmanr(ours, theirs).statistic, abs=1e-12)
        assert row.pearson == pytest.approx(scipy.stats.pearsonr(ours, theirs).statistic, abs=1e-12)
        assert row.n_tokens == len(ours)
        assert row.status == "ok"


def test_pearson_ignores_scale_and_shift():
    """Even if the squares of the scores are too small for a float."""
    first, second = RNG.normal(size=(2, 1, 8))
    ranked = np.ones((1, 8), dtype=bool)
    plain = pearson(first, second, ranked).item()
    assert abs(plain) < 0.99
    assert pearson(first * 1e-200, 3 * second + 1, ranked).item() == pytest.approx(plain, abs=1e-12)
    assert pearson(first * 1e-200, -first, ranked).item() == pytest.approx(-1, abs=1e-12)


def test_an_explainer_without_heads_or_layers_is_compared_with_each_of_the_others():
    table = pd.concat([scores("heads", 2, 3), scores("layers", 2), scores("input", 0)])
    pairs = [["heads", "layers"], ["layers", "input"], ["input", "heads"]]
    rows = pair_rows(examples(), table, pairs)
    cells = rows.drop_duplicates(["first", "second", "layer", "head"]).groupby(["first", "second"]).size()
    assert cells.to_dict() == {("heads", "layers"): 6, ("layers", "input"): 2, ("input", "heads"): 6}
    held = table.set_index(["method", "example", "layer", "head"])["scores"]
    row = cell(rows, first="heads", example="b", layer=2, head=3)
    ours, theirs = held.loc["heads", "b", 2, 3], held.loc["layers", "b", 2, 0]
    assert row["pearson"] == pytest.approx(np.corrcoef(ours[1:], theirs[1:])[0, 1], abs=1e-12)
    row = cell(rows, first="input", example="b", layer=1, head=2)
    ours, theirs = held.loc["heads", "b", 1, 2], held.loc["input", "b", 0, 0]
    assert row["rho"] == pytest.approx(scipy.stats.spearmanr(ours[1:], theirs[1:]).statistic, abs=1e-12)


def test_undefined_correlations_are_nan_with_a_reason_and_are_counted():
    table = pd.concat(
        [
            scores("one", 1, lengths={"a": 5, "b": 7, "c": 7}),  # it failed on d
            scores("two", 1, lengths={"a": 5}, values=[9, 0.1, 0.1, 0.1, 0.1]),
            scores("two", 1, lengths={"b": 7}, values=[1] * 7),  # of two reasons, the first is given
            scores("two", 1, lengths={"d": 4}),
            scores("two", 1, lengths={"c": 7}, values=[0, 1, np.nan, 3, 4, 5, 6]),
        ]
    )
    few = examples()
    few.loc[few["example"] == "b", "ranked"] = pd.Series([[False] * 5 + [True] * 2], index=[1])
    rows = pair_rows(few, table, [["one", "two"]]).set_index("example")
    assert rows["rho"].isna().all()
    assert rows["pearson"].isna().all()
    assert rows["status"].to_dict() == {"a": "constant scores", "b": "fewer than 3 tokens", "c": "scores not finite"}
    rows = rows.reset_index()
    line = pair_board(rows, few).iloc[0]
    assert (line["n"], line["undefined"]) == (0, 4)
    assert np.isnan(line["rho"])
    (grid,) = pair_grids(pair_board(rows, few), rows, "task", "task, model")
    assert "undefined, left out: 3 of 3 correlations" in grid.notes[1]
    assert plain_lines(grid)[0] == ["one", "Spearman's rho", "–", "0", "4"]


def test_scores_that_are_not_ranked_do_not_count():
    one, two = scores("one", 1), scores("two", 1)
    before = pair_rows(examples(), pd.concat([one, two]), [["one", "two"]])
    for row in one["scores"]:
        row[0] = np.nan
    after = pair_rows(examples(), pd.concat([one, two]), [["one", "two"]])
    pd.testing.assert_frame_equal(before, after)
    assert (before["status"] == "ok").all()


def test_means_and_intervals_average_heads_within_an_example_and_then_over_examples():
    table = pd.concat([scores("one", 2, 3), scores("two", 2, 3)])
    of = examples(cluster={"a": "x", "b": "x"})
    rows = pair_rows(of, table, [["one", "two"]])
    rows.loc[(rows["example"] == "a") & (rows["head"] == 2), ["rho", "pearson"]] = np.nan
    board = pair_board(rows, of)
    assert len(board) == 2 * (3 + 1)
    part = rows[rows["layer"] == 2]
    line = cell(board, layer=2, head=2)
    values = part[part["head"] == 2].set_index("example")["pearson"].loc[list("abcd")].to_numpy()
    assert line["pearson"] == pytest.approx(np.nanmean(values))
    assert (line["n"], line["undefined"]) == (3, 1)
    mean = cell(board, layer=2, head=0)
    by_example = [np.nanmean(part.loc[part["example"] == name, "rho"]) for name in "abcd"]
    assert mean["rho"] == pytest.approx(np.mean(by_example))
    ((low, high),) = mean_interval(np.array(by_example)[:, None], np.array(["x", "x", "c", "d"]))
    assert (mean["rho_low"], mean["rho_high"]) == pytest.approx((low, high))


def test_bins_hold_every_length_once_and_one_ends_at_the_head_dimension():
    for low, high, end in [(3, 60, 32), (40, 250, 32), (3, 12, 64), (7, 7, 0), (5, 1000, 64)]:
        found = bins(low, high, end, 10)
        assert 1 <= len(found) <= 10
        assert len(bins(low, high, end, 2)) <= 2
        covered = [length for first, last in found for length in range(first, last + 1)]
        assert covered == list(range(covered[0], covered[-1] + 1))
        assert covered[0] <= low <= high <= covered[-1]
        assert not any(first <= end < last for first, last in found)
    assert bins(3, 12, 0, 10) == [(length, length) for length in range(3, 13)]


def test_lines_by_length_are_means_over_the_examples_of_a_bin():
    lengths = {f"{n}.{copy}": n for n in (4, 5, 20, 33) for copy in range(20)}
    of = examples(lengths)
    table = pd.concat([scores("one", 2, lengths=lengths), scores("two", 2, lengths=lengths)])
    rows = pair_rows(of, table, [["one", "two"]])
    by_length = pair_lengths(rows, of, 5)
    assert by_length["n"].sum() == len(rows)
    line = cell(by_length, layer=1, longest=5)
    inside = rows[(rows["layer"] == 1) & rows["example"].str.match(r"[45]\.")]
    assert (line["n"], line["tokens"], line["shortest"]) == (40, 4.5, 2)
    assert line["rho"] == pytest.approx(inside["rho"].mean())


def test_without_pairs_the_tables_are_empty():
    rows = pair_rows(examples(), scores("one", 1), [])
    assert rows.empty
    assert pair_board(rows, examples()).empty
    assert pair_lengths(rows, examples()).empty
    assert pair_grids(pair_board(rows, examples()), rows, "task", "title") == []
    assert pair_rows(examples(), scores("one", 1), [["one", "left_out"]]).empty


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ("attention", "pairs is a list of lists .*'attention'"),
        ([["attention"]], r"two explainers of the run, as in .* got \['attention'\] in it"),
        (["attention"], "got 'attention' in it"),
        ([["attention", "flow"]], r"'flow', which is not an explainer of this run: add it, '\+explainers=\[flow\]'"),
        ([["attention", "attention"]], "the same explainer twice"),
        ([["attention", "rollout"], ["rollout", "attention"]], "a pair that is there already"),
    ],
)
def test_invalid_pairs_are_refused(pairs, said):
    with pytest.raises(ValueError, match=said):
        check_pairs(pairs, ["attention", "rollout"])


def test_a_run_writes_its_pairs_and_the_report_redoes_them_without_the_model(assay, tmp_path: Path):
    chosen = ["explainers=[attention_by_head,attention,saliency]", "references=[input_gradient]"]
    pairs = "pairs=[[attention_by_head,attention],[attention,saliency]]"
    status, out, err = assay(*sst2(), *chosen, pairs, "limit=8", "figures=false", "threads=1")
    assert status == 0, err
    assert "pairs of explainers" in out
    folder = tmp_path / "run"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["config"]["pairs"] == [["attention_by_head", "attention"], ["attention", "saliency"]]
    assert manifest["head_size"] == 32
    table = pd.read_csv(folder / "pairs.csv")
    assert table.groupby("first")["head"].nunique().to_dict() == {"attention": 1, "attention_by_head": 13}
    assert set(table["model"]) == {manifest["model_name"]}
    by_length = pd.read_csv(folder / "pairs_by_length.csv")
    assert by_length[(by_length["first"] == "attention") & (by_length["layer"] == 1)]["n"].sum() == 8
    written = {name: (folder / name).read_bytes() for name in ("pairs.csv", "pairs_by_length.csv")}
    write.write_runs([RunTables(RunFolder(folder))], tmp_path / "again", 0)
    for name, content in written.items():
        assert (tmp_path / "again" / name).read_bytes() == content
    drawn = {path.stem for path in (tmp_path / "again" / "figures").glob("pair_*.svg")}
    assert "pair_by_layer" in drawn


def test_a_pair_with_an_unknown_explainer_stops_the_run_before_it_starts(assay, tmp_path: Path):
    status, _, err = assay(*sst2(), "explainers=[attention]", "pairs=[[attention,rollout]]")
    assert status == 1
    assert "'rollout', which is not an explainer of this run" in err
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_a_real_models_head_size_and_pairs_are_correct():
    """Raw and effective attention of short sentences agree; two explainers computed by hand correlate as in scipy."""
    shared("checkpoints", SST2)
    module, batch = real_model(SST2)
    assert head_size(Model(module, None, "minilm")) == 32  # pyright: ignore
    trace = real_trace(SST2)
    methods = {"attention": Attention(), "effective": EffectiveAttention(), "heads": Attention(heads="each")}
    scored = {
        ("explainer", name): Scored(name, "explainer", method(trace).detach().double().numpy())
        for name, method in methods.items()
    }
    lengths = {example.id: len(example.input_ids) for example in batch.examples}
    of = examples(lengths, ranked=lambda n: [True] * n)
    rows = pair_rows(of, score_table(trace, scored), [["attention", "effective"], ["heads", "attention"]])
    same = rows[rows["first"] == "attention"]
    assert len(same) == 2 * 6
    assert (same["pearson"] > 1 - 1e-9).all()
    for index, example in enumerate(batch.examples):  # one token, one head at a time
        n = len(example.input_ids)
        for layer in range(6):
            weights = trace.attention[index, layer, :, 0, :n].double().tolist()
            mean = [sum(head[token] for head in weights) / len(weights) for token in range(n)]
            for head, row in enumerate(weights, start=1):
                ours = cell(rows, first="heads", example=example.id, layer=layer + 1, head=head)
                assert ours["pearson"] == pytest.approx(scipy.stats.pearsonr(row, mean).statistic, abs=1e-5)
                assert ours["rho"] == pytest.approx(scipy.stats.spearmanr(row, mean).statistic, abs=1e-9)
