"""Rows of a data set on the hub, or of a local CSV, TSV, JSON lines or parquet file, through `datasets`."""

import csv
from pathlib import Path
from typing import Any

import datasets
from datasets.exceptions import DatasetsError

from tasks import hub

FORMATS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "dev", "valid", "val"),
    "test": ("test",),
}


def columns(path: str | None, name: str | None, subset: str | None, split: str, revision: str | None) -> Any:
    """The split's columns by name, from a local path or, without one, from a data set on the hub."""
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # its errors are reported once, by us
    if path is not None:
        return _local(split_file(Path(path).expanduser(), split))
    if name is None:
        raise ValueError("no data are named: set task.path=<file or folder> or task.name=<owner/name of a data set>")
    return hub.data(name, subset, split, revision)


def column(rows: Any, name: str, setting: str, source: str | None) -> list[Any]:
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
        raise ValueError(f"{file}: expected a file that ends in {', '.join(FORMATS)}, or such with .gz behind it")
    return FORMATS[_suffix(file)]


def _local(file: Path) -> datasets.Dataset:
    kind = _format(file)
    options: dict[str, Any] = {}
    if kind == "csv":
        options["keep_default_na"] = False  # a text may be the word "null"
    if _suffix(file) == ".tsv":
        options |= {"sep": "\t", "quoting": csv.QUOTE_NONE}  # tab-separated texts may contain quotation marks
    try:
        with file.open("rb") as stream:
            if not stream.read(1):
                raise ValueError(f"{file} is empty: expected a line with the columns' names, then rows")
        loaded = datasets.load_dataset(kind, data_files=str(file), split="train", **options)
    except DatasetsError as error:
        cause = error.__cause__ or error
        raise ValueError(
            f"{file} cannot be read as {_suffix(file).removeprefix('.')} ({_sentence(cause)}): expected a line with "
            "the columns' names and rows with as many fields each"
        ) from error
    except ValueError as error:
        if "corresponds to no data" not in str(error):  # the message of `datasets` for a table without rows
            raise
        raise ValueError(f"{file} has no rows: expected a line with the columns' names, then rows") from error
    except OSError as error:
        raise OSError(f"{file} cannot be read ({error.strerror or error}): check task.path") from error
    assert isinstance(loaded, datasets.Dataset)
    return loaded


def _sentence(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
