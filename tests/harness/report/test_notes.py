"""The notes under the tables of a run."""

from pathlib import Path

import pandas as pd

from harness.report.notes import NotedRun, run_notes, shared_notes
from harness.tables import Cost, Costs, Method
from tests.harness.report.run_folders import manifest

EXAMPLES = pd.DataFrame(
    {"example": ["a", "b"], "gold": [0, -1], "predicted": [0, 1], "gradient_sum_over_norm": [0.25, 0.75]}
)
ROWS = pd.DataFrame(
    {"example": ["a", "b"], "kind": "explainer", "explainer": "flow", "measure": "blank_out", "status": "ok"}
).assign(error=None)


def notes(rows: pd.DataFrame = ROWS, **given) -> list[str]:
    return run_notes([NotedRun(Path("run"), manifest(examples=2, **given), EXAMPLES, rows)])


def test_protocol_accuracy_and_gradient_are_reported():
    told = notes(shard="1/2")
    assert told[0].startswith(
        "2 examples (shard 1/2); explained: predicted class, logit; ranked tokens: content; ties: a"
    )
    assert "the model is correct on 1 of 1 explained examples (1.000)" in told
    assert any(note.endswith("median over examples: 5.0e-01") for note in told)


def test_reductions_are_those_that_methods_declare():
    explainers = {"saliency": Method("Saliency(reduce='l2')", "", "l2"), "x": Method("X()", "", "abs_sum")}
    references = {"input_gradient": Method("", "", "l2")}
    told = notes(explainers=explainers, references=references)
    sentence = "numbers per hidden dimension are reduced by l2 (saliency, reference input_gradient), abs_sum (x)"
    assert sentence in told


def test_a_parameter_named_reduce_with_another_meaning_is_not_a_reduction():
    told = notes(explainers={"noise": Method("Noise(reduce='variance')", "", None)})
    assert not [note for note in told if "reduced" in note]


def test_seconds_are_those_of_phases_references_and_metrics():
    """Whatever the explainers are called."""
    costs = Costs(
        {
            ("phase", "correlation"): Cost(0.5),
            ("explainer", "correlation"): Cost(8.0),
            ("explainer", "n"): Cost(8.0),
            ("reference", "blank_out"): Cost(1.5),
            ("metric", "explainer aopc"): Cost(2.5),
        }
    )
    (told,) = [note for note in notes(costs=costs, phases={"data": 0.25}, peak_memory_mib=9) if "seconds" in note]
    assert told == (
        "seconds: data 0.2, correlation 0.5, reference blank_out 1.5, metric explainer aopc 2.5; peak memory 9 MiB"
    )


def test_unfinished_runs_left_out_methods_warnings_and_failures_are_reported():
    failed = ROWS.assign(status=["failed", "ok"], error=["ValueError: no mask", None])
    told = notes(failed, status="stopped", left_out={"globenc": "unknown layers"}, warnings=["rounding"])
    assert "NOT COMPLETE (stopped): 2 of 2 examples" in told
    assert "LEFT OUT globenc: unknown layers" in told
    assert "WARNING rounding" in told
    assert "FAILED flow with blank_out, 1 examples: ValueError: no mask" in told
    several = pd.concat([failed, failed.assign(explainer="rollout")])
    assert "FAILED all explainers with blank_out, 1 examples: ValueError: no mask" in notes(several)


def test_notes_shared_by_several_models_are_printed_once():
    assert shared_notes({"m": ["one", "two"], "n": ["two", "three"]}) == ["m: one", "two", "n: three"]
