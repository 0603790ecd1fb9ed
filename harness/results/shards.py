"""Shards of one run put together: the run folder that the whole run would have left."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import pandas as pd

from harness.results.run_folder import MUST_MATCH, TABLES, RunFolder
from harness.tracing.meter import Cost


def shards(paths: Sequence[Path]) -> list[RunFolder]:
    """The folders in the order of their shards, where they are all those of one run and complete; else none."""
    parts: dict[int, RunFolder] = {}
    runs, count = set(), 0
    for folder in map(RunFolder, paths):
        manifest = folder.manifest
        if not manifest.get("shard") or manifest["status"] != "complete":
            return []
        part, count = map(int, str(manifest["shard"]).split("/"))
        parts[part] = folder
        same = {name: manifest[name] for name in MUST_MATCH} | {"config": manifest["config"] | {"shard": None}}
        runs.add(json.dumps([count, same], sort_keys=True))
        if len(runs) > 1:
            return []
    return [parts[part] for part in sorted(parts)] if len(parts) == len(paths) == count else []


def join(folders: Sequence[RunFolder], path: Path) -> RunFolder:
    """Write the tables and the manifest of the whole run; its seconds and passes are the shards' sums.

    Raises:
        ValueError: the folder holds a run already, or tables of one.
    """
    whole = RunFolder(path)
    if whole.holds_a_run:
        raise ValueError(f"{path} holds a run already: choose another folder with --out, or assay-report {path}")
    if whole.has_rows:  # which would be read for the shards'
        raise ValueError(f"{path} holds tables without a manifest: remove them, or choose another folder with --out")
    whole.open()
    for number, folder in enumerate(folders):
        for name in TABLES:
            (whole.parts / f"{name}-{number:05d}.parquet").write_bytes((folder.path / f"{name}.parquet").read_bytes())
    orders = [folder.table("examples")["example"].tolist() for folder in folders]
    dealt = chain.from_iterable(zip_longest(*orders))  # as shard=k/n deals them out
    whole.merge([example for example in dealt if example is not None])
    maps = [table for table in (folder.maps() for folder in folders) if table is not None]
    if maps:
        whole.write_maps(pd.concat(maps, ignore_index=True))
    whole.write_manifest(_manifest([folder.manifest for folder in folders], [folder.costs() for folder in folders]))
    return whole


def _manifest(manifests: Sequence[dict[str, Any]], costs: Sequence[dict[str, Cost]]) -> dict[str, Any]:
    first = manifests[0]
    seconds: dict[str, float] = defaultdict(float)
    for manifest in manifests:
        for name, spent in manifest["seconds"].items():
            seconds[name] += spent
    return {
        **first,
        "shard": None,
        "config": {**first["config"], "shard": None},
        "overrides": [one for one in first["overrides"] if not one.lstrip("+").startswith("shard=")],
        "joined": [manifest["overrides"] for manifest in manifests],
        "examples": sum(manifest["examples"] for manifest in manifests),
        "seconds": dict(seconds),
        "costs": {name: asdict(sum((one[name] for one in costs), start=Cost())) for name in costs[0]},
        "peak_memory_mib": max(manifest["peak_memory_mib"] for manifest in manifests),
        "warnings": sorted({warning for manifest in manifests for warning in manifest["warnings"]}),
        "counts": {name: sum(manifest["counts"][name] for manifest in manifests) for name in first["counts"]},
    }
