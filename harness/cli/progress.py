"""Progress of long work on the terminal, with an estimate of the time left; on a pipe, a line now and then."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from harness.contracts import Progress as Report
from harness.report.formats.screen import Screen, printable

SCREEN = Screen(stderr=True)
EVERY = 15.0  # seconds between lines on a pipe


@contextmanager
def bar(name: str, unit: str) -> Iterator[Report]:
    """A function `(done, total, note)` to call as the work proceeds; nothing is shown before the first call."""
    if not SCREEN.is_terminal:
        with _lines(name, unit) as report:
            yield report
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=SCREEN) as shown:
        task = shown.add_task(name, total=None, note="", visible=False)

        def update(done: int, total: int, note: str) -> None:
            shown.update(task, completed=done, total=total, note=printable(note), visible=True)

        yield update


@contextmanager
def busy(text: str) -> Iterator[None]:
    """A spinner on a terminal while something short goes on that cannot be counted."""
    if not SCREEN.is_terminal:
        yield
        return
    with SCREEN.status(text):
        yield


@contextmanager
def _lines(name: str, unit: str) -> Iterator[Report]:
    """A line every `EVERY` seconds, whether or not anything was reported, and one at the end."""
    state, over = Account(name, unit), Event()

    def watch() -> None:
        while not over.wait(EVERY):
            state.show()

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield state.report
    finally:
        over.set()
        watcher.join()
    if state.done == state.total:
        state.show()


class Account:
    """How far a piece of work has come, in words."""

    def __init__(self, name: str, unit: str):
        self.name, self.unit, self.total, self.note = name, unit, 0, ""
        self.done: int | None = None  # nothing has been reported yet
        self.start = time.monotonic()

    def report(self, done: int, total: int, note: str) -> None:
        """Note how far it has come."""
        if self.done is None:
            self.before = done  # what an earlier run did says nothing about the speed of this one
        if self.done is None or done > self.done:
            self.when = time.monotonic()
        self.done, self.total, self.note = done, total, note

    def show(self) -> None:
        """Print the line, if anything has been reported."""
        if self.done is None:
            return
        now, left = time.monotonic(), ""
        if self.done > self.before:
            # the work since `when` belongs to a step that is not done yet
            seconds = (self.when - self.start) / (self.done - self.before) * (self.total - self.done)
            left = f", about {max(0.0, seconds - (now - self.when)):.0f} s left"
        end = f", {self.note}" if self.note else ""
        SCREEN.print(
            f"{self.name}: {self.done} of {self.total} {self.unit}, {now - self.start:.0f} s{left}{end}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
