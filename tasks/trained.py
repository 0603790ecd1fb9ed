"""Models that are trained here once and kept: one folder each in the cache, written by one process at a time."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from harness.contracts import Progress
from tasks import cache


def trained_folder(key: str, train: Callable[[Path], None], progress: Progress) -> Path:
    """The folder of the model `key`; where there is none, `train` fills it, and a second process waits for the first.

    Raises:
        OSError: the cache cannot be written.
    """
    folder = cache.folder("models") / key
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"the model cache {folder.parent} cannot be written ({error.strerror}): "
            "set the environment variable ASSAY_CACHE to a folder that can"
        ) from error
    lock = FileLock(folder.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress(0, 1, "waiting for another process, which trains this model")
        lock.acquire()
    with lock:
        lock.release()  # once less: it is held by `with`
        if not folder.is_dir():
            temporary = folder.with_suffix(f".{os.getpid()}")
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            try:
                train(temporary)
                temporary.replace(folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    return folder


@contextmanager
def seeded(seed: int, threads: int | None) -> Iterator[None]:
    """Random state and processor threads of a training; both are as before afterwards. None leaves the threads."""
    before = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads or before)
        try:
            yield
        finally:
            torch.set_num_threads(before)
