"""Grids as Markdown, as LaTeX, and as tables for the terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.report.grid import COUNTS, Grid

WIDE = 80  # characters of a line from which a LaTeX table is set small


def drawn(grid: Grid, width: int) -> list[Table]:
    """A grid for the terminal: where room is short, deviations go under the means and counts into a second table."""
    every = list(range(len(grid.columns)))
    counts = [index for index in every if grid.columns[index] in COUNTS]
    means = [index for index in every if index not in counts]
    for parts, between in (([every], " ± "), ([every], "\n±"), ([means, [*every[: grid.names], *counts]], "\n±")):
        tables = [_table(grid, part, between) for part in parts]
        if all(Console(width=1000).measure(table).maximum <= width for table in tables):
            break
    tables[0].title = escape(grid.title)
    return tables


def _table(grid: Grid, columns: Sequence[int], between: str) -> Table:
    table = Table(title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for index in columns:
        table.add_column(grid.columns[index], justify="left" if index < grid.names else "right", no_wrap=True)
    for number, line in enumerate(grid.lines):
        texts = [escape(line[index]).replace(" ± ", between) for index in columns]
        strong = [
            f"[bold]{text}[/bold]" if (number, index) in grid.bold and text else text
            for index, text in zip(columns, texts, strict=True)
        ]
        table.add_row(*strong, end_section=number + 1 in grid.rules)
    return table


def markdown(grid: Grid, foot: Sequence[str]) -> str:
    """A grid as a Markdown table."""
    rule = ["---"] * grid.names + ["---:"] * (len(grid.columns) - grid.names)
    lines = [
        [f"**{text}**" if (number, index) in grid.bold and text else text for index, text in enumerate(line)]
        for number, line in enumerate(grid.lines)
    ]
    table = "\n".join("| " + " | ".join(line) + " |" for line in [grid.columns, rule, *lines])
    return f"### {grid.title}\n\n{table}\n\n" + "\n".join(f"- {note}" for note in [*grid.notes, *foot]) + "\n"


def latex(grid: Grid, foot: Sequence[str]) -> str:
    """A grid as a LaTeX table that needs the package booktabs alone."""
    body = []
    for number, line in enumerate(grid.lines):
        texts = [
            rf"\textbf{{{_tex(text)}}}" if (number, index) in grid.bold and text else _tex(text)
            for index, text in enumerate(line)
        ]
        body += [r"\midrule"] * (number in grid.rules) + [" & ".join(texts) + r" \\"]
    comments = [f"% {line}" for note in [*grid.notes, *foot] for line in note.splitlines()]
    return "\n".join(
        [
            *comments,
            r"\begin{table}",
            r"\centering",
            *([r"\scriptsize", r"\setlength{\tabcolsep}{3pt}"] if _width(grid) > WIDE else []),
            rf"\caption{{{_tex(grid.title)}.}}",
            rf"\begin{{tabular}}{{{'l' * grid.names}{'r' * (len(grid.columns) - grid.names)}}}",
            r"\toprule",
            " & ".join(map(_tex, grid.columns)) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _width(grid: Grid) -> int:
    """Characters in the widest line."""
    return max(sum(map(len, line)) + 2 * len(line) for line in [grid.columns, *grid.lines])


def _tex(text: str) -> str:
    replaced = {
        "_": r"\_",
        "%": r"\%",
        "&": r"\&",
        "#": r"\#",
        "±": r"$\pm$",
        "≡": r"$\equiv$",
        "–": "--",
        "°": r"$^{\circ}$",
    }
    replaced |= {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "<": "$<$", ">": "$>$", "|": r"\textbar{}"}
    replaced |= {"$": r"\$", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    replaced |= {"\\": r"\textbackslash{}"}
    return "".join(replaced.get(character, character) for character in text)
