"""Rows of a local CSV, TSV, JSON lines or parquet file, letter for letter as they stand in it."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

csv.field_size_limit(2**31 - 1)  # a text may be long


class Literal(str):
    """A value that is no text: a number or a truth value, as the file writes it."""


@dataclass(frozen=True)
class Columns:
    """A table's columns by name. Values are texts, `Literal`, None where one is missing, or anything else unread."""

    values: Mapping[str, Sequence[Any]]

    @property
    def column_names(self) -> list[str]:
        """Their names, in order."""
        return list(self.values)

    def __getitem__(self, name: str) -> Sequence[Any]:
        return self.values[name]


def read(file: Path, kind: str) -> Columns:
    """The columns of a file that is `csv`, `tsv`, `json` or `parquet`, perhaps compressed.

    Raises:
        ValueError: it cannot be read; which row is to blame, and what to do.
        OSError: it cannot be opened.
    """
    try:
        content = file.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{file} is no whole gzip file ({error}): copy or download it again") from error
    except OSError as error:
        raise OSError(f"{file} cannot be read ({error.strerror or error}): check task.path") from error
    if not content.strip():
        raise ValueError(f"{file} is empty: expected a line with the columns' names, then rows")
    columns = _parquet(file, content) if kind == "parquet" else _text(file, kind, content)
    if not columns.values or not len(next(iter(columns.values.values()))):
        raise ValueError(f"{file} has no rows: expected a line with the columns' names, then rows")
    return columns


def _text(file: Path, kind: str, content: bytes) -> Columns:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{file}, line {line}: its text is not UTF-8 ({error.reason}): save it as UTF-8") from error
    if kind == "json":
        return _json(file, text)
    if kind == "csv":
        return _by_name(file, kind, _records(text, ",", quoted=True))
    try:  # a tab-separated text may be quoted, as spreadsheets do, or hold quotation marks that mean themselves
        quoted = list(_records(text, "\t", quoted=True))
    except csv.Error:
        quoted = []
    if quoted and _was_quoted(text, quoted):
        return _by_name(file, kind, iter(quoted))
    return _by_name(file, kind, _records(text, "\t", quoted=False))


def _records(text: str, delimiter: str, quoted: bool) -> Iterator[tuple[int, list[str]]]:
    """Each record's last line, from 1, and its fields."""
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    for fields in reader:
        yield reader.line_num, fields


def _was_quoted(text: str, records: Sequence[tuple[int, list[str]]]) -> bool:
    """Whether a file was written with quotes: it reads whole with them, and some field could not stand without.

    That is a field with a tab, a line break or a doubled quotation mark, or a column with all its fields in quotes.
    """
    widths = {len(fields) for _, fields in records if fields}
    if '"' not in text or len(widths) != 1:
        return False
    if any(mark in field for _, fields in records for field in fields for mark in "\t\n\r"):
        return True
    literal = list(_records(text, "\t", quoted=False))
    if len(literal) != len(records):
        return False
    body = [fields for _, fields in literal[1:] if fields]
    doubled = any(
        len(field) > 1 and field[0] == field[-1] == '"' and '""' in field[1:-1] for row in body for field in row
    )
    return doubled or any(
        all(len(field) > 1 and field[0] == field[-1] == '"' for field in column) for column in zip(*body, strict=True)
    )


def _by_name(file: Path, kind: str, records: Iterator[tuple[int, list[str]]]) -> Columns:
    rows: list[tuple[int, list[str]]] = []
    try:
        rows.extend(records)
    except csv.Error as error:
        raise ValueError(
            f"{file} cannot be read as {kind} (row {len(rows)}: {error}): quote fields that hold a comma, a quotation "
            "mark or a line break, and double the quotation marks in them"
        ) from error
    while len(rows) > 1 and not rows[-1][1]:
        rows.pop()
    (_, names), *body = rows
    if len({*names}) < len(names):
        raise ValueError(f"{file} has two columns of the same name, {', '.join(names)}: rename one")
    for number, (line, fields) in enumerate(body, start=1):
        if len(fields) != len(names):
            raise ValueError(
                f"{file} cannot be read as {kind} (row {number}, line {line}): expected {len(names)} fields, as in the "
                f"first line ({', '.join(names)}), got {len(fields)}: quote fields that hold a "
                f"{'comma' if kind == 'csv' else 'tab'} or a line break"
            )
    return Columns({name: [fields[index] for _, fields in body] for index, name in enumerate(names)})


def _json(file: Path, text: str) -> Columns:
    options: dict[str, Any] = {"parse_int": Literal, "parse_float": Literal, "parse_constant": lambda _name: None}
    rows: list[Any] = []
    at = 0
    try:
        if text.lstrip().startswith("["):
            rows = json.loads(text, **options)
        else:
            for at, line in enumerate(text.split("\n"), start=1):  # noqa: B007  an error names it
                if line.strip():
                    rows.append(json.loads(line, **options))
    except ValueError as error:
        where = f"line {at}: " if at else ""
        raise ValueError(
            f"{file} cannot be read as json ({where}{error}): write one object a line, or a list of objects"
        ) from error
    names: dict[str, None] = {}
    for count, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise ValueError(f"{file}, row {count}: expected an object with the columns' names, got {row!r:.60}")
        names |= dict.fromkeys(row)
    return Columns({name: [_plain(row.get(name)) for row in rows] for name in names})


def _parquet(file: Path, content: bytes) -> Columns:
    try:
        table = pq.ParquetFile(io.BytesIO(content)).read()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"{file} cannot be read as parquet ({str(error).strip().partition(chr(10))[0]}): copy or write it again"
        ) from error
    if len({*table.column_names}) < len(table.column_names):
        raise ValueError(f"{file} has two columns of the same name, {', '.join(table.column_names)}: rename one")
    return Columns({name: [_plain(value) for value in table[name].to_pylist()] for name in table.column_names})


def _plain(value: object) -> object:
    """A number or truth value as a `Literal`; None for a number that is none."""
    if isinstance(value, bool):
        return Literal("true" if value else "false")
    if isinstance(value, int | float):
        return None if value != value else Literal(repr(value))
    return value


def plain_columns(rows: Any, names: Sequence[str | None]) -> Columns:
    """The named columns of a data set of the hub; the others stay unread, as they may hold pictures or sound."""
    return Columns(
        {name: [_plain(value) for value in rows[name]] if name in names else () for name in rows.column_names}
    )
