"""The Python API on a real checkpoint: its examples run, and its numbers match the command line."""

import doctest
import importlib
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from torch import Tensor

import harness
from methods.explainers.rollout import Rollout
from tests.conftest import shared, smollm2

TEXTS = ["a dull , lifeless film .", "moving and funny", "a gorgeous , witty , seductive movie .", "it never works ."]
MODULES = ["choosing", "evaluation", "loading", "results", "scores"]


@pytest.fixture(scope="module")
def folder() -> str:
    return str(shared("checkpoints", "distilbert-minilm-sst2"))


@pytest.fixture(scope="module")
def model(folder: str) -> harness.Model:
    return harness.load(folder)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_are_correct(name: str, folder: str, model: harness.Model, tmp_path: Path):
    module = importlib.import_module(f"harness.api.{name}")
    saved = harness.evaluate(TEXTS, model, ["random", "rollout"]).save(tmp_path / "run", figures=False)
    given = {
        "harness": harness,
        "SST2": folder,
        "TEXTS": TEXTS,
        "RUN": saved,
        "model": model,
        "trace": harness.trace(TEXTS[:2], model),
    }
    if name == "scores":
        given["SMOLLM2"] = str(smollm2())
    finder, found = doctest.DocTestFinder(exclude_empty=True), 0
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in finder.find(module, globs=given):
        found += len(test.examples)
        runner.run(test)
    assert found
    assert runner.summarize(verbose=False).failed == 0


def test_every_public_function_has_an_example():
    names = [name for name in harness.__all__ if name.islower()]
    assert [name for name in names if ">>> " not in (getattr(harness, name).__doc__ or "")] == []


@dataclass(frozen=True)
class Mine:
    """A user's own explainer."""

    def __call__(self, trace: harness.Trace) -> Tensor:  # [batch, layer, token]
        return trace.read_out(trace.attention.mean(dim=2))


def test_a_custom_explainer_needs_no_file(model: harness.Model):
    results = harness.evaluate(TEXTS, model, explainers=["attention", Mine()], references=["blank_out"])
    means = results.leaderboard().pivot(index="explainer", columns="layer", values="mean")
    assert np.allclose(means.loc["mine"], means.loc["attention"], atol=1e-9)


def test_rho_matches_the_leaderboard(model: harness.Model):
    trace = harness.trace(TEXTS, model)
    rho = harness.rho(Rollout()(trace), harness.reference("blank_out")(trace), trace)  # [batch, layer]
    board = harness.evaluate(TEXTS, model, ["rollout"]).leaderboard()
    assert np.allclose(rho.mean(axis=0), board["mean"], atol=1e-9)


def test_the_numbers_match_the_command_line_to_the_last_digit(assay, tmp_path: Path, folder: str):
    data = str(shared("data", "sst2"))
    given = ["task=sst2", f"task.path={data}", f"model.path={folder}", "limit=12", "threads=1"]
    given += ["explainers=[random,attention,rollout]", "metrics=[violation_ratio]"]
    assert assay(*given, "figures=false")[0] == 0
    for results in (harness.experiment(*given)(), harness.open_run(tmp_path / "run")):
        for table, name in ((results.leaderboard(), "leaderboard"), (results.ranking(), "ranking")):
            assert table.to_csv(index=False) == (tmp_path / "run" / f"{name}.csv").read_text()
    task = harness.task("sst2", path=data)
    other = harness.evaluate(
        task, folder, ["random", "attention", "rollout"], ["blank_out", "input_gradient"], limit=12, threads=1
    ).leaderboard()
    columns = ["measure", "explainer", "layer", "mean", "std", "low", "high", "n"]
    mine = pd.read_csv(tmp_path / "run" / "leaderboard.csv")[columns]
    mine = mine[mine["measure"] != "violation_ratio"].reset_index(drop=True)
    pd.testing.assert_frame_equal(other[columns], mine, check_exact=True)


def test_results_are_saved_and_opened_like_a_run_of_the_command_line(model, tmp_path: Path, assay_report):
    results = harness.evaluate(TEXTS, model, ["random", ("rollout", {"residual": 0.1})], labels=[0, 1, 1, "NEGATIVE"])
    place = results.save(tmp_path / "mine", pictured=1)
    assert (place / "figures" / "row_by_layer_1.svg").is_file()
    again = harness.open_run(place)
    assert again.leaderboard().equals(results.leaderboard())
    assert again.manifest.explainers["rollout"].description.startswith("Rollout(residual=0.1")
    before = (place / "leaderboard.md").read_text()
    assert assay_report(str(place), "--no-figures")[0] == 0
    assert (place / "leaderboard.md").read_text() == before
    assert "the model is correct on 4 of 4 explained examples" in before
    with pytest.raises(ValueError, match="holds a run already: choose another folder"):
        results.save(place)
    assert "rollout" in results._repr_html_()


def test_a_model_in_memory_is_left_unchanged(folder: str):
    module = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with pytest.raises(ValueError, match=r"train mode, .* call model\.eval\(\)"):
        harness.load((module.train(), tokenizer))
    module.eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    loaded = harness.load((module, tokenizer))
    assert loaded.module is module
    assert all(parameter.requires_grad for parameter in module.parameters())
    scores = harness.explain("moving and funny", loaded, "rollout")
    assert np.allclose(scores.values, harness.explain("moving and funny", folder, "rollout").values, atol=1e-6)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not any(parameter.grad is not None for parameter in module.parameters())


def test_no_global_state_stays_changed(model: harness.Model):
    def state() -> tuple:
        import numba

        verbosity = transformers.utils.logging.get_verbosity()
        return torch.get_num_threads(), numba.get_num_threads(), verbosity, list(warnings.filters)

    transformers.utils.logging.set_verbosity_info()
    try:
        before = state()
        harness.explain("moving and funny", model)
        harness.evaluate(TEXTS[:2], model, threads=1)
        harness.experiment("task=sst2", "limit=20")
        assert state() == before
    finally:
        transformers.utils.logging.set_verbosity_warning()


def test_a_heat_map_escapes_the_text(model: harness.Model):
    shown = harness.explain("<b> & 'x'", model, "attention")._repr_html_()
    assert "&lt;" in shown
    assert "&amp;" in shown
    assert "<b>" not in shown
    assert "L6" in shown


def test_small_scores_are_shown_with_their_digits(model: harness.Model):
    scores = harness.explain("a dull film", model, lambda trace: 1e-6 * Rollout()(trace))
    smallest = f"{scores.values.min():.3g}"
    assert "e-0" in smallest
    assert smallest in repr(scores)
    assert f">{smallest}</td>" in scores._repr_html_()


def test_a_text_is_data_whatever_it_contains(model: harness.Model):
    scores = harness.explain("costs ${seed} or [5]", model, "random")
    assert "$" in scores.tokens


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: harness.explainer("rolout"), "explainer is one of .*did you mean rollout"),
        (lambda model: harness.explainer("rollout", residul=0.1), "Rollout: got an unexpected keyword .*'residul'"),
        (lambda model: harness.explain("good", model, target="neutral"), "target is one of .*POSITIVE, got 'neutral'"),
        (
            lambda model: harness.evaluate(["good"], model, ["rollout", Rollout()]),
            "two explainers are called 'rollout'",
        ),
        (
            lambda model: harness.evaluate(["good"], model, labels=[0, 1]),
            "labels are one for each of the 1 texts",
        ),
        (lambda model: harness.evaluate([], model), "no test examples"),
        (lambda model: harness.open_run("/not/there"), "is not a run folder"),
    ],
)
def test_errors_say_what_was_expected(model: harness.Model, call, message: str):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        call(model)


def test_pairs_of_texts_and_tasks_are_traced(model: harness.Model):
    trace = harness.trace([("a dull film", "it drags"), ("funny", "moving")], model)
    assert trace.batch.input_ids.shape[0] == 2
    examples = trace.batch.examples
    again = harness.trace(examples, model)
    assert torch.equal(again.attention, trace.attention)
