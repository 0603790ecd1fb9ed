"""Run folders to files and tables a person reads; the command `assay-report`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from harness.complaint import complain
from harness.grid import Grid, grids
from harness.leaderboard import leaderboard
from harness.run_folder import RunFolder, write_atomically

ACCURACY_BY = "accuracy_by_"


def main() -> None:
    """Run the command line of `assay-report`."""
    parser = argparse.ArgumentParser(
        prog="assay-report", description="Redo the tables of one or several run folders, without the model."
    )
    parser.add_argument("folder", nargs="+", type=Path, help="a run folder, as a run printed it in its last lines")
    parser.add_argument("--out", type=Path, help="where to write leaderboard.md, .tex, .csv; default: the run folder")
    chosen = parser.parse_args()
    if chosen.out is None and len(chosen.folder) > 1:
        parser.error("several run folders make one report: say where to write it with --out FOLDER")
    try:
        out = chosen.out or chosen.folder[0]
        out.mkdir(parents=True, exist_ok=True)
        write(chosen.folder, out)
        show(chosen.folder, out)
    except Exception as error:
        sys.exit(complain(error))


def write(folders: Sequence[Path], out: Path) -> None:
    """Write leaderboard.md, leaderboard.tex and leaderboard.csv."""
    boards, tables = [], []
    for folder in map(RunFolder, folders):
        board = leaderboard(folder.table("rows"))
        boards.append(board)
        tables += [(grid, notes(folder)) for grid in grids(board, folder.manifest["seconds"])]
    pd.concat(boards, ignore_index=True).to_csv(out / "leaderboard.csv", index=False)
    write_atomically(out / "leaderboard.md", "\n".join(markdown(grid, foot) for grid, foot in tables))
    write_atomically(out / "leaderboard.tex", "\n".join(latex(grid, foot) for grid, foot in tables))


def show(folders: Sequence[Path], out: Path | None = None) -> None:
    """Print one table per reference, and where the files are."""
    screen = Console()
    if not screen.is_terminal:
        screen = Console(width=200)  # a pipe has no width: never fold a table there
    for folder in map(RunFolder, folders):
        for grid in grids(leaderboard(folder.table("rows")), folder.manifest["seconds"]):
            for table in drawn(grid, screen.width):
                screen.print(table)
            for note in grid.notes:
                screen.print(note, highlight=False, markup=False)
            screen.print()
        for note in notes(folder):
            screen.print(note, highlight=False, markup=False, soft_wrap=True)
    place = out or folders[0]
    screen.print(
        f"\nfiles     {place}: leaderboard.md, leaderboard.tex, leaderboard.csv"
        + (", rows.parquet, scores.parquet, examples.parquet, manifest.json" if len(folders) == 1 else ""),
        f"\ntry next  assay 'explainers=[random,attention,flow]' limit=200   assay --help   assay-report {place}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def drawn(grid: Grid, width: int) -> list[Table]:
    """A grid for the terminal: where room is short, deviations go under the means and counts into a second table."""
    every = list(range(len(grid.columns)))
    counts = [index for index in every if grid.columns[index] in ("n", "undefined", "failed", "seconds")]
    means = [index for index in every if index not in counts]
    for parts, between in (([every], " ± "), ([every], "\n±"), ([means, [0, *counts]], "\n±")):
        tables = [_table(grid, part, between) for part in parts]
        if all(Console(width=1000).measure(table).maximum <= width for table in tables):
            break
    tables[0].title = grid.title
    return tables


def _table(grid: Grid, columns: Sequence[int], between: str) -> Table:
    table = Table(title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for index in columns:
        table.add_column(grid.columns[index], justify="right" if index else "left", no_wrap=True)
    for line in grid.lines:
        table.add_row(*(line[index].replace(" ± ", between) for index in columns))
    return table


def notes(folder: RunFolder) -> list[str]:
    """What stands under a run's tables: protocol, accuracy, warnings, errors, cost."""
    manifest = folder.manifest
    config, facts = manifest["config"], manifest["facts"]
    lines = [
        f"{manifest['examples']} examples; explained: {config['target']} class, {config['output']}; ranked tokens: "
        f"{config['include']}; ties: {config['ranks']} ranks; ± is the standard deviation over examples; "
        "n counts defined correlations"
    ]
    if manifest["status"] != "complete":
        explained = folder.table("examples")["example"].nunique()
        lines.append(f"NOT COMPLETE ({manifest['status']}): {explained} of {manifest['examples']} examples")
    if "accuracy" in facts:
        lines.append(f"model accuracy on the task's test part: {facts['accuracy']:.3f}{_groups(facts)}")
    left = folder.table("examples")["gradient_sum_over_norm"].median()
    lines.append(f"gradient at the input: |sum| / norm over hidden dimensions, median: {left:.1e}")
    lines += [f"WARNING {warning}" for warning in manifest.get("warnings", [])]
    rows: Any = folder.table("rows")
    for error, cells in rows[rows["status"] == "failed"].groupby("error", sort=False):
        who = " with ".join(
            _named(cells[kind].unique(), rows[kind].unique(), kind) for kind in ("explainer", "reference")
        )
        lines.append(f"FAILED {who}, {cells['example'].nunique()} examples: {error}")
    seconds: dict[str, float] = manifest["seconds"]
    phases = {name.removeprefix("phase "): spent for name, spent in seconds.items() if "explainer " not in name}
    cost = ", ".join(f"{name} {value:.1f}" for name, value in phases.items())
    memory = f"; peak memory {manifest['peak_memory_mib']} MiB" if "peak_memory_mib" in manifest else ""
    return [*lines, f"seconds: {cost}{memory}"]


def _named(some: Sequence[str], every: Sequence[str], kind: str) -> str:
    return f"all {kind}s" if 1 < len(every) == len(some) else ", ".join(some)


def _groups(facts: dict[str, Any]) -> str:
    texts = []
    for key in facts:
        if key.startswith(ACCURACY_BY):
            cells = ", ".join(f"{name}: {group['accuracy']:.3f} (n {group['n']})" for name, group in facts[key].items())
            texts.append(f"; by {key.removeprefix(ACCURACY_BY)} {cells}")
    return "".join(texts)


def markdown(grid: Grid, foot: Sequence[str]) -> str:
    """A grid as a Markdown table."""
    lines = [grid.columns, ["---"] + ["---:"] * (len(grid.columns) - 1), *grid.lines]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"### {grid.title}\n\n{table}\n\n" + "\n".join(f"- {note}" for note in [*grid.notes, *foot]) + "\n"


def latex(grid: Grid, foot: Sequence[str]) -> str:
    """A grid as a LaTeX table that needs the package booktabs alone."""
    body = [" & ".join(map(_tex, line)) + r" \\" for line in grid.lines]
    comments = [f"% {note}" for note in [*grid.notes, *foot]]
    return "\n".join(
        [
            *comments,
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_tex(grid.title)}.}}",
            rf"\begin{{tabular}}{{l{'r' * (len(grid.columns) - 1)}}}",
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


def _tex(text: str) -> str:
    replaced = {"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "±": r"$\pm$", "≡": r"$\equiv$", "–": "--"}
    return "".join(replaced.get(character, character) for character in text)


if __name__ == "__main__":
    main()
