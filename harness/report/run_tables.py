"""All that is made of a finished run's tables: leaderboard, ranking, and the grids that are printed."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harness.report.grid import Grid, full_grids, grids
from harness.report.layouts.costs import cost_grid
from harness.report.layouts.pairs import pair_board, pair_grids, pair_lengths
from harness.report.layouts.summaries import diagnosticity, metrics_grid, ranking_grids, reference_grids, referent_grid
from harness.report.notes import notes
from harness.results.run_folder import RunFolder
from harness.statistics.leaderboard import leaderboard
from harness.statistics.pairs import pair_rows
from harness.statistics.ranking import ranking
from harness.statistics.referent_agreement import referent_agreement, referent_rows


@dataclass(frozen=True)
class RunTables:
    """What a run folder holds, and what is computed from it, each once."""

    folder: RunFolder

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What the run was."""
        return self.folder.manifest

    @cached_property
    def examples(self) -> Any:
        """One row per example."""
        return self.folder.table("examples")

    @cached_property
    def scores(self) -> Any:
        """One row per example, method, layer and head."""
        return self.folder.table("scores")

    @cached_property
    def board(self) -> Any:
        """The leaderboard of references and metrics."""
        return leaderboard(self.folder.measured(), self.examples)

    @cached_property
    def ranking(self) -> Any:
        """Explainers by their best layer, for each reference and metric."""
        return ranking(self.folder.measured(), self.examples)

    @cached_property
    def diagnosticity(self) -> Any:
        """Of each metric."""
        rows = self.folder.measured()
        return diagnosticity(rows[rows["higher"].notna()], self.examples)

    @cached_property
    def referents(self) -> Any:
        """Referent agreement; empty where the examples have no referents."""
        return referent_agreement(referent_rows(self.examples, self.scores))

    @cached_property
    def pair_rows(self) -> Any:
        """Of the explainers that the run holds against each other."""
        return pair_rows(self.examples, self.scores, self.manifest["config"].get("pairs") or [])

    @cached_property
    def pair_board(self) -> Any:
        """The same by layer and head."""
        return pair_board(self.pair_rows, self.examples)

    @cached_property
    def pair_lengths(self) -> Any:
        """The same by layer and number of tokens."""
        return pair_lengths(self.pair_rows, self.examples, self.manifest.get("head_size"))

    @cached_property
    def notes(self) -> list[str]:
        """What stands under the tables."""
        return notes([self.folder])

    def shown(self) -> list[Grid]:
        """What a terminal shows: the paper's layout for each reference, and the summaries."""
        correlations = self.board[self.board["higher"].isna()]
        task = self.manifest["task"]
        title = f"{task}, {self.manifest['model_name']}, seed {self.manifest['seed']}"
        referents = referent_grid(task, title, {self.manifest["model_name"]: self.referents})
        ranked = self.ranking
        costs = cost_grid(self.manifest, self.folder.costs(), self.examples["example"].nunique())
        return [
            *grids(correlations, self.manifest["seconds"]),
            *ranking_grids(ranked[ranked["higher"].isna()]),
            *reference_grids(correlations),
            *metrics_grid(ranked[ranked["higher"].notna()], self.diagnosticity),
            *([] if referents is None else [referents]),
            *pair_grids(self.pair_board, self.pair_rows, task, title),
            *([] if costs is None else [costs]),
        ]

    def rest(self) -> list[Grid]:
        """What stands in the files alone: each metric in the paper's layout, and all tables in full."""
        measured = self.board[self.board["higher"].notna()]
        return [*grids(measured, self.manifest["seconds"]), *full_grids(self.board)]
