from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch

from harness.contracts import Model
from harness.measure.evaluate import evaluate_batches as evaluate
from harness.measure.protocol import EvaluationProtocol
from harness.tables import Part
from harness.tracing.batch import Example, pack
from harness.tracing.notices import Notice
from harness.tracing.run import Trace
from methods.explainers.attention import Attention
from methods.explainers.flow import Flow
from methods.explainers.position import Position
from methods.explainers.random import Random
from methods.explainers.saliency import Saliency
from methods.references.blank_out import BlankOut
from methods.references.input_gradient import InputGradient

EXPLAINERS = {
    "random": Random(),
    "attention": Attention(),
    "heads": Attention(heads="each"),
    "flow": Flow(),
    "saliency": Saliency(),
}
REFERENCES = {"blank_out": BlankOut(), "input_gradient": InputGradient()}


def rows_of(parts: list[Part]) -> pd.DataFrame:
    rows = pd.concat([part.rows for part in parts])
    return rows.sort_values(["example", "reference", "explainer", "layer", "head"]).reset_index(drop=True)


@pytest.fixture(scope="module")
def parts(model: Model, examples) -> list[Part]:
    return list(evaluate(examples, model, EXPLAINERS, REFERENCES, EvaluationProtocol()))


def test_one_row_per_example_explainer_reference_and_layer(parts: list[Part], examples):
    rows = rows_of(parts)
    cells = 1 + 3 + 3 * 4 + 3 + 1  # random, attention, its heads, flow, saliency; three layers, four heads
    assert len(rows) == len(examples) * (cells + 1) * len(REFERENCES)  # plus the other reference
    assert not rows.duplicated(["example", "explainer", "reference", "layer", "head"]).any()
    assert set(rows.loc[rows["explainer"] == "random", "kind"]) == {"floor"}
    assert set(rows["layer"]) == {0, 1, 2, 3}
    assert set(rows.loc[rows["explainer"] == "heads", "head"]) == {1, 2, 3, 4}
    assert set(rows.loc[rows["explainer"] == "random", "layer"]) == {0}


def test_the_stored_scores_reproduce_the_rows_without_the_model(parts: list[Part]):
    scores = pd.concat([part.scores for part in parts])
    ranked = pd.concat([part.examples for part in parts]).set_index("example")["ranked"]
    table = scores.set_index(["kind", "method", "example", "layer", "head"])["scores"]
    for row in rows_of(parts).itertuples():
        keep = np.array(ranked[row.example])
        kind = "reference" if row.kind == "reference" else "explainer"
        ours = table[kind, row.explainer, row.example, row.layer, row.head][keep]
        theirs = table["reference", row.reference, row.example, 0, 0][keep]
        if row.status == "ok":
            assert row.rho == pytest.approx(scipy.stats.spearmanr(ours, theirs).statistic, abs=1e-9)
            assert float(row.rho_content) == float(row.rho)
            assert row.tau == pytest.approx(scipy.stats.kendalltau(ours, theirs).statistic, abs=1e-9)
            if not np.isnan(row.partial):
                places = np.flatnonzero(keep)
                both, mine, other = (
                    scipy.stats.spearmanr(*pair).statistic
                    for pair in ((ours, theirs), (ours, places), (theirs, places))
                )
                partial = (both - mine * other) / np.sqrt((1 - mine**2) * (1 - other**2))
                assert row.partial == pytest.approx(partial, abs=1e-9)
            assert row.tied == pytest.approx(1 - np.mean([(ours == score).sum() == 1 for score in ours]))
        assert row.n_tokens == keep.sum()


def test_references_are_compared_with_each_other(parts: list[Part]):
    rows = rows_of(parts)
    between = rows[rows["kind"] == "reference"].set_index(["explainer", "reference", "example"])["rho"]
    assert set(between.index.droplevel("example")) == {
        ("blank_out", "input_gradient"),
        ("input_gradient", "blank_out"),
    }
    between = between.sort_index()
    one, other = between["blank_out", "input_gradient"], between["input_gradient", "blank_out"]
    pd.testing.assert_series_equal(one, other, atol=1e-12)


@dataclass(frozen=True)
class Drawn:
    """A reference for which one half of the draws gives the position and the other half its square."""

    def __call__(self, trace: Trace) -> torch.Tensor:
        one, other = self.halves(trace)
        return (one + other) / 2

    def halves(self, trace: Trace) -> tuple[torch.Tensor, torch.Tensor]:
        places = torch.arange(trace.batch.input_ids.shape[1]).double().expand(trace.batch.input_ids.shape)
        return places, (places - 2) ** 2


@dataclass(frozen=True)
class Mean:
    """A metric: the mean score of the ranked tokens, undefined for the first layer; it fails on too many heads."""

    higher_is_better = False

    def __call__(self, trace: Trace, scores: torch.Tensor) -> torch.Tensor:
        if scores.shape[1] > 4:
            raise ArithmeticError("too many")
        mean = (scores * trace.batch.ranked[:, None]).sum(dim=-1) / trace.batch.ranked.sum(dim=-1, keepdim=True)
        return torch.cat([torch.full_like(mean[:, :1], torch.nan), mean[:, 1:]], dim=1)


def test_a_method_that_samples_is_compared_with_its_other_half(model: Model, examples: list[Example]):
    rows = rows_of(list(evaluate(examples, model, {"position": Position()}, {"drawn": Drawn()}, EvaluationProtocol())))
    halves = rows[rows["kind"] == "reliability"].set_index("example")
    assert set(halves["explainer"]) == set(halves["reference"]) == {"drawn"}
    for example in examples:
        places = np.arange(len(example.input_ids))[1:-1]
        if len(places) > 2:
            theirs = scipy.stats.spearmanr(places, (places - 2) ** 2).statistic
            assert halves.loc[example.id, "rho"] == pytest.approx(theirs)


def test_metrics_give_a_value_for_each_explainer_layer_and_head(model: Model, examples: list[Example]):
    found = list(
        evaluate(examples, model, EXPLAINERS, {"blank_out": BlankOut()}, EvaluationProtocol(), {"mean": Mean()})
    )
    values = pd.concat([part.metrics for part in found]).set_index("explainer")
    scores = pd.concat([part.scores for part in found]).set_index(["method", "layer", "example"])["scores"]
    ranked = pd.concat([part.examples for part in found]).set_index("example")["ranked"]
    assert set(values["metric"]) == {"mean"}
    assert not values["higher"].any()
    assert set(values.loc["heads", "status"]) == {"failed"}  # twelve heads; the other methods keep their values
    assert set(values.loc["heads", "error"]) == {"ArithmeticError: too many"}
    attention = values.loc["attention"]
    assert set(attention.loc[attention["layer"] == 1, "status"]) == {"undefined"}
    for row in attention[attention["layer"] > 1].itertuples():
        kept = scores["attention", row.layer, row.example][np.array(ranked[row.example])]
        assert row.value == pytest.approx(kept.mean())


def test_results_do_not_depend_on_the_token_budget(parts: list[Part], model: Model, examples):
    for budget in (1, 64):
        other = rows_of(
            list(evaluate(examples, model, EXPLAINERS, REFERENCES, EvaluationProtocol(token_budget=budget)))
        )
        pd.testing.assert_frame_equal(rows_of(parts), other, atol=1e-9)


def test_results_do_not_depend_on_the_order_of_examples_or_methods(parts: list[Part], model: Model, examples):
    turned = {name: EXPLAINERS[name] for name in reversed(EXPLAINERS)}
    other = rows_of(list(evaluate(examples[::-1], model, turned, REFERENCES, EvaluationProtocol(token_budget=100))))
    pd.testing.assert_frame_equal(rows_of(parts), other, atol=1e-9)


def test_finished_parts_are_not_computed_again(model: Model, examples):
    whole = list(evaluate(examples, model, {"position": Position()}, REFERENCES, EvaluationProtocol(token_budget=60)))
    assert len(whole) >= 3
    rest = list(
        evaluate(examples, model, {"position": Position()}, REFERENCES, EvaluationProtocol(token_budget=60), done={0})
    )
    assert [part.number for part in rest] == [part.number for part in whole if part.number != 0]
    pd.testing.assert_frame_equal(rest[0].rows, whole[1].rows)


def test_the_same_definition_on_both_sides_is_detected(parts: list[Part]):
    rows = rows_of(parts)
    ok = rows[rows["status"] == "ok"]
    same = ok.groupby(["explainer", "reference"])["same"].mean()
    assert same["saliency", "input_gradient"] == 1.0
    assert same.drop(("saliency", "input_gradient")).max() < 0.2


def test_undefined_correlations_give_the_reason(model: Model, examples):
    class Constant:
        def __call__(self, trace):
            return torch.ones(trace.batch.input_ids.shape)[:, None]

    class Broken:
        def __call__(self, trace):
            return torch.full(trace.batch.input_ids.shape, torch.nan)[:, None]

    explainers = {"constant": Constant(), "broken": Broken(), "position": Position()}
    with pytest.warns(Notice) as noticed:
        rows = rows_of(list(evaluate(examples, model, explainers, {"blank_out": BlankOut()}, EvaluationProtocol())))
    assert [str(one.message) for one in noticed] == [
        "the explainer constant gives all tokens of an example the same score, in every example of the first batch",
        "the explainer broken gives no finite score to any token of the first batch",
    ]
    short = rows["n_tokens"] < 3
    assert short.any()
    assert set(rows.loc[short, "status"]) == {"fewer than 3 tokens"}
    long = rows[~short].set_index("explainer")
    assert set(long.loc["constant", "status"]) == {"constant scores"}
    assert set(long.loc["broken", "status"]) == {"scores not finite"}
    assert set(long.loc["position", "status"]) == {"ok"}
    assert (rows["rho"].isna() == (rows["status"] != "ok")).all()


def test_a_token_dropped_by_the_reference_is_not_ranked(model: Model, examples):
    dropped = {"blank_out": BlankOut(final_token="drop")}
    rows = rows_of(
        list(evaluate(examples, model, {"position": Position()}, dropped, EvaluationProtocol(include="all")))
    )
    lengths = {example.id: len(example.input_ids) for example in examples}
    assert (rows["n_tokens"] == rows["example"].map(lengths) - 1).all()


def test_a_method_that_fails_is_a_row_that_says_so_and_the_rest_continue(model: Model, examples):
    class Wrong:
        def __call__(self, trace):
            return torch.ones(2, 2)

    class Raising:
        def __call__(self, trace):
            raise ArithmeticError("no such number")

    explainers = {"wrong": Wrong(), "raising": Raising(), "position": Position()}
    rows = rows_of(list(evaluate(examples, model, explainers, REFERENCES, EvaluationProtocol(include="all"))))
    by_explainer = rows.groupby("explainer")
    assert set(by_explainer.get_group("position")["status"]) == {"ok"}
    for name, text in (("wrong", "returned scores of shape (2, 2), expected"), ("raising", "ArithmeticError: no such")):
        failed = by_explainer.get_group(name)
        assert set(failed["status"]) == {"failed"}
        assert failed["error"].str.contains(text, regex=False).all()
        assert failed["rho"].isna().all()
        assert len(failed) == len(examples) * len(REFERENCES)


@dataclass(frozen=True)
class Greedy:
    """Runs out of memory as soon as a batch holds more than the given number of tokens."""

    room: int

    def __call__(self, trace: Trace) -> torch.Tensor:
        if trace.batch.input_ids.numel() > self.room:
            raise torch.OutOfMemoryError("out of memory")
        return Position()(trace)


def test_a_batch_too_large_for_memory_is_split_and_the_run_continues(model: Model, examples: list[Example]):
    explainers = {"greedy": Greedy(60), "position": Position()}
    parts = list(evaluate(examples, model, explainers, {"blank_out": BlankOut()}, EvaluationProtocol(token_budget=100)))
    groups = pack([len(example.input_ids) for example in examples], 100)
    assert {part.number: set(part.examples["example"]) for part in parts} == {
        number: {examples[index].id for index in group} for number, group in enumerate(groups)
    }
    rows = rows_of(parts)
    assert set(rows["status"]) <= {"ok", "constant reference", "constant scores", "fewer than 3 tokens"}
    by_name = {name: cells.set_index("example")["rho"] for name, cells in rows.groupby("explainer")}
    assert by_name["greedy"].equals(by_name["position"])


def test_a_method_that_no_batch_is_small_enough_for_is_a_failed_cell(model: Model, examples: list[Example]):
    explainers = {"greedy": Greedy(1), "position": Position()}
    rows = rows_of(list(evaluate(examples[:3], model, explainers, {"blank_out": BlankOut()}, EvaluationProtocol())))
    assert set(rows.loc[rows["explainer"] == "greedy", "status"]) == {"failed"}
    assert "failed" not in set(rows.loc[rows["explainer"] == "position", "status"])
