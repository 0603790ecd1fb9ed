"""One process at a time in a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from harness.results.files import remove_remains

LOCK = ".lock"  # held by the operating system, so that a process that dies leaves the folder free


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Own a folder, which is created; a process may own it several times over. What dead writers left is removed.

    Raises:
        ValueError: another process owns it.
        OSError: it cannot be written.
    """
    lock = _acquired(folder)
    try:
        for part in (folder, folder / "parts", folder / "figures"):
            remove_remains(part)
        yield
    finally:
        lock.release()


def own_until_the_end(folder: Path) -> None:
    """Own a folder until this process ends; errors as `owned`."""
    _acquired(folder)


def untaken(folder: str) -> str:
    """Create a new folder of this name, or of the same with -2, -3 and so on where it exists; returns its path."""
    for number in count(1):
        path = Path(folder if number == 1 else f"{folder}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise _not_writable(path, error) from error
        return str(path)
    raise AssertionError


def _acquired(folder: Path) -> FileLock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.resolve() / LOCK, timeout=0, is_singleton=True, thread_local=False)
        lock.acquire()
    except Timeout as error:
        raise ValueError(
            f"another process is running in {folder}: wait until it has ended, or choose another folder with "
            "hydra.run.dir=<folder>, of a sweep with hydra.sweep.dir=<folder>"
        ) from error
    except OSError as error:
        raise _not_writable(folder, error) from error
    return lock


def _not_writable(folder: Path, error: OSError) -> OSError:
    return OSError(
        f"the run folder {folder} cannot be written ({error.strerror or error}): choose another with "
        "hydra.run.dir=<folder>, or change its permissions"
    )
