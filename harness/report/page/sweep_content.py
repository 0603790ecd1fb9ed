"""What a page holds of a sweep: its leaderboard and rankings, the models' depths, the lost runs, and the notes."""

from collections import defaultdict
from pathlib import Path

import pandas as pd

from harness.report.page import PAGE
from harness.report.page.content import columns, direction
from harness.report.page.definitions import DEFINITIONS
from harness.report.page.packing import Arrays, Content
from harness.report.pool_tables import PoolTables
from harness.results.run_folder import RunFolder


def sweep_content(sweep: PoolTables, folder: Path) -> tuple[Content, Arrays]:
    """The content of a sweep's page, as `packed` takes it; there are no arrays.

    Args:
        sweep: its pools.
        folder: where the page will be: pages of single runs below it are linked.
    """
    board = pd.DataFrame() if sweep.board is None else sweep.board[sweep.board["kind"] != "reliability"]
    ranking = pd.DataFrame() if sweep.ranking is None else sweep.ranking
    models = _models(sweep, board)
    content = {
        "kind": "sweep",
        "title": f"Sweep: {_counted(models, 'model', 'models')}, {', '.join(sweep.tasks)}",
        "folder": folder.name,
        "answer": _answer(ranking),
        "tasks": [{"name": task, "notes": sweep.notes(task)} for task in sweep.tasks],
        "models": models,
        "measures": _measures(board),
        "explainers": _explainers(board),
        "board": columns(board),
        "ranking": columns(ranking),
        "runs": [
            {"task": pool.task, "model": pool.model, "seed": run.manifest.seed, "shard": run.manifest.shard}
            | {"folder": _below(folder, run.folder.path), "examples": len(run.examples)}
            | {"page": _page(folder, run.folder)}
            for pool in sweep.pools
            for run in pool.runs
        ],
        "lost": [
            {"task": one.task, "model": one.model, "seed": one.seed, "shard": one.shard, "status": one.status}
            | {"error": one.error, "folder": _below(folder, one.folder)}
            for one in sweep.lost
        ],
        "definitions": DEFINITIONS,
    }
    return content, {}


def _models(sweep: PoolTables, board: pd.DataFrame) -> list[Content]:
    """Every model of every task that has results, with its number of layers; 0 where no method has layers."""
    return [
        {"task": pool.task, "name": pool.model}
        | {"layers": int(board.loc[(board["task"] == pool.task) & (board["model"] == pool.model), "layer"].max())}
        for pool in sweep.pools
    ]


def _measures(board: pd.DataFrame) -> list[Content]:
    """References and metrics of each task, in their order; `higher` is None for a reference."""
    if board.empty:
        return []
    first = board[["task", "measure", "higher"]].drop_duplicates(["task", "measure"])
    return [
        {"task": task, "name": name, "higher": direction(higher)}
        for task, name, higher in first.itertuples(index=False, name=None)
    ]


def _explainers(board: pd.DataFrame) -> list[Content]:
    """Whatever has lines in the leaderboard, in its order."""
    if board.empty:
        return []
    return [
        {"kind": kind, "name": name, "layers": sorted(own["layer"].unique()), "heads": int(own["head"].max())}
        for (kind, name), own in board.groupby(["kind", "explainer"], sort=False)
    ]


def _answer(ranking: pd.DataFrame) -> list[str]:
    """For each task and measure, which explainers lead, and in how many models."""
    sentences = []
    explainers = ranking[ranking["kind"] == "explainer"] if len(ranking) else ranking
    for (task, measure), lines in explainers.groupby(["task", "measure"], sort=False) if len(explainers) else ():
        models: dict[str, list[str]] = defaultdict(list)
        for model, own in lines.groupby("model", sort=False):
            models[str(own["explainer"].iloc[0])].append(str(model))  # the best mean comes first
        leaders = sorted(models.items(), key=lambda one: -len(one[1]))
        of = _number(lines["model"].nunique(), "model", "models")
        texts = [f"{name} has the best mean in {len(where)} of {of}" for name, where in leaders]
        how = f"compared with {measure}" if pd.isna(lines["higher"].iloc[0]) else f"by {measure}"
        sentences.append(f"{task}, {how}, each explainer at its best layer: {'; '.join(texts)}.")
    return sentences


def _counted(models: list[Content], one: str, several: str) -> str:
    return _number(len({model["name"] for model in models}), one, several)


def _number(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"


def _below(folder: Path, path: Path) -> str:
    """A path as seen from a folder, where it is below it."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _page(folder: Path, run: RunFolder) -> str | None:
    """The run's own page, as seen from the folder; None where it has none."""
    page = run.path / PAGE
    return page.relative_to(folder).as_posix() if page.is_relative_to(folder) and page.is_file() else None
