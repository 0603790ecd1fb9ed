"""Run folders to files and tables a person reads; the command `assay-report`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.complaint import complain
from harness.grid import COUNTS, Grid, grids, merged_grids, referent_grid
from harness.leaderboard import leaderboard
from harness.merged import Merged, found, merge
from harness.notes import notes, shared
from harness.referents import referent_agreement, referent_rows
from harness.run_folder import RunFolder, write_atomically


def main() -> None:
    """Run the command line of `assay-report`."""
    parser = argparse.ArgumentParser(
        prog="assay-report",
        description="Redo, without the model, the tables of run folders or the one leaderboard of a sweep.",
    )
    parser.add_argument(
        "folder", nargs="+", type=Path, help="the folder of a run or of a sweep, as it was printed in the last lines"
    )
    parser.add_argument("--out", type=Path, help="where to write leaderboard.md, .tex, .csv; default: the folder")
    chosen = parser.parse_args()
    if chosen.out is None and len(chosen.folder) > 1:
        parser.error("several folders make one report: say where to write it with --out FOLDER")
    try:
        out = chosen.out or chosen.folder[0]
        if is_merged(chosen.folder):
            sweep(chosen.folder, out)
        else:
            runs(chosen.folder, out)
    except Exception as error:
        sys.exit(complain(error))


def is_merged(folders: Sequence[Path]) -> bool:
    """Whether folders make one leaderboard: a folder of runs, or several of which one is a shard."""
    runs = [RunFolder(folder) for folder in folders]
    if not all(run.holds_a_run for run in runs):
        return True
    return len(runs) > 1 and any(run.manifest.get("shard") for run in runs)


def sweep(folders: Sequence[Path], out: Path) -> Merged:
    """Write and show the one leaderboard of all runs in the folders."""
    merged = merge(found(folders))
    board = [] if merged.board is None else [merged.board.assign(status="ok", error="")]
    if merged.lost:
        board.append(
            pd.DataFrame(
                {"task": one.task, "model": one.model, "seed": str(one.seed), "n": 0, "status": one.status}
                | {"error": one.error, "shard": one.shard}
                for one in merged.lost
            )
        )
    whole = ["head", "layer", "n", "undefined", "failed"]
    table = pd.concat(board, ignore_index=True)
    table = table.astype({name: "Int64" for name in whole if name in table})
    feet = {}
    for task in [] if merged.board is None else merged.board["task"].unique():
        feet[task] = shared({model: notes for (of, model), notes in merged.notes.items() if of == task})
    tables = [(grid, feet.get(grid.task, [])) for grid in merged_grids(merged)]
    _write(table, tables, out)
    screen = _screen()
    for place, (grid, foot) in enumerate(tables):
        _show(screen, grid)
        if place + 1 == len(tables) or tables[place + 1][0].task != grid.task:
            for note in foot:
                screen.print(note, highlight=False, markup=False, soft_wrap=True)
    _farewell(screen, out)
    return merged


def runs(folders: Sequence[Path], out: Path) -> None:
    """Write and show the tables of each run: leaderboard.md, leaderboard.tex and leaderboard.csv."""
    boards, tables = [], []
    screen = _screen()
    for folder in map(RunFolder, folders):
        board, foot = leaderboard(folder.table("rows")), notes([folder])
        of_run = _of_run(folder, board)
        boards.append(board)
        tables += [(grid, foot) for grid in of_run]
        for grid in of_run:
            _show(screen, grid)
        for note in foot:
            screen.print(note, highlight=False, markup=False, soft_wrap=True)
    _write(pd.concat(boards, ignore_index=True), tables, out)
    more = ", rows.parquet, scores.parquet, examples.parquet, manifest.json" if len(folders) == 1 else ""
    _farewell(screen, out, more)


def _of_run(folder: RunFolder, board: pd.DataFrame) -> list[Grid]:
    """A run's tables: one per reference, and referent agreement where its examples have referents."""
    manifest = folder.manifest
    referents = referent_grid(
        manifest["task"],
        f"{manifest['task']}, {manifest['model_name']}, seed {manifest['seed']}",
        {manifest["model_name"]: referent_agreement(referent_rows(folder.table("examples"), folder.table("scores")))},
    )
    return [*grids(board, manifest["seconds"]), *([] if referents is None else [referents])]


def _write(board: pd.DataFrame, tables: Sequence[tuple[Grid, Sequence[str]]], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "leaderboard.csv", board.to_csv(index=False))
    write_atomically(out / "leaderboard.md", "\n".join(markdown(grid, foot) for grid, foot in tables))
    write_atomically(out / "leaderboard.tex", "\n".join(latex(grid, foot) for grid, foot in tables))


def _screen() -> Console:
    screen = Console()
    return screen if screen.is_terminal else Console(width=200)  # a pipe has no width: never fold a table there


def _show(screen: Console, grid: Grid) -> None:
    for table in drawn(grid, screen.width):
        screen.print(table)
    for note in grid.notes:
        screen.print(note, highlight=False, markup=False, soft_wrap=grid.names > 1)
    screen.print()


def _farewell(screen: Console, place: Path, more: str = "") -> None:
    screen.print(
        f"\nfiles     {place}: leaderboard.md, leaderboard.tex, leaderboard.csv{more}",
        f"\ntry next  assay 'explainers=[random,attention,flow]' limit=200   assay --help   assay-report {place}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


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
    for line in grid.lines:
        table.add_row(*(escape(line[index]).replace(" ± ", between) for index in columns))
    return table


def markdown(grid: Grid, foot: Sequence[str]) -> str:
    """A grid as a Markdown table."""
    rule = ["---"] * grid.names + ["---:"] * (len(grid.columns) - grid.names)
    lines = [grid.columns, rule, *grid.lines]
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


def _tex(text: str) -> str:
    replaced = {"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "±": r"$\pm$", "≡": r"$\equiv$", "–": "--"}
    replaced |= {"$": r"\$", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    replaced |= {"\\": r"\textbackslash{}"}
    return "".join(replaced.get(character, character) for character in text)


if __name__ == "__main__":
    main()
