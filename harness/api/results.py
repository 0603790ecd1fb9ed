"""What an evaluation found, in memory or in a run folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from harness.report import write
from harness.report.page.content import run_content
from harness.report.page.write_page import PAGE, write_page
from harness.report.run_tables import RunTables
from harness.results.ownership import owned
from harness.results.run_folder import RunFolder
from harness.statistics.leaderboard import leaderboard
from harness.statistics.ranking import ranking
from harness.tables import STORED, Manifest, measured


@dataclass(frozen=True, repr=False)
class Results:
    """The tables of an evaluation, and what was run.

    Args:
        manifest: what was run.
        tables: `rows`, `scores`, `examples` and `metrics`, with the columns of `harness.tables`.
        folder: where it is saved; None while it is in memory.
    """

    manifest: Manifest
    tables: Mapping[str, pd.DataFrame]
    folder: Path | None = None

    @cached_property
    def _measured(self) -> pd.DataFrame:
        return measured(self.tables["rows"], self.tables["metrics"])

    def leaderboard(self) -> pd.DataFrame:
        """A line per reference or metric, explainer, head and layer: the columns of leaderboard.csv."""
        return leaderboard(self._measured, self.tables["examples"])

    def ranking(self) -> pd.DataFrame:
        """Explainers by their best layer, chosen on a third of the examples: the columns of ranking.csv."""
        return ranking(self._measured, self.tables["examples"])

    def save(self, folder: str | Path, figures: bool = True, pictured: int = 3) -> Path:
        """Write a run folder with tables, manifest, leaderboards and figures, as the command line does.

        Args:
            folder: where to; it is created if need be.
            figures: whether to draw figures.
            pictured: the number of first examples that are drawn individually.

        Raises:
            ValueError: the folder holds a run already.
            OSError: it cannot be written.
        """
        run = RunFolder(Path(folder).expanduser())
        if run.holds_a_run or run.has_rows:
            raise ValueError(f"{folder} holds a run already: choose another folder")
        with owned(run.path):
            run.write_manifest(self.manifest)
            run.write_tables(self.tables)
            write.write_files([RunTables(run, self.tables)], run.path, pictured if figures else None)
        object.__setattr__(self, "folder", run.path)  # from now on it is saved there
        return run.path

    def html(self, path: str | Path | None = None) -> Path:
        """Write a page to explore these results in a browser: one file, which needs no server and no network.

        Args:
            path: the file, or a folder for `report.html`; None for the folder in which the results are saved.

        Returns its path.

        Raises:
            ValueError: there is no path, and the results are in memory.
            OSError: it cannot be written.

        Example:
            >>> harness.open_run(RUN).html().name
            'report.html'
        """
        if path is None and self.folder is None:
            raise ValueError("these results are in memory: say where to write the page, results.html('report.html')")
        file = Path(path or self.folder or "").expanduser()
        if file.is_dir():
            file /= PAGE
        with TemporaryDirectory() as temporary:
            run = RunFolder(self.folder or Path(temporary) / "results")
            if self.folder is None:
                run.path.mkdir()
                run.write_manifest(self.manifest)
                run.write_tables(self.tables)
            return write_page(file, *run_content(RunTables(run, self.tables)))

    def __repr__(self) -> str:
        run = self.manifest
        return f"Results({run.task}, {run.model_name}: {run.examples} examples; {', '.join(run.explainers)})"

    def _repr_html_(self) -> str:
        board = self.leaderboard()
        board = board[board["kind"] != "reliability"]
        wide = board.pivot_table(index=["measure", "kind", "explainer"], columns="layer", values="mean", sort=False)
        return wide.rename(columns={0: "input"}).round(2).to_html(na_rep="")


def open_run(folder: str | Path) -> Results:
    """The results in a run folder, of the command line or of `Results.save`.

    Raises:
        FileNotFoundError: there is no run in it.
        ValueError: it was written by another version of Assay.

    Example:
        >>> harness.open_run(RUN)
        Results(texts, distilbert-minilm-sst2: 4 examples; random, rollout)
    """
    run = RunFolder(Path(folder).expanduser())
    return Results(run.manifest, {name: run.table(name) for name in STORED}, run.path)
