"""Grids as Markdown."""

import re
from collections.abc import Sequence

from harness.report.formats.blocks import page_blocks
from harness.report.formats.plain import plain_lines
from harness.report.formats.screen import printable
from harness.report.grid import Grid

TAG = re.compile(r"<(?=[A-Za-z/!?])")


def markdown(grid: Grid, notes: Sequence[str]) -> str:
    """A grid as a Markdown table, or several of some layers each; its own and the other notes follow as a list."""
    tables = "\n\n".join(map(_table, page_blocks(grid)))
    listed = "\n".join(f"- {_text(note)}" for note in [*grid.notes, *notes])
    return f"### {_text(grid.title)}\n\n{tables}\n\n{listed}\n"


def markdown_answer(title: str, sentences: Sequence[str]) -> str:
    """A few sentences as a list under a heading."""
    return "\n".join([f"## {_text(title)}", "", *(f"- {_text(sentence)}" for sentence in sentences), ""])


def _table(grid: Grid) -> str:
    rule = ["---" if column.flush_left else "---:" for column in grid.columns]
    lines = [
        [
            f"**{text}**" if (number, index) in grid.bold and text else text
            for index, text in enumerate(map(_cell, line))
        ]
        for number, line in enumerate(plain_lines(grid))
    ]
    headers = [_cell(header) for header in grid.headers]
    return "\n".join("| " + " | ".join(line) + " |" for line in [headers, rule, *lines])


def _cell(text: str) -> str:
    """A text that ends no cell."""
    return _text(text).replace("|", r"\|")


def _text(text: str) -> str:
    """A text in one line, without HTML, which Markdown would pass on."""
    return TAG.sub("&lt;", printable(" ".join(text.splitlines())))
