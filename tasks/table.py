"""Rows of a data set on the hub, or of a local file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets

from tasks import hub
from tasks.local_table import Columns, Literal, plain_columns, read

FORMATS = {".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "dev", "valid", "val"),
    "test": ("test",),
}


def columns(
    path: str | None,
    name: str | None,
    subset: str | None,
    split: str,
    revision: str | None,
    needed: Sequence[str | None],
) -> Columns:
    """The split's columns by name, from a local path or, without one, those `needed` from a data set on the hub."""
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # its errors are reported once, by us
    if path is not None:
        file = split_file(Path(path).expanduser(), split)
        return read(file, _format(file))
    if name is None:
        raise ValueError("no data are named: set task.path=<file or folder> or task.name=<owner/name of a data set>")
    return plain_columns(hub.data(name, subset, split, revision), needed)


def column(rows: Columns, name: str, setting: str, source: str | None) -> list[Any]:
    """One column; where it is missing, a ValueError that lists the columns that exist."""
    if name not in rows.column_names:
        more = "; task.label=null where the data have no labels" if setting == "label" else ""
        raise ValueError(
            f"{source} has no column {name!r}; its columns are {', '.join(rows.column_names)}: "
            f"set task.{setting} to one of them{more}"
        )
    return list(rows[name])


def split_file(path: Path, split: str) -> Path:
    """The file itself, or the file in a folder that is named after the split (`validation` or `dev`, and so on)."""
    if path.is_file():
        _format(path)
        return path
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: expected a file or a folder, found none: set task.path to one that exists")
    files = sorted(file for file in path.iterdir() if _suffix(file) in FORMATS)
    found = [file for file in files if _stem(file) in SPLIT_NAMES.get(split, (split,))]
    if len(found) != 1:
        what = "none" if not found else f"several ({', '.join(file.name for file in found)})"
        raise ValueError(
            f"{path}: expected one file for the {split} split ({' or '.join(SPLIT_NAMES.get(split, (split,)))} with "
            f"the ending {', '.join(FORMATS)}), found {what} among "
            f"{', '.join(file.name for file in files) or 'no tables'}: "
            "set task.split, or task.path to the file itself"
        )
    return found[0]


def _suffix(file: Path) -> str:
    return Path(file.name.removesuffix(".gz")).suffix.lower()


def _stem(file: Path) -> str:
    return Path(file.name.removesuffix(".gz")).stem.lower()


def _format(file: Path) -> str:
    if _suffix(file) not in FORMATS:
        raise ValueError(f"{file}: expected a file that ends in {', '.join(FORMATS)}, or such with .gz after it")
    return FORMATS[_suffix(file)]


def text(value: object, number: int, name: str, source: str | None) -> str:
    """A value of a column of texts; ValueError, with the row's number, for anything else."""
    if isinstance(value, str) and not isinstance(value, Literal):
        return value
    what = "none" if value is None else f"{value!s}" if isinstance(value, Literal) else f"a {type(value).__name__}"
    raise ValueError(
        f"row {number} of {source}, column {name!r}: expected a text, got {what}: correct the row or leave it out; a "
        "number or a date that is meant as text must stand in quotation marks, or in a column of texts"
    )
