"""The command `assay-report`: run folders to tables and figures, without the model."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="assay-report",
        description="Make the tables and figures of finished runs, or the one leaderboard of a sweep, again from their "
        "folders; no model is needed. With --out, all shards of one run are joined into a whole run in that folder.",
    )
    parser.add_argument(
        "folder", nargs="+", type=Path, help="folder of a run or of a sweep: assay prints it in its last lines"
    )
    parser.add_argument("--no-figures", action="store_true", help="make tables only")
    parser.add_argument(
        "--pictured", type=int, default=3, help="number of examples to plot individually (default: %(default)s)"
    )
    parser.add_argument(
        "--relative-depth",
        action="store_true",
        help="draw rho by layer / number of layers, so that figures of models of different depth can be compared",
    )
    parser.add_argument(
        "--html",
        action="store_true",
        help="write report.html too: one page to explore each run, or the sweep, in a browser; it needs no network",
    )
    parser.add_argument("--out", type=Path, help="where to write the files (default: the given folder)")
    chosen = parser.parse_args()
    if chosen.out is None and len(chosen.folder) > 1:
        parser.error("several folders make one report: say where to write it with --out FOLDER")
    try:
        pictured = None if chosen.no_figures else chosen.pictured
        _report(chosen.folder, chosen.out, pictured, chosen.relative_depth, chosen.html)
    except Exception as error:
        from harness.cli.errors import print_error

        sys.exit(print_error(error))


def _report(folders: Sequence[Path], out: Path | None, pictured: int | None, relative: bool, html: bool) -> None:
    # here, so that --help and a wrong option answer at once
    from harness.report.run_tables import RunTables
    from harness.report.write import write_runs, write_sweep
    from harness.results.pooled import found
    from harness.results.run_folder import RunFolder
    from harness.results.shards import join, shards

    target = out or folders[0]
    whole = shards(found(folders)) if out else []
    if whole:
        write_runs([RunTables(join(whole, target))], target, pictured, relative=relative, html=html)
    elif _is_sweep(folders):
        write_sweep(folders, target, html=html)
    else:
        runs = [RunTables(RunFolder(folder)) for folder in folders]
        write_runs(runs, target, pictured, relative=relative, html=html)


def _is_sweep(folders: Sequence[Path]) -> bool:
    """Whether the folders make one leaderboard: one of them contains runs, or one of several runs is a shard."""
    from harness.results.run_folder import RunFolder

    runs = [RunFolder(folder) for folder in folders]
    if not all(run.holds_a_run for run in runs):
        return True
    return len(runs) > 1 and any(run.manifest.shard for run in runs)


if __name__ == "__main__":
    main()
