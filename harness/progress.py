"""Progress of long work on the terminal, with an estimate; on a pipe, a line now and then."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from harness.contracts import Progress as Report

SCREEN = Console(stderr=True)
EVERY = 15.0  # seconds between lines on a pipe


@contextmanager
def bar(name: str, unit: str) -> Iterator[Report]:
    """A function `(done, total, note)` to call as work goes on; nothing is shown before its first call."""
    if not SCREEN.is_terminal:
        yield _lines(name, unit)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=SCREEN) as shown:
        task = shown.add_task(name, total=None, note="", visible=False)
        yield lambda done, total, note: shown.update(task, completed=done, total=total, note=note, visible=True)


def _lines(name: str, unit: str) -> Report:
    start = last = time.monotonic()
    before = None  # what an earlier run had done says nothing of this one's speed

    def report(done: int, total: int, note: str) -> None:
        nonlocal last, before
        now = time.monotonic()
        before = done if before is None else before
        if now - last < EVERY and done < total:
            return
        last = now
        left = f", about {(now - start) / (done - before) * (total - done):.0f} s left" if done > before else ""
        end = f", {note}" if note else ""
        SCREEN.print(
            f"{name}: {done} of {total} {unit}, {now - start:.0f} s{left}{end}",
            highlight=False,
            soft_wrap=True,
        )

    return report
