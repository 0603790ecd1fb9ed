"""What is made of the tables of one run: leaderboard, ranking, and the grids and notes of its report."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from harness.report.answer import answers
from harness.report.grid import Grid
from harness.report.layouts.alignments import alignment_grid
from harness.report.layouts.costs import cost_grid
from harness.report.layouts.full_leaderboard import full_leaderboard_grids
from harness.report.layouts.leaderboard import leaderboard_grids
from harness.report.layouts.metrics import metric_grids
from harness.report.layouts.pairs import pair_grids
from harness.report.layouts.ranking import ranking_grids
from harness.report.layouts.references import reference_grids
from harness.report.layouts.referents import referent_grid
from harness.report.notes import NotedRun, run_notes
from harness.results.run_folder import RunFolder
from harness.statistics.alignment_board import alignment_board, alignment_rows
from harness.statistics.diagnosticity import diagnosticity
from harness.statistics.leaderboard import leaderboard
from harness.statistics.pair_board import pair_board, pair_lengths
from harness.statistics.pairs import pair_rows
from harness.statistics.position_agreement import Lines, position_agreement
from harness.statistics.ranking import ranking
from harness.statistics.referent_agreement import referent_agreement, referent_rows
from harness.tables import Costs, Manifest, measured


@dataclass(frozen=True)
class RunTables:
    """A run's tables, each read once, and what is computed from them, each once.

    Args:
        tables: rows, scores, examples and metrics where they are in memory already; None to read the folder's.
    """

    folder: RunFolder
    tables: Mapping[str, pd.DataFrame] | None = None

    @cached_property
    def manifest(self) -> Manifest:
        """What the run was."""
        return self.folder.manifest

    @cached_property
    def costs(self) -> Costs:
        """What the examples so far cost; those of a run that was killed, too."""
        return self.folder.costs()

    @cached_property
    def examples(self) -> pd.DataFrame:
        """One row per example."""
        return self._table("examples")

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row per example, method, layer and head."""
        return self._table("scores")

    @cached_property
    def measured(self) -> pd.DataFrame:
        """The rows of references and metrics."""
        return measured(self._table("rows"), self._table("metrics"))

    @cached_property
    def board(self) -> pd.DataFrame:
        """The leaderboard of references and metrics."""
        return leaderboard(self.measured, self.examples)

    @cached_property
    def ranking(self) -> pd.DataFrame:
        """Explainers by their best layer, for each reference and metric."""
        return ranking(self.measured, self.examples)

    @cached_property
    def diagnosticity(self) -> pd.DataFrame:
        """Of each metric."""
        return diagnosticity(self.measured[self.measured["higher"].notna()], self.examples)

    @cached_property
    def referents(self) -> pd.DataFrame:
        """Referent agreement; empty where the examples have no referents."""
        return referent_agreement(referent_rows(self.examples, self.scores))

    @cached_property
    def floors(self) -> list[str]:
        """The explainers that are floors."""
        return self.measured.loc[self.measured["kind"] == "floor", "explainer"].unique().tolist()

    @cached_property
    def alignments(self) -> pd.DataFrame:
        """Alignment error rates; empty where no sentence pair has gold links and is explained as a whole."""
        return alignment_board(alignment_rows(self.examples, self.scores, self.floors))

    @cached_property
    def pair_rows(self) -> pd.DataFrame:
        """The correlations of the explainers that the run compares in pairs."""
        return pair_rows(self.examples, self.scores, self.manifest.config.get("pairs") or [])

    @cached_property
    def pair_board(self) -> pd.DataFrame:
        """Pairs by layer and head."""
        return pair_board(self.pair_rows, self.examples)

    @cached_property
    def pair_lengths(self) -> pd.DataFrame:
        """Pairs by layer and number of tokens."""
        return pair_lengths(self.pair_rows, self.examples, self.manifest.head_size)

    @cached_property
    def positions(self) -> Lines:
        """Each explainer's agreement with position, in a causal model; nothing elsewhere."""
        return position_agreement(self.examples, self.scores) if self.manifest.causal else {}

    @property
    def title(self) -> str:
        """Task, model and seed."""
        return f"{self.manifest.task}, {self.manifest.model_name}, seed {self.manifest.seed}"

    @cached_property
    def answer(self) -> list[str]:
        """What the run says, in a few sentences."""
        return answers(self.ranking, self.measured, self.examples)

    @cached_property
    def notes(self) -> list[str]:
        """The notes under the tables."""
        problems = [] if self.folder.merged else [f"WARNING {text}" for text in self.folder.problems]
        notes = run_notes([NotedRun(self.folder.path, self.manifest, self.examples, self.measured)])
        return list(dict.fromkeys([*notes, *problems]))

    @cached_property
    def main_grids(self) -> list[Grid]:
        """The paper's layout for each reference, and the summaries: what the terminal shows."""
        manifest, board, ranked = self.manifest, self.board[self.board["higher"].isna()], self.ranking
        title = self.title
        referents = referent_grid(manifest.task, title, {manifest.model_name: self.referents})
        alignments = alignment_grid(manifest.task, title, {manifest.model_name: self.alignments})
        costs = cost_grid(manifest, self.costs, self.examples["example"].nunique())
        return [
            *leaderboard_grids(board, self._seconds, self.positions),
            *([] if alignments is None else [alignments]),
            *ranking_grids(ranked[ranked["higher"].isna()]),
            *reference_grids(board),
            *metric_grids(ranked[ranked["higher"].notna()], self.diagnosticity),
            *([] if referents is None else [referents]),
            *pair_grids(self.pair_board, self.pair_rows, manifest.task, title),
            *([] if costs is None else [costs]),
        ]

    @cached_property
    def further_grids(self) -> list[Grid]:
        """Each metric in the paper's layout, and all tables in full: in the files only."""
        metrics = self.board[self.board["higher"].notna()]
        return [*leaderboard_grids(metrics, self._seconds), *full_leaderboard_grids(self.board)]

    @property
    def _seconds(self) -> dict[str, float]:
        return {name: cost.seconds for name, cost in self.costs.of("explainer").items()}

    def _table(self, name: str) -> pd.DataFrame:
        return self.folder.table(name) if self.tables is None else self.tables[name]
