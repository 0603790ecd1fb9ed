"""Signals that stop a run, and a scheduler that begins it again."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from harness.cli.errors import Terminated

# Clusters end a job with the first; with the second Slurm says beforehand that it will, as submitit asks it to
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR2") if hasattr(signal, name))


@contextmanager
def stoppable() -> Iterator[None]:
    """Make SIGTERM and SIGUSR2 stop what is inside as Ctrl-C does; further ones are ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_signal: int, _frame: object) -> None:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        raise Terminated

    before = {number: signal.signal(number, stop) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def requeued() -> bool:
    """Whether Slurm began this job before, and put it back into the queue."""
    return int(os.environ.get("SLURM_RESTART_COUNT") or 0) > 0
