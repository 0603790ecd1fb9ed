import threading
import time

import pytest
from rich.console import Console

from harness.cli import progress
from harness.contracts import Model
from harness.measure.evaluate import evaluate_batches
from harness.measure.protocol import EvaluationProtocol
from harness.tracing.batch import Batch
from methods.explainers.attention import Attention
from methods.references.input_gradient import InputGradient


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.now = 0.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


def test_a_line_shows_progress_the_current_method_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    clock = Clock(monkeypatch)
    lines = progress.Account("explaining", "examples")
    lines.show()
    for now, done, note in ((2, 0, "flow"), (10, 0, "lime"), (100, 10, "flow"), (130, 10, "lime"), (400, 10, "lime")):
        clock.now = now
        lines.report(done, 40, note)
        clock.now += 1
        lines.show()
    assert capsys.readouterr().err.splitlines() == [
        "explaining: 0 of 40 examples, 3 s, flow",
        "explaining: 0 of 40 examples, 11 s, lime",
        "explaining: 10 of 40 examples, 101 s, about 299 s left, flow",
        "explaining: 10 of 40 examples, 131 s, about 269 s left, lime",  # the second ten are in progress
        "explaining: 10 of 40 examples, 401 s, about 0 s left, lime",
    ]


def test_work_done_earlier_does_not_shorten_the_estimate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    clock = Clock(monkeypatch)
    lines = progress.Account("explaining", "examples")
    lines.report(30, 50, "")
    lines.show()
    clock.now = 20
    lines.report(40, 50, "")
    lines.show()
    assert capsys.readouterr().err.splitlines() == [
        "explaining: 30 of 50 examples, 0 s",
        "explaining: 40 of 50 examples, 20 s, about 20 s left",
    ]


def test_on_a_pipe_lines_are_printed_while_one_method_works_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(progress, "EVERY", 0.02)
    threads = threading.active_count()
    with progress.bar("explaining", "examples") as report:
        report(0, 40, "lime")
        time.sleep(0.3)
        report(40, 40, "")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 3
    assert lines[0].startswith("explaining: 0 of 40 examples, 0 s, lime")
    assert lines[-1].startswith("explaining: 40 of 40 examples")
    assert threading.active_count() == threads


def test_failed_work_leaves_no_thread_and_no_last_line(capsys: pytest.CaptureFixture[str]):
    threads = threading.active_count()

    def stopped() -> None:
        with progress.bar("explaining", "examples") as report:
            report(40, 40, "")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert threading.active_count() == threads
    assert not capsys.readouterr().err


def test_every_method_is_announced_before_it_works_on_a_batch(model: Model, batch: Batch):
    told: list[tuple[str, float]] = []
    explainers = {"attention": Attention(), "shown": Attention(heads="max")}
    parts = evaluate_batches(
        batch.examples,
        model,
        explainers,
        {"gradient": InputGradient()},
        EvaluationProtocol(token_budget=60),
        working=lambda method, share: told.append((method, share)),
    )
    count = len(list(parts))
    assert count > 1
    assert [method for method, _ in told] == ["attention", "shown", "gradient"] * count
    shares = [share for _, share in told]
    assert shares[0] == 0
    assert all(0 < share < 1 for share in shares[1:])


def test_something_uncounted_is_shown_on_a_terminal_and_not_on_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    with progress.busy("loading"):
        pass
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "SCREEN", Console(stderr=True, force_terminal=True))
    with progress.busy("loading"):
        pass
    assert "loading" in capsys.readouterr().err
