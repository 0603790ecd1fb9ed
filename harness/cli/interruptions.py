"""Signals that stop a run."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from harness.cli.errors import Terminated


@contextmanager
def stoppable() -> Iterator[None]:
    """Make SIGTERM, with which clusters end a job, stop what is inside as Ctrl-C does; further ones are ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
