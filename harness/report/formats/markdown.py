"""Grids as Markdown."""

import re
from collections.abc import Sequence

from harness.report.formats.plain import plain_lines
from harness.report.formats.screen import printable
from harness.report.grid import Grid

TAG = re.compile(r"<(?=[A-Za-z/!?])")


def markdown(grid: Grid, notes: Sequence[str]) -> str:
    """A grid as a Markdown table; its own notes and then the others follow as a list."""
    rule = ["---" if column.role == "name" else "---:" for column in grid.columns]
    lines = [
        [
            f"**{text}**" if (number, index) in grid.bold and text else text
            for index, text in enumerate(map(_cell, line))
        ]
        for number, line in enumerate(plain_lines(grid))
    ]
    headers = [_cell(header) for header in grid.headers]
    table = "\n".join("| " + " | ".join(line) + " |" for line in [headers, rule, *lines])
    listed = "\n".join(f"- {_text(note)}" for note in [*grid.notes, *notes])
    return f"### {_text(grid.title)}\n\n{table}\n\n{listed}\n"


def _cell(text: str) -> str:
    """A text that ends no cell."""
    return _text(text).replace("|", r"\|")


def _text(text: str) -> str:
    """A text in one line, without HTML, which Markdown would pass on."""
    return TAG.sub("&lt;", printable(" ".join(text.splitlines())))
