"""Grids as Markdown."""

from collections.abc import Sequence

from harness.report.formats.plain import plain_lines
from harness.report.grid import Grid


def markdown(grid: Grid, notes: Sequence[str]) -> str:
    """A grid as a Markdown table; its own notes and then the others follow as a list."""
    rule = ["---" if column.role == "name" else "---:" for column in grid.columns]
    lines = [
        [f"**{text}**" if (number, index) in grid.bold and text else text for index, text in enumerate(line)]
        for number, line in enumerate(plain_lines(grid))
    ]
    table = "\n".join("| " + " | ".join(line) + " |" for line in [grid.headers, rule, *lines])
    return f"### {grid.title}\n\n{table}\n\n" + "\n".join(f"- {note}" for note in [*grid.notes, *notes]) + "\n"
