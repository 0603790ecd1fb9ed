"""Files that are written whole or not at all: a reader, or a process killed while writing, never leaves half a file."""

import os
from pathlib import Path

import pandas as pd


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file as a whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    temporary.replace(path)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Replace a parquet file as a whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    table.to_parquet(temporary, index=False)
    temporary.replace(path)
