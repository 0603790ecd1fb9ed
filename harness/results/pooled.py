"""The runs of a sweep pooled: seeds and shards together, everything else kept apart by name."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from harness.results.run_folder import MANIFEST, RunFolder
from harness.results.run_labels import RunLabels, run_labels
from harness.tables import CHANCE, Manifest

CELL_OF_EXAMPLE = ["example", "seed", "measure", "kind", "explainer", "head", "layer"]


@dataclass(frozen=True)
class Lost:
    """A run that failed, or has no results yet."""

    task: str
    model: str
    seed: int
    shard: str | None
    status: str
    error: str
    folder: Path

    @property
    def name(self) -> str:
        """Model, seed and shard."""
        return f"{self.model}, seed {self.seed}" + (f", shard {self.shard}" if self.shard else "")


@dataclass(frozen=True)
class PooledRun:
    """One run with the names that distinguish it from the others; its tables are read once."""

    folder: RunFolder
    manifest: Manifest
    labels: RunLabels

    @cached_property
    def examples(self) -> pd.DataFrame:
        """One row per example."""
        return self.folder.table("examples")

    @cached_property
    def measured(self) -> pd.DataFrame:
        """Rows of references and metrics under this run's labels.

        `bare` is an explainer's own name, without the label's settings.
        """
        rows = self.folder.measured()
        bare, labels, measures = rows["explainer"], self.labels, self.labels.measures
        explainers = {CHANCE: CHANCE} | dict(labels.explainers)
        of_reference = (rows["kind"] == "reference") | ~bare.isin(list(explainers))
        halves = {name: text for name, text in labels.explainers.items() if name not in measures}
        return rows.assign(
            task=labels.task,
            model=labels.model,
            bare=bare,
            explainer=bare.map(explainers).where(~of_reference, bare.map(labels.references)),
            measure=rows["measure"].map(measures | halves),  # two halves of an explainer are a measure of it
            model_seed=rows["seed"],
            methods=" | ".join(" ".join(sorted(names.values())) for names in (labels.explainers, measures)),
        )


@dataclass(frozen=True)
class Pool:
    """The runs of one task and one model.

    Args:
        rows: of all of them, each value once: the columns of `PooledRun.measured`, `seed` with all the seeds.
        seconds: what each explainer took, summed over the runs.
    """

    task: str
    model: str
    runs: Sequence[PooledRun]
    rows: pd.DataFrame
    seconds: dict[str, float]


def found(folders: Sequence[Path]) -> list[Path]:
    """The run folders among and below the given ones; numbers in their names sort as numbers."""
    runs = []
    for folder in folders:
        below = [path.parent for path in folder.rglob(MANIFEST)]
        if not below:
            raise FileNotFoundError(
                f"no results in {folder}: expected {MANIFEST} there or in a folder below it. "
                "Give the folder that a run or a sweep printed in its last lines"
            )
        runs += sorted(below, key=lambda path: [(part.zfill(12), part) for part in re.split(r"(\d+)", str(path))])
    return list(dict.fromkeys(runs))


def pooled(paths: Sequence[Path]) -> tuple[list[Pool], list[Lost]]:
    """Pool runs of one task and one model that differ only in seed or shard, and list the runs that are lost.

    Raises:
        ValueError: two runs that would be pooled explain the same example.
    """
    folders = [RunFolder(path) for path in paths]
    manifests = [folder.manifest for folder in folders]
    whole = [index for index, folder in enumerate(folders) if folder.has_rows]
    labels = dict(zip(whole, run_labels([manifests[index] for index in whole]), strict=True))
    everyone = run_labels(manifests)  # a lost run's label shows what was particular about it, and changes no other
    lost = []
    for index, manifest in enumerate(manifests):
        if manifest.status != "failed" and index in labels:
            continue
        status = "failed" if manifest.status == "failed" else "not finished"
        error = manifest.error or f"no results yet, status {manifest.status}"
        label = labels.get(index, everyone[index])
        lost.append(Lost(label.task, label.model, manifest.seed, manifest.shard, status, error, paths[index]))
    pools: dict[tuple[str, str], list[PooledRun]] = defaultdict(list)
    for index, label in labels.items():
        pools[label.task, label.model].append(PooledRun(folders[index], manifests[index], label))
    return [_pool(task, model, runs) for (task, model), runs in pools.items()], lost


def _pool(task: str, model: str, runs: Sequence[PooledRun]) -> Pool:
    rows = pd.concat([run.measured.assign(run=index) for index, run in enumerate(runs)], ignore_index=True)
    twice = rows[rows.duplicated([*CELL_OF_EXAMPLE, "methods"], keep=False)]
    if len(twice):
        example = twice.iloc[0]["example"]
        first, second = (
            runs[index].folder.path for index in twice.loc[twice["example"] == example, "run"].unique()[:2]
        )
        raise ValueError(
            f"{first} and {second} hold the same example ({example}) of one task, model and seed, "
            "so it would count twice: give one of them, or runs with other seeds or other shards"
        )
    # Runs with other explainers, or other settings of one, share the rest: what both hold is counted once
    rows = rows.drop_duplicates(CELL_OF_EXAMPLE)
    seconds: dict[str, float] = defaultdict(float)
    timed = rows[rows["kind"].isin(["explainer", "floor"])]
    for explainer, bare, index in timed[["explainer", "bare", "run"]].drop_duplicates().itertuples(index=False):
        spent = runs[index].manifest.costs.of("explainer")
        seconds[explainer] += spent[bare].seconds if bare in spent else 0.0
    rows = rows.sort_values(["seed", "run"], kind="stable")
    rows = rows.assign(seed=" ".join(map(str, rows["seed"].unique())))
    return Pool(task, model, runs, rows, dict(seconds))
