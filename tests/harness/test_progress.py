import itertools

import pytest

from harness import progress
from harness.batch import Batch
from harness.contracts import Model
from harness.evaluate import Protocol, evaluate
from methods.explainers.attention import Attention
from methods.references.input_gradient import InputGradient


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds pass between any two looks at the clock, and every report is a line."""
    ticks = itertools.count(0, 10)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(ticks))
    monkeypatch.setattr(progress, "EVERY", 0.0)


@pytest.mark.usefixtures("clock")
def test_on_a_pipe_lines_say_how_far_it_is_and_how_long_it_takes(capsys: pytest.CaptureFixture[str]):
    with progress.bar("explaining", "examples") as report:
        report(0, 40, "flow")
        report(10, 40, "")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["explaining: 0 of 40 examples, 10 s, flow", "explaining: 10 of 40 examples, 20 s, about 60 s left"]


@pytest.mark.usefixtures("clock")
def test_what_was_done_before_does_not_shorten_the_estimate(capsys: pytest.CaptureFixture[str]):
    with progress.bar("explaining", "examples") as report:
        report(30, 50, "")
        report(40, 50, "")
    assert capsys.readouterr().err.splitlines()[-1] == "explaining: 40 of 50 examples, 20 s, about 20 s left"


def test_every_method_is_told_before_its_work_on_a_batch(model: Model, batch: Batch):
    told: list[str] = []
    explainers = {"attention": Attention(), "shown": Attention(heads="max")}
    parts = evaluate(
        batch.examples, model, explainers, {"gradient": InputGradient()}, Protocol(token_budget=60), working=told.append
    )
    count = len(list(parts))
    assert count > 1
    assert told == ["attention", "shown", "gradient"] * count
