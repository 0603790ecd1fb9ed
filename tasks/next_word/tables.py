"""Tables of prompts: one file, or several of a folder by name, local or downloaded."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.download import WEB, local
from tasks.local_table import Columns, read
from tasks.table import FORMATS, column, text


def tables(path: str, subsets: Sequence[str]) -> list[tuple[str, Columns]]:
    """Each table with its name: those of the folder `path`, named with or without `.csv`, or the file `path` alone."""
    if subsets:
        names = [name if _suffix(name) in FORMATS else f"{name}.csv" for name in subsets]
        files = local(path, names)
        if files == [Path(path).expanduser()]:  # one subset, and the path is its file
            names = [files[0].name]
    elif path.startswith(WEB):
        folder, _, name = path.rpartition("/")
        names, files = [name], local(folder, [name])
    else:
        files = [Path(path).expanduser()]
        names = [files[0].name]
        if not files[0].is_file():
            raise FileNotFoundError(
                f"{path}: expected a file that ends in {', '.join(FORMATS)}, found "
                f"{'a folder: name its files with task.subsets=[...]' if files[0].is_dir() else 'none: set task.path'}"
            )
    return [
        (names[index].removesuffix(".gz").removesuffix(_suffix(names[index])), read(file, _format(names[index])))
        for index, file in enumerate(files)
    ]


def _suffix(name: str) -> str:
    return Path(name.removesuffix(".gz")).suffix


def _format(name: str) -> str:
    if _suffix(name) not in FORMATS:
        raise ValueError(f"{name}: expected a file that ends in {', '.join(FORMATS)}, or such with .gz after it")
    return FORMATS[_suffix(name)]


def texts(table: Columns, name: str, setting: str, source: str) -> list[str]:
    """A column of texts; ValueError, with the row's number, for anything else."""
    values = column(table, name, setting, source)
    return [text(value, number, name, source) for number, value in enumerate(values, start=1)]


def phrases(value: Any, number: int, name: str, source: str) -> list[str]:
    """The words in one cell: a text, or a list of them where the file can hold one; none where it is empty."""
    each = value if isinstance(value, list) else [] if value is None or value == "" else [value]
    return [text(one, number, name, source) for one in each]
