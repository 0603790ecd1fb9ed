"""Files that are written whole or not at all: a reader, or a process killed while writing, never leaves half a file."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

REMAINS = re.compile(r"\..+\.(\d+)")  # a temporary file, and the process that was writing it


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file as a whole."""
    with _whole(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_table(path: Path, table: pd.DataFrame) -> str:
    """Replace a parquet file as a whole; returns a hash of its content."""
    with _whole(path) as temporary:
        table.to_parquet(temporary, index=False)
        return file_digest(temporary)


def file_digest(path: Path) -> str:
    """A hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_remains(folder: Path) -> None:
    """Remove the temporary files in a folder whose writers are dead."""
    for path in folder.glob(".*"):
        match = REMAINS.fullmatch(path.name)
        if match and not _alive(int(match[1])):
            path.unlink(missing_ok=True)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _alive(process: int) -> bool:
    if os.name != "posix":
        return True  # asking about a process would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return process < 2**31
    return True
