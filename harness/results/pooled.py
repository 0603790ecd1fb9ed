"""The runs of a sweep as one leaderboard: seeds and shards pooled, all else kept apart by name."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.report.notes import notes
from harness.results.run_folder import MANIFEST, RunFolder
from harness.results.run_labels import Names, names
from harness.statistics.leaderboard import leaderboard
from harness.statistics.referent_agreement import referent_agreement, referent_rows

CELL_OF_EXAMPLE = ["example", "seed", "reference", "kind", "explainer", "head", "layer"]


@dataclass(frozen=True)
class Lost:
    """A run that failed, or has no results yet."""

    task: str
    model: str
    seed: Any
    shard: str | None
    status: str
    error: str
    folder: Path

    @property
    def name(self) -> str:
        """Model, seed and shard."""
        return f"{self.model}, seed {self.seed}" + (f", shard {self.shard}" if self.shard else "")


@dataclass(frozen=True)
class Merged:
    """One leaderboard of several runs, and what stands under it.

    Args:
        board: as `leaderboard` gives it, with names that tell the runs apart; None where no run has results.
        seconds: what each explainer took, by task, model and explainer, summed over the pooled runs.
        notes: of each model, by task and model.
        lost: runs without results, or that failed.
        referents: referent agreement, by task and model.
    """

    board: Any
    seconds: Mapping[tuple[str, str, str], float]
    notes: Mapping[tuple[str, str], Sequence[str]]
    lost: Sequence[Lost]
    referents: Mapping[tuple[str, str], Any]


@dataclass(frozen=True)
class _Run:
    folder: RunFolder
    manifest: Mapping[str, Any]
    names: Names


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


def merge(paths: Sequence[Path]) -> Merged:
    """Pool runs of one task and one model that differ only in seed or shard.

    Raises:
        ValueError: two runs that would be pooled explain the same example.
    """
    folders = [RunFolder(path) for path in paths]
    manifests = [folder.manifest for folder in folders]
    whole = [index for index, folder in enumerate(folders) if folder.has_rows]
    named = dict(zip(whole, names([manifests[index] for index in whole]), strict=True))
    everyone = names(manifests)  # a lost run's name says what was particular about it, and changes no other name
    lost = []
    for index, manifest in enumerate(manifests):
        if manifest["status"] != "failed" and index in named:
            continue
        status = "failed" if manifest["status"] == "failed" else "not finished"
        error = manifest.get("error", f"no results yet, status {manifest['status']}")
        name = named.get(index, everyone[index])
        lost.append(Lost(name.task, name.model, manifest["seed"], manifest.get("shard"), status, error, paths[index]))
    pools = defaultdict(list)
    for index, name in named.items():
        pools[name.task, name.model].append(_Run(folders[index], manifests[index], name))
    pooled = {key: _pooled(runs) for key, runs in pools.items()}
    return Merged(
        leaderboard(_in_order([rows for rows, _ in pooled.values()]), _clusters(pools.values())) if pooled else None,
        {(*key, name): spent for key, (_, seconds) in pooled.items() for name, spent in seconds.items()},
        {
            key: [*_incomplete(runs), *_seeds(runs), *_mixed(runs), *notes([run.folder for run in runs])]
            for key, runs in pools.items()
        },
        lost,
        {key: _referents(runs) for key, runs in pools.items()},
    )


def _pooled(runs: Sequence[_Run]) -> tuple[pd.DataFrame, dict[str, float]]:
    """The rows of runs of one task and model under their names, and the explainers' seconds."""
    tables = []
    for index, run in enumerate(runs):
        rows: Any = run.folder.measured()
        bare = rows["explainer"]
        of_reference = (rows["kind"] == "reference") | ~bare.isin(list(run.names.explainers))
        called = {**run.names.references, **run.names.metrics}
        tables.append(
            rows.assign(
                task=run.names.task,
                model=run.names.model,
                bare=bare,
                explainer=bare.map(run.names.explainers).where(~of_reference, bare.map(run.names.references)),
                reference=rows["reference"].map(
                    called | {name: text for name, text in run.names.explainers.items() if name not in called}
                ),
                model_seed=rows["seed"],
                run=index,
                methods=" | ".join(" ".join(sorted(names.values())) for names in (run.names.explainers, called)),
            )
        )
    rows = pd.concat(tables, ignore_index=True)
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
        seconds[explainer] += runs[index].manifest["seconds"].get(f"explainer {bare}", 0.0)
    rows = rows.sort_values(["seed", "run"], kind="stable")
    return rows.assign(seed=" ".join(map(str, rows["seed"].unique()))), dict(seconds)


def _referents(runs: Sequence[_Run]) -> pd.DataFrame:
    """Referent agreement over the runs of one task and model."""
    tables = []
    for run in runs:
        rows = referent_rows(run.folder.table("examples"), run.folder.table("scores"))
        names = [run.names.explainers[name] for name in rows["explainer"]]
        tables.append(rows.assign(explainer=names, seed=run.manifest["seed"]))
    rows = pd.concat(tables, ignore_index=True)
    return referent_agreement(rows.drop_duplicates(["example", "seed", "explainer", "layer", "head"]))


def _in_order(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All rows, explainers in their configured order with an explainer's variants side by side."""
    rows = pd.concat(tables, ignore_index=True)
    rank = {name: place for place, name in enumerate(rows["bare"].drop_duplicates())}
    return rows.sort_values("bare", key=lambda column: column.map(rank), kind="stable")


def _clusters(pools: Iterable[Sequence[_Run]]) -> Any:
    """The examples of all runs, for their clusters."""
    return pd.concat([run.folder.table("examples")[["example", "cluster"]] for runs in pools for run in runs])


def _incomplete(runs: Sequence[_Run]) -> list[str]:
    """A sentence for every set of shards of which some are missing."""
    have = defaultdict(set)
    for run in runs:
        if run.manifest.get("shard"):
            part, whole = str(run.manifest["shard"]).split("/")
            have[run.manifest["seed"], int(whole)].add(int(part))
    seeds = {run.manifest["seed"] for run in runs}
    lines = []
    for (seed, whole), parts in have.items():
        missing = [f"{part}/{whole}" for part in range(1, whole + 1) if part not in parts]
        if missing:
            verb = f"shard {missing[0]} is" if len(missing) == 1 else f"shards {', '.join(missing)} are"
            lines.append(f"NOT COMPLETE: {verb} missing" + (f" for seed {seed}" if len(seeds) > 1 else ""))
    return lines


def _seeds(runs: Sequence[_Run]) -> list[str]:
    seeds = sorted({run.manifest["seed"] for run in runs})
    if len(seeds) == 1:
        return []
    return [f"pooled over seeds {', '.join(map(str, seeds))}: n counts examples × seeds, and std spreads over both"]


def _mixed(runs: Sequence[_Run]) -> list[str]:
    """Warnings of what no setting tells: other weights under one seed, other code."""
    lines = []
    weights = defaultdict(set)
    for run in runs:
        weights[run.manifest["seed"]].add(run.manifest["model"])
    for seed, different in weights.items():
        if len(different) > 1:
            lines.append(f"WARNING the runs pooled here hold {len(different)} different models of seed {seed}")
    if len(weights) > 1 and len(set.union(*weights.values())) == 1:
        lines.append("WARNING the seeds pooled here share one model: n counts its examples anew for every seed")
    if len({run.manifest["code"] for run in runs}) > 1:
        lines.append("WARNING the runs pooled here were made by different versions of the code")
    return lines
