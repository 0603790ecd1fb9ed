"""Parallel text: sentences with their translations, perhaps with gold alignments, from two text files or one table."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.statistics.alignment import Gold
from tasks.alignments import check_words, parsed_links
from tasks.local_table import Literal
from tasks.next_word.tables import tables, texts
from tasks.table import column


@dataclass(frozen=True)
class SentencePair:
    """A sentence and its translation; words stand between white space. `links` is None where they are not known."""

    source: str
    target: str
    links: Gold | None = None


def from_files(source: str, target: str, alignment: str | None, counted_from: int) -> list[SentencePair]:
    """The pairs of two text files with a sentence a line; `alignment` is a file of links in Moses form, `0-0 1-2 2p3`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line is empty, the files have different numbers of lines, or a link is wrong.
    """
    sides = [_sentences(file, setting) for file, setting in ((source, "source"), (target, "target"))]
    if len(sides[0]) != len(sides[1]):
        raise ValueError(
            f"{source} has {len(sides[0])} lines and {target} has {len(sides[1])}: expected a translation for each "
            "sentence, on the line with the same number"
        )
    links = None if alignment is None else _lines(alignment, "alignment")
    return _paired(sides[0], sides[1], links, counted_from, alignment or "")


def from_table(path: str, source: str, target: str, alignment: str | None, counted_from: int) -> list[SentencePair]:
    """The pairs of a CSV, TSV, JSON lines or parquet file with these columns; errors as `from_files`."""
    ((name, table),) = tables(path, ())
    sides = [texts(table, one, setting, name) for one, setting in ((source, "source"), (target, "target"))]
    for setting, side in zip((source, target), sides, strict=True):
        _check_filled(side, f"{path}, column {setting!r}, row")
    if alignment is None:
        return _paired(sides[0], sides[1], None, counted_from, path)
    cells = column(table, alignment, "alignment", name)
    links: list[str | None] = []
    for number, cell in enumerate(cells, start=1):
        if cell is not None and (not isinstance(cell, str) or isinstance(cell, Literal)):
            raise ValueError(
                f"row {number} of {path}, column {alignment!r}: expected links such as '0-0 1-2', got {cell!r}"
            )
        links.append(cell)
    return _paired(sides[0], sides[1], links, counted_from, f"{path}, column {alignment!r}")


def _paired(
    source: Sequence[str], target: Sequence[str], links: Sequence[str | None] | None, counted_from: int, where: str
) -> list[SentencePair]:
    if links is None:
        return [SentencePair(*pair) for pair in zip(source, target, strict=True)]
    gold = [
        None if line is None else parsed_links(line, counted_from, where=f"{where}, line {number}")
        for number, line in enumerate(links, start=1)
    ]
    lengths = [(len(one.split()), len(other.split())) for one, other in zip(source, target, strict=True)]
    check_words([Gold(frozenset()) if one is None else one for one in gold], lengths, where)
    return [SentencePair(*pair) for pair in zip(source, target, gold, strict=True)]


def _sentences(file: str, setting: str) -> list[str]:
    found = _lines(file, setting)
    _check_filled(found, f"{file}, line")
    return found


def _check_filled(found: Sequence[str], where: str) -> None:
    for number, text in enumerate(found, start=1):
        if not text.strip():
            raise ValueError(f"{where} {number}: expected a sentence, found none: leave the pair out on both sides")


def _lines(file: str, setting: str) -> list[str]:
    """The lines without their ends; an empty last one is the end of the file."""
    path = Path(file).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"{file}: expected a text file with a line for each sentence, found "
            f"{'a folder' if path.is_dir() else 'none'}: set task.{setting}, or task.path for a table"
        )
    lines: list[str] = []
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    # not splitlines(), which would also split at characters inside a text
    for number, line in enumerate(content.removesuffix(b"\n").split(b"\n"), start=1):
        try:
            lines.append(line.decode().removesuffix("\r"))
        except UnicodeDecodeError as error:
            raise ValueError(f"{file}, line {number}: its text is not UTF-8 ({error.reason}): save it so") from error
    return lines
