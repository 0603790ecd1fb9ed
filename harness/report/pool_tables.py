"""What is made of the runs of a sweep: one leaderboard, and the grids and notes of each task."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from harness.report.answer import Answer, answers
from harness.report.grid import Grid
from harness.report.layouts.alignments import alignment_grid
from harness.report.layouts.pooled import lost_grid, pooled_grids
from harness.report.layouts.referents import referent_grid
from harness.report.notes import NotedRun, run_notes, shared_notes
from harness.results.pooled import Lost, Pool, PooledRun
from harness.statistics.alignment_board import alignment_board, alignment_rows
from harness.statistics.leaderboard import leaderboard
from harness.statistics.position_agreement import Lines, position_agreement
from harness.statistics.ranking import ranking
from harness.statistics.referent_agreement import referent_agreement, referent_rows

WHOLE_NUMBERS = ("head", "layer", "n", "undefined", "failed")


@dataclass(frozen=True)
class PoolTables:
    """The pools of a sweep, and what is computed from them, each once.

    Args:
        lost: runs that failed, or have no results.
    """

    pools: Sequence[Pool]
    lost: Sequence[Lost]

    @cached_property
    def board(self) -> pd.DataFrame | None:
        """The leaderboard of all runs; None where no run has results."""
        if not self.pools:
            return None
        return leaderboard(_in_order([pool.rows for pool in self.pools]), self._clusters)

    @cached_property
    def ranking(self) -> pd.DataFrame | None:
        """Explainers by their best layer in each model; None where no run has results."""
        return ranking(_in_order([pool.rows for pool in self.pools]), self._clusters) if self.pools else None

    @cached_property
    def stored_board(self) -> pd.DataFrame:
        """The leaderboard with a line for each lost run: leaderboard.csv."""
        tables = [] if self.board is None else [self.board.assign(status="ok", error="")]
        if self.lost:
            lines = [
                {"task": one.task, "model": one.model, "seed": str(one.seed), "n": 0, "status": one.status}
                | {"error": one.error, "shard": one.shard}
                for one in self.lost
            ]
            tables.append(pd.DataFrame(lines))
        table = pd.concat(tables, ignore_index=True)
        return table.astype({name: "Int64" for name in WHOLE_NUMBERS if name in table})

    @cached_property
    def tasks(self) -> list[str]:
        """Every task, those with results first."""
        with_results = [] if self.board is None else self.board["task"].unique().tolist()
        return list(dict.fromkeys([*with_results, *(one.task for one in self.lost)]))

    @cached_property
    def alignments(self) -> pd.DataFrame:
        """Alignment error rates with the columns task, model and seed in front; empty where there are none."""
        tables = []
        for pool in self.pools:
            seeds = _seed_list(pool)
            tables.append(_alignments(pool.runs))
            for number, value in enumerate((pool.task, pool.model, seeds)):
                tables[-1].insert(number, ("task", "model", "seed")[number], value)
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    def grids(self, task: str) -> list[Grid]:
        """The grids of one task."""
        lost = [one for one in self.lost if one.task == task]
        pools = [pool for pool in self.pools if pool.task == task]
        if self.board is None or not pools:
            return [lost_grid(task, lost)]
        seconds = {pool.model: pool.seconds for pool in pools}
        referents = referent_grid(task, task, {pool.model: _referents(pool.runs) for pool in pools})
        rates = self.alignments
        aligned = alignment_grid(
            task, task, {pool.model: rates[(rates["task"] == task) & (rates["model"] == pool.model)] for pool in pools}
        )
        board = self.board[self.board["task"] == task]
        positions = {
            pool.model: _positions(pool.runs) for pool in pools if any(run.manifest.causal for run in pool.runs)
        }
        further = [grid for grid in (aligned, referents) if grid is not None]
        return [*pooled_grids(board, seconds, lost, positions), *further]

    def answers(self, task: str) -> list[Answer]:
        """What the runs of each model of one task say."""
        result = []
        for pool in self.pools:
            if pool.task == task:
                examples = pd.concat([run.examples[["example", "cluster"]] for run in pool.runs])
                seeds = _seed_list(pool)
                title = f"{task}, {pool.model}, seed{'s' if ' ' in seeds else ''} {seeds}"
                result.append(Answer(title, answers(self._ranked(pool), pool.rows, examples)))
        return result

    def notes(self, task: str) -> list[str]:
        """The notes under the grids of one task."""
        return shared_notes({pool.model: pool_notes(pool.runs) for pool in self.pools if pool.task == task})

    def _ranked(self, pool: Pool) -> pd.DataFrame:
        assert self.ranking is not None
        return self.ranking[(self.ranking["task"] == pool.task) & (self.ranking["model"] == pool.model)]

    @property
    def _clusters(self) -> pd.DataFrame:
        runs = [run for pool in self.pools for run in pool.runs]
        return pd.concat([run.examples[["example", "cluster"]] for run in runs])


def pool_notes(runs: Sequence[PooledRun]) -> list[str]:
    """The notes of the runs of one pool."""
    noted = [NotedRun(run.folder.path, run.manifest, run.examples, run.measured) for run in runs]
    return [*_missing_shards(runs), *_seeds(runs), *_mixed(runs), *run_notes(noted)]


def _in_order(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All rows, explainers in their configured order with the variants of one side by side."""
    rows = pd.concat(tables, ignore_index=True)
    rank = {name: index for index, name in enumerate(rows["bare"].drop_duplicates())}
    return rows.sort_values("bare", key=lambda column: column.map(rank), kind="stable")


def _referents(runs: Sequence[PooledRun]) -> pd.DataFrame:
    """Referent agreement over the runs of one pool."""
    tables = []
    for run in runs:
        rows = referent_rows(run.examples, run.folder.table("scores"))
        names = [run.labels.explainers[name] for name in rows["explainer"]]
        tables.append(rows.assign(explainer=names, seed=run.manifest.seed))
    rows = pd.concat(tables, ignore_index=True)
    return referent_agreement(rows.drop_duplicates(["example", "seed", "explainer", "layer", "head"]))


def _positions(runs: Sequence[PooledRun]) -> Lines:
    """Agreement with position over the runs of one pool; of several runs of an explainer the mean by examples."""
    tables = []
    for run in runs:
        labels, scores = run.labels.explainers, run.folder.table("scores")
        scores = scores[scores["method"].isin(list(labels))]
        number = str(run.manifest.seed)
        named = scores.assign(method=scores["method"].map(labels), example=number + ":" + scores["example"])
        tables.append((run.examples.assign(example=number + ":" + run.examples["example"]), named))
    examples = pd.concat([one for one, _ in tables]).drop_duplicates("example")
    scores = pd.concat([one for _, one in tables]).drop_duplicates(["example", "kind", "method", "layer", "head"])
    return position_agreement(examples, scores)


def _alignments(runs: Sequence[PooledRun]) -> pd.DataFrame:
    """Alignment error rates over the runs of one pool: shards together, a sentence pair's counts added over seeds."""
    tables = []
    runs = [run for run in runs if (run.examples["source"] > 0).any()]  # the others' scores need not be read
    for seed in dict.fromkeys(run.manifest.seed for run in runs):
        own = [run for run in runs if run.manifest.seed == seed]
        examples = pd.concat([run.examples for run in own]).drop_duplicates("example")
        scores = pd.concat([_labelled_scores(run) for run in own])
        scores = scores.drop_duplicates(["example", "kind", "method", "layer", "head"])
        floors = {name for run in own for name in run.measured.loc[run.measured["kind"] == "floor", "explainer"]}
        tables.append(alignment_rows(examples, scores, floors))
    return alignment_board(pd.concat(tables, ignore_index=True) if tables else pd.DataFrame())


def _labelled_scores(run: PooledRun) -> pd.DataFrame:
    """A run's scores, methods by their labels."""
    scores, labels = (
        run.folder.table("scores"),
        {"explainer": run.labels.explainers, "reference": run.labels.references},
    )
    pairs = zip(scores["kind"], scores["method"], strict=True)
    return scores.assign(method=[labels[kind][name] for kind, name in pairs])


def _seed_list(pool: Pool) -> str:
    return " ".join(map(str, dict.fromkeys(run.manifest.seed for run in pool.runs)))


def _missing_shards(runs: Sequence[PooledRun]) -> list[str]:
    """A sentence for every set of shards of which some are missing."""
    found: dict[tuple[int, int], set[int]] = defaultdict(set)
    for run in runs:
        if run.manifest.shard:
            number, count = map(int, run.manifest.shard.split("/"))
            found[run.manifest.seed, count].add(number)
    seeds = {run.manifest.seed for run in runs}
    notes = []
    for (seed, count), numbers in found.items():
        missing = [f"{number}/{count}" for number in range(1, count + 1) if number not in numbers]
        if missing:
            verb = f"shard {missing[0]} is" if len(missing) == 1 else f"shards {', '.join(missing)} are"
            notes.append(f"NOT COMPLETE: {verb} missing" + (f" for seed {seed}" if len(seeds) > 1 else ""))
    return notes


def _seeds(runs: Sequence[PooledRun]) -> list[str]:
    seeds = sorted({run.manifest.seed for run in runs})
    if len(seeds) == 1:
        return []
    return [f"pooled over seeds {', '.join(map(str, seeds))}: n counts examples × seeds, and std is over both"]


def _mixed(runs: Sequence[PooledRun]) -> list[str]:
    """Warnings about differences that no setting shows: other weights for one seed, other code."""
    notes = []
    weights: dict[int, set[str | None]] = defaultdict(set)
    for run in runs:
        weights[run.manifest.seed].add(run.manifest.model)
    for seed, models in weights.items():
        if len(models) > 1:
            notes.append(f"WARNING the pooled runs have {len(models)} different models for seed {seed}")
    if len(weights) > 1 and len(set.union(*weights.values())) == 1:
        notes.append("WARNING the pooled seeds share one model: n counts its examples once for each seed")
    if len({run.manifest.code for run in runs}) > 1:
        notes.append("WARNING the pooled runs were made by different versions of the code")
    return notes
