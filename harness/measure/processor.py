"""Processor threads, and the settings of other libraries that a measurement changes for as long as it runs."""

import ctypes
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numba
import torch
import transformers
from threadpoolctl import threadpool_limits


def cores() -> int:
    """The processor cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # Linux alone
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


def release_memory() -> None:
    """Give freed memory back to the system: glibc keeps it, and a run's peak is then the sum of its methods' peaks."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone
        if trim is not None:
            trim(0)


@contextmanager
def settings(threads: int | None) -> Iterator[None]:
    """The given number of threads for torch and numba (None: all cores), quiet libraries; all undone at the end."""
    wanted = threads or cores()
    before = torch.get_num_threads(), numba.get_num_threads(), transformers.utils.logging.get_verbosity()
    bars = transformers.utils.logging.is_progress_bar_enabled()
    torch.set_num_threads(wanted)
    numba.set_num_threads(min(wanted, numba.config.NUMBA_NUM_THREADS))  # pyright: ignore
    transformers.utils.logging.set_verbosity_error()
    try:
        # numpy's and scipy's matrices are small here, and waiting threads would occupy a core
        with threadpool_limits(1, "blas"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Captum, transformers and torch warn about what a user cannot change
            yield
    finally:
        torch.set_num_threads(before[0])
        numba.set_num_threads(before[1])
        transformers.utils.logging.set_verbosity(before[2])
        if bars:
            transformers.utils.logging.enable_progress_bar()
