"""Names that are too wide for a table, shortened in the middle so that each still means one thing."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.cells import cell_len

from harness.report.cells import Cell, Text
from harness.report.formats.plain import plain_lines
from harness.report.formats.screen import printable
from harness.report.grid import Grid

LEAST = 20  # characters that a column of names may always take
BETWEEN = 2  # characters from one column to the next
LEFT_OUT = "…"
WORDS = " _-/"  # between words


def with_short_names(grid: Grid, width: int) -> Grid:
    """A grid of which the columns of names are this wide together, or as little wider as can be."""
    columns = list(zip(*plain_lines(grid), strict=True))[: grid.names]
    widths = [
        max(map(cell_len, [printable(text) for text in (header, *texts)]))
        for header, texts in zip(grid.headers, columns, strict=False)
    ]
    cap = max(LEAST, _cap(widths, width - BETWEEN * len(widths) - 1))
    if cap >= max(widths, default=0):
        return grid
    names = [dict(zip(texts, short_names([printable(text) for text in texts], cap), strict=True)) for texts in columns]
    return replace(grid, lines=[[*map(_renamed, line, names), *line[grid.names :]] for line in grid.lines])


def short_names(texts: Sequence[str], width: int) -> list[str]:
    """Each text, without its middle where it is wider than that; no short name can be read as another of the texts.

    A name is longer than `width` where that takes more characters.
    """
    different = dict.fromkeys(texts)
    short = {text: _short(text, [other for other in different if other != text], width) for text in different}
    return [short[text] for text in texts]


def _short(text: str, others: Sequence[str], width: int) -> str:
    for allowed in range(width, cell_len(text)):
        for head, tail in _ends(text, allowed):
            if not any(
                other.startswith(head) and other.endswith(tail) and len(other) >= len(head) + len(tail)
                for other in others
            ):
                return f"{head}{LEFT_OUT}{tail}"
    return text


def _ends(text: str, width: int) -> Iterator[tuple[str, str]]:
    """What can be kept of both ends: whole words at the end first, then even halves first."""
    starts = sorted(range(2, len(text)), key=lambda start: abs(2 * cell_len(text[start:]) - width + 1))
    for start in sorted(starts, key=lambda start: text[start - 1] not in WORDS):
        room = width - 1 - cell_len(text[start:])
        head = next((text[:end] for end in range(start - 1, 0, -1) if cell_len(text[:end]) <= room), "")
        if head and 3 * cell_len(text[start:]) <= 2 * width:
            yield head, text[start:]


def _cap(widths: Sequence[int], room: int) -> int:
    """The width to which the widest columns have to be reduced so that all fit the room."""
    cap = max(widths, default=0)
    while cap > 1 and sum(min(width, cap) for width in widths) > room:
        cap -= 1
    return cap


def _renamed(cell: Cell, names: dict[str, str]) -> Cell:
    return Text(names[cell.text]) if isinstance(cell, Text) else cell
