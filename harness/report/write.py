"""Run folders to files and to tables on the terminal; all files are written before anything is printed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console

from harness.report.answer import Answer
from harness.report.figures.draw import FIGURES, write_figures
from harness.report.formats.csv import csv
from harness.report.formats.latex import latex
from harness.report.formats.markdown import markdown, markdown_answer
from harness.report.formats.terminal import print_grid, print_heading, print_notes, terminal
from harness.report.grid import Grid
from harness.report.page.write_page import PAGE, write_run_page, write_sweep_page
from harness.report.pool_tables import PoolTables
from harness.report.run_tables import RunTables
from harness.results.files import write_atomically
from harness.results.pooled import found, pooled
from harness.results.shell import pasted

FILES = (
    *("leaderboard.md", "leaderboard.tex", "leaderboard.csv", "alignment.csv"),
    *("ranking.csv", "pairs.csv", "pairs_by_length.csv", PAGE),
    *("rows.parquet", "metrics.parquet", "scores.parquet", "maps.parquet", "projections.parquet", "planes.parquet"),
    *("examples.parquet", "manifest.json"),
)  # in the order in which they are reported


@dataclass(frozen=True)
class NotedGrid:
    """A grid and the notes that follow its own."""

    grid: Grid
    notes: Sequence[str] = ()


def write_runs(
    runs: Sequence[RunTables],
    out: Path,
    pictured: int | None,
    console: Console | None = None,
    relative: bool = False,
    html: bool = False,
) -> None:
    """Write the report of each run, then print it.

    Files go into the folder `out`, the figures of several runs into a folder each. `pictured` is the number of first
    examples to draw individually; None for no figures at all. `relative` is as in `write_figures`. `html` writes a page
    for each run too, beside its figures.
    """
    console = console or terminal()
    figures = write_files(runs, out, pictured, relative)
    pages = [write_run_page(run, folder) for run, folder in _places(runs, out)] if html else []
    _print_answers([Answer(run.title, run.answer) for run in runs], console)
    for run in runs:
        print_grids([NotedGrid(grid) for grid in run.main_grids], console)
        print_notes(console, run.notes)
    print_notes(console, [f"figures   {count} in {folder / FIGURES}" for folder, count in figures.items()])
    _print_files(console, out, pages)


def write_files(runs: Sequence[RunTables], out: Path, pictured: int | None, relative: bool = False) -> dict[Path, int]:
    """Write leaderboard.md, .tex and .csv, ranking.csv, tables of alignments and pairs, and figures.

    Returns the number of figures by folder.

    Arguments as in `write_runs`.
    """
    tables = []
    for run in runs:
        grids = [*run.main_grids, *run.further_grids]
        tables += [NotedGrid(grid, run.notes if index == 0 else ()) for index, grid in enumerate(grids)]
    write_tables(tables, out, "leaderboard", [Answer(run.title, run.answer) for run in runs])
    _write_csv(pd.concat([run.board for run in runs], ignore_index=True), out / "leaderboard.csv")
    _write_csv(pd.concat([run.ranking for run in runs]), out / "ranking.csv")
    _write_alignments(runs, out)
    _write_pairs(runs, out)
    if pictured is None:
        return {}
    return {folder: write_figures(run, folder, pictured, relative) for run, folder in _places(runs, out)}


def _places(runs: Sequence[RunTables], out: Path) -> list[tuple[RunTables, Path]]:
    """Each run with the folder of what is its own: `out`, or one in it for each of several."""
    return [(run, out if len(runs) == 1 else out / run.folder.path.name) for run in runs]


def write_sweep(folders: Sequence[Path], out: Path, console: Console | None = None, html: bool = False) -> None:
    """Write the one leaderboard of all runs in and below the folders, and with `html` its page, then print it."""
    console = console or terminal()
    sweep = PoolTables(*pooled(found(folders)))
    by_task = []
    for task in sweep.tasks:
        grids, notes = sweep.grids(task), sweep.notes(task)
        by_task.append(([NotedGrid(grid, notes) for grid in grids], notes))
    answers = [answer for task in sweep.tasks for answer in sweep.answers(task)]
    write_tables([table for tables, _ in by_task for table in tables], out, "leaderboard", answers)
    _write_csv(sweep.stored_board, out / "leaderboard.csv")
    if len(sweep.alignments):
        _write_csv(sweep.alignments, out / "alignment.csv")
    pages = [write_sweep_page(sweep, out)] if html else []
    _print_answers(answers, console)
    for tables, notes in by_task:
        print_grids([NotedGrid(table.grid) for table in tables], console)
        print_notes(console, notes)
    _print_files(console, out, pages)


def write_tables(tables: Sequence[NotedGrid], out: Path, name: str, answers: Sequence[Answer] = ()) -> None:
    """Write tables as `name`.md, below the answers, and as `name`.tex."""
    out.mkdir(parents=True, exist_ok=True)
    told = [markdown_answer(answer.title, answer.sentences) for answer in answers]
    write_atomically(out / f"{name}.md", "\n".join([*told, *(markdown(table.grid, table.notes) for table in tables)]))
    write_atomically(out / f"{name}.tex", "\n".join(latex(table.grid, table.notes) for table in tables))


def print_grids(tables: Sequence[NotedGrid], console: Console | None = None) -> None:
    """Print tables with their notes, each of which is printed once, below the first table that has it."""
    console = console or terminal()
    printed: set[str] = set()
    for table in tables:
        print_grid(console, table.grid, printed)
        printed.update(table.grid.notes)
        print_notes(console, table.notes)


def _print_answers(answers: Sequence[Answer], console: Console) -> None:
    for answer in answers:
        print_heading(console, answer.title)
        print_notes(console, answer.sentences)
        console.print()


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    write_atomically(path, csv(table))


def _write_alignments(runs: Sequence[RunTables], out: Path) -> None:
    """Write alignment.csv, where a run has sentence pairs with gold links."""
    aligned = [_with_run(run, run.alignments) for run in runs if len(run.alignments)]
    if aligned:
        _write_csv(pd.concat(aligned, ignore_index=True), out / "alignment.csv")


def _write_pairs(runs: Sequence[RunTables], out: Path) -> None:
    """Write pairs.csv and pairs_by_length.csv, where a run compares explainers in pairs."""
    paired = [run for run in runs if len(run.pair_board)]
    if not paired:
        return
    for name, tables in (
        ("pairs", [run.pair_board for run in paired]),
        ("pairs_by_length", [run.pair_lengths for run in paired]),
    ):
        named = [_with_run(run, table) for run, table in zip(paired, tables, strict=True)]
        _write_csv(pd.concat(named, ignore_index=True), out / f"{name}.csv")


def _with_run(run: RunTables, table: pd.DataFrame) -> pd.DataFrame:
    """A table with the columns task, model and seed in front."""
    manifest = run.manifest
    names = {"task": manifest.task, "model": manifest.model_name, "seed": manifest.seed}
    return pd.DataFrame(names, index=table.index).join(table)


def _print_files(console: Console, folder: Path, pages: Sequence[Path] = ()) -> None:
    files = [name for name in FILES if (folder / name).is_file()]
    holds_runs = any(folder.glob("manifest.json")) or any(folder.glob("*/manifest.json"))
    commands = ["assay 'explainers=[random,attention,flow]' limit=200", "assay --help"]
    commands += [f"assay-report {pasted(folder)}"] if holds_runs else []
    console.print()
    print_notes(console, [f"files     {folder}: {', '.join(files)}"])
    whole = [f"page      {page}: open it in a browser" for page in pages]
    whole += [f"{'' if number else 'try next':<10}{command}" for number, command in enumerate(commands)]
    for line in whole:  # to be copied
        console.print(line, highlight=False, markup=False, soft_wrap=True)
