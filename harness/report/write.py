"""Run folders to files and tables a person reads; the command `assay-report`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console

from harness.cli.errors import complain
from harness.report.formats import drawn, latex, markdown
from harness.report.grid import Grid
from harness.report.layouts.pooled import merged_grids
from harness.report.notes import shared
from harness.report.run_figures import draw
from harness.report.run_tables import RunTables
from harness.results.pooled import Merged, found, merge
from harness.results.run_folder import RunFolder, write_atomically
from harness.results.shards import join, shards

FILES = (
    *("leaderboard.md", "leaderboard.tex", "leaderboard.csv", "ranking.csv", "pairs.csv", "pairs_by_length.csv"),
    *("rows.parquet", "metrics.parquet", "scores.parquet", "maps.parquet", "examples.parquet", "manifest.json"),
)  # in the order in which a user is told of them
RUN = {"task": "task", "model": "model_name", "seed": "seed"}  # columns of a table, keys of a manifest


def main() -> None:
    """Run the command line of `assay-report`."""
    parser = argparse.ArgumentParser(
        prog="assay-report",
        description="Redo, without the model, the tables of run folders or the one leaderboard of a sweep. "
        "All shards of one run, with --out, become the whole run in that folder.",
    )
    parser.add_argument(
        "folder", nargs="+", type=Path, help="the folder of a run or of a sweep, as it was printed in the last lines"
    )
    parser.add_argument("--no-figures", action="store_true", help="make the tables alone")
    parser.add_argument("--pictured", type=int, default=3, help="draw so many of the first examples one by one")
    parser.add_argument("--out", type=Path, help="where to write leaderboard.md, .tex, .csv; default: the folder")
    chosen = parser.parse_args()
    if chosen.out is None and len(chosen.folder) > 1:
        parser.error("several folders make one report: say where to write it with --out FOLDER")
    try:
        out = chosen.out or chosen.folder[0]
        pictured = None if chosen.no_figures else chosen.pictured
        whole = shards(found(chosen.folder)) if chosen.out else []
        if whole:
            runs([join(whole, out).path], out, pictured)
        elif is_merged(chosen.folder):
            sweep(chosen.folder, out)
        else:
            runs(chosen.folder, out, pictured)
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


def runs(folders: Sequence[Path], out: Path, pictured: int | None) -> None:
    """Write and show the tables of each run: leaderboard.md, .tex and .csv, ranking.csv, and its figures.

    `pictured` of the first examples are drawn one by one; None for no figures at all.
    """
    made = [RunTables(RunFolder(folder)) for folder in folders]
    tables = []
    screen = _screen()
    for run in made:
        shown = run.shown()
        for grid in shown:
            _show(screen, grid)
        for note in run.notes:
            screen.print(note, highlight=False, markup=False, soft_wrap=True)
        tables += [(grid, run.notes if place == 0 else []) for place, grid in enumerate([*shown, *run.rest()])]
    _write(pd.concat([run.board for run in made], ignore_index=True), tables, out)
    write_atomically(out / "ranking.csv", pd.concat([run.ranking for run in made]).to_csv(index=False))
    _write_pairs(made, out)
    if pictured is not None:
        places = [out if len(made) == 1 else out / run.folder.path.name for run in made]
        for run, place in zip(made, places, strict=True):
            count = draw(run, place, pictured)
            screen.print(f"figures   {count} in {place}/figures", highlight=False, markup=False, soft_wrap=True)
    _farewell(screen, out)


def _write_pairs(made: Sequence[RunTables], out: Path) -> None:
    """Write pairs.csv and pairs_by_length.csv, where a run holds explainers against each other."""
    paired = [run for run in made if len(run.pair_board)]
    for name in ("pairs", "pairs_by_length") if paired else ():
        tables = []
        for run in paired:
            table = run.pair_board if name == "pairs" else run.pair_lengths
            run_of = {column: run.manifest[key] for column, key in RUN.items()}
            tables.append(pd.DataFrame(run_of, index=table.index).join(table))
        write_atomically(out / f"{name}.csv", pd.concat(tables, ignore_index=True).to_csv(index=False))


def _write(board: pd.DataFrame, tables: Sequence[tuple[Grid, Sequence[str]]], out: Path) -> None:
    written(tables, out, "leaderboard")
    write_atomically(out / "leaderboard.csv", board.to_csv(index=False))


def written(tables: Sequence[tuple[Grid, Sequence[str]]], out: Path, name: str) -> None:
    """Write tables, each with the notes under it, as `name`.md and `name`.tex."""
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / f"{name}.md", "\n".join(markdown(grid, foot) for grid, foot in tables))
    write_atomically(out / f"{name}.tex", "\n".join(latex(grid, foot) for grid, foot in tables))


def shown(grids: Sequence[Grid]) -> None:
    """Print tables on the terminal."""
    screen = _screen()
    for grid in grids:
        _show(screen, grid)


def _screen() -> Console:
    screen = Console()
    return screen if screen.is_terminal else Console(width=200)  # a pipe has no width: never fold a table there


def _show(screen: Console, grid: Grid) -> None:
    for table in drawn(grid, screen.width):
        screen.print(table)
    for note in grid.notes:
        screen.print(note, highlight=False, markup=False, soft_wrap=grid.names > 1)
    screen.print()


def _farewell(screen: Console, place: Path) -> None:
    files = [name for name in FILES if (place / name).is_file()]
    holds_runs = any(place.glob("manifest.json")) or any(place.glob("*/manifest.json"))
    again = f"   assay-report {place}" if holds_runs else ""
    screen.print(
        f"\nfiles     {place}: {', '.join(files)}",
        f"\ntry next  assay 'explainers=[random,attention,flow]' limit=200   assay --help{again}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
