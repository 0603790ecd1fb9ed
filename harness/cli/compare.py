"""The command `assay-compare`: which cells of two runs, or of two explainers of one run, differ significantly."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="assay-compare",
        description="Show which cells of two runs, or of two explainers of one run, differ, with effect sizes and "
        "corrected p-values. The comparison is paired on the examples that both sides have; no model is needed.",
    )
    parser.add_argument("folder", nargs="+", type=Path, help="one run folder or two")
    parser.add_argument(
        "--explainers", nargs=2, metavar="NAME", help="two explainers of one run to compare layer by layer"
    )
    parser.add_argument("--out", type=Path, help="folder for comparison.md, .tex and .csv")
    chosen = parser.parse_args()
    try:
        _compare(chosen.folder, chosen.explainers, chosen.out)
    except Exception as error:
        from harness.cli.errors import print_error

        sys.exit(print_error(error))


def _compare(folders: Sequence[Path], explainers: Sequence[str] | None, out: Path | None) -> None:
    # here, so that --help and a wrong option answer at once
    from harness.report.comparison import comparison_of_explainers, comparison_of_runs
    from harness.report.formats.csv import csv
    from harness.report.layouts.comparison import comparison_grid
    from harness.report.write import NotedGrid, print_grids, write_tables
    from harness.results.files import write_atomically
    from harness.results.run_folder import RunFolder

    runs = [RunFolder(folder) for folder in folders]
    if len(runs) == 1 and explainers:
        table, title = comparison_of_explainers(runs[0], *explainers)
    elif len(runs) == 2 and not explainers:
        table, title = comparison_of_runs(*runs)
    else:
        raise ValueError("give two run folders, or one run folder and --explainers NAME NAME")
    grid = NotedGrid(comparison_grid(table, title))
    if out is not None:
        write_tables([grid], out, "comparison")
        write_atomically(out / "comparison.csv", csv(table))
    print_grids([grid])


if __name__ == "__main__":
    main()
