"""Grids as LaTeX."""

from collections.abc import Sequence

from harness.report.formats.blocks import page_blocks
from harness.report.formats.plain import plain_lines
from harness.report.formats.screen import printable
from harness.report.grid import Grid

WIDE = 80  # characters of a line from which a LaTeX table is set small
ESCAPED = str.maketrans(
    {
        "_": r"\_",
        "%": r"\%",
        "&": r"\&",
        "#": r"\#",
        "±": r"$\pm$",
        "≡": r"$\equiv$",
        "–": "--",
        "°": r"$^{\circ}$",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "<": "$<$",
        ">": "$>$",
        "|": r"\textbar{}",
        "$": r"\$",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
    }
)


def latex(grid: Grid, notes: Sequence[str]) -> str:
    """A grid as a LaTeX table, or several of some layers each, that need no package except booktabs.

    All notes are above as comments.
    """
    comments = [f"% {printable(line)}\n" for note in [*grid.notes, *notes] for line in note.splitlines()]
    return "".join(comments) + "\n".join(map(_table, page_blocks(grid)))


def _table(grid: Grid) -> str:
    texts = plain_lines(grid)
    wide = max(sum(map(len, line)) + 2 * len(line) for line in [grid.headers, *texts]) > WIDE
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            *([r"\scriptsize", r"\setlength{\tabcolsep}{3pt}"] if wide else []),
            rf"\caption{{{_escaped(grid.title)}.}}",
            rf"\begin{{tabular}}{{{''.join('l' if column.flush_left else 'r' for column in grid.columns)}}}",
            r"\toprule",
            " & ".join(map(_escaped, grid.headers)) + r" \\",
            r"\midrule",
            *_body(grid, texts),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _body(grid: Grid, texts: Sequence[Sequence[str]]) -> list[str]:
    body = []
    for number, line in enumerate(texts):
        cells = [
            rf"\textbf{{{_escaped(text)}}}" if (number, index) in grid.bold and text else _escaped(text)
            for index, text in enumerate(line)
        ]
        body += [r"\midrule"] * (number in grid.rules) + [" & ".join(cells) + r" \\"]
    return body


def _escaped(text: str) -> str:
    return printable(" ".join(text.splitlines())).translate(ESCAPED)
