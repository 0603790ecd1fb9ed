"""Run folders with tables and manifests made by hand."""

from pathlib import Path

import pandas as pd

from harness.results.run_folder import RunFolder
from harness.tables import (
    EXAMPLES,
    METRICS,
    ROWS,
    SCORES,
    STORED,
    Cost,
    Costs,
    Manifest,
    Method,
    RecordedProtocol,
    Schema,
)

EMPTY = {"text": "", "whole": 0, "real": float("nan"), "truth": False}
RUN = {"task": "agreement", "model": "small", "seed": 0, "status": "ok", "error": None}


def filled(schema: Schema, table: pd.DataFrame, **values) -> pd.DataFrame:
    """The table with all columns of its schema; missing ones are filled with a single value."""
    table = table.copy()
    for name, kind in schema.columns.items():
        if name not in table:
            plain = kind.rstrip("?")
            table[name] = [[] for _ in table.index] if plain == "list" else values.get(name, EMPTY.get(plain))
    return schema.check(table)


def manifest(**given) -> Manifest:
    """The manifest of a complete run of two explainers, a floor and a reference."""
    fields = {
        "status": "complete",
        "task": "agreement",
        "model_name": "small",
        "seed": 0,
        "shard": None,
        "config": {"seed": 0},
        "overrides": [],
        "protocol": RecordedProtocol("predicted", "logit", "content", "average", 2048),
        "data": "d",
        "model": "m",
        "code": "c",
        "explainers": {"rollout": Method("Rollout()", "Rollout"), "random": Method("Random()", "Random")},
        "references": {"blank_out": Method("BlankOut()", "Blank-out")},
        "costs": Costs({("phase", "trace"): Cost(1.0, 4), ("explainer", "rollout"): Cost(1.5, 4, 8)}),
    }
    return Manifest(**fields | given)


def rewrite(folder: RunFolder, **changed: pd.DataFrame) -> None:
    """Replace tables of a finished run, as a run that computed others would have written them."""
    folder.write_tables({name: folder.table(name) for name in STORED} | changed)


def write_run(
    path: Path,
    rows: pd.DataFrame,
    examples: pd.DataFrame,
    metrics: pd.DataFrame | None = None,
    scores: pd.DataFrame | None = None,
    **given,
) -> RunFolder:
    """A finished run; columns missing from its tables are filled in."""
    path.mkdir(parents=True)
    folder = RunFolder(path)
    folder.write_manifest(manifest(examples=len(examples), **given))
    tables = {
        "rows": filled(ROWS, rows, **RUN, n_tokens=5) if len(rows) else ROWS.empty(),
        "examples": filled(EXAMPLES, examples, gold=1, predicted=1, gradient_sum_over_norm=0.5),
        "metrics": METRICS.empty() if metrics is None else filled(METRICS, metrics, **RUN),
        "scores": SCORES.empty() if scores is None else filled(SCORES, scores),
    }
    folder.write_tables(tables)
    return folder
