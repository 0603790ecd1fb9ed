"""Shards of one run put together: the run folder that the whole run would have left."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import chain, zip_longest
from pathlib import Path
from uuid import uuid4

import pandas as pd

from harness.results.ownership import owned
from harness.results.run_folder import RunFolder
from harness.tables import MUST_MATCH, STORED, Costs, Counts, Manifest


def shards(paths: Sequence[Path]) -> list[RunFolder]:
    """The folders in the order of their shards, where they are all those of one run and complete; else none."""
    found: dict[int, RunFolder] = {}
    runs, count = set(), 0
    for folder in map(RunFolder, paths):
        manifest = folder.manifest
        if not manifest.shard or manifest.status != "complete":
            return []
        number, count = map(int, manifest.shard.split("/"))
        found[number] = folder
        same = {name: getattr(manifest, name) for name in MUST_MATCH}
        same["config"] = {**manifest.config, "shard": None}
        runs.add(json.dumps([count, same], sort_keys=True))
        if len(runs) > 1:
            return []
    return [found[number] for number in sorted(found)] if len(found) == len(paths) == count else []


def join(folders: Sequence[RunFolder], path: Path) -> RunFolder:
    """Write the tables and the manifest of the whole run; its seconds and passes are the shards' sums.

    Raises:
        ValueError: the folder holds a run already, or tables of one.
    """
    whole = RunFolder(path)
    if whole.holds_a_run:
        raise ValueError(f"{path} holds a run already: choose another folder with --out, or assay-report {path}")
    if whole.has_rows:  # which would be read as the shards'
        raise ValueError(f"{path} holds tables without a manifest: remove them, or choose another folder with --out")
    with owned(path):
        return _joined(folders, whole)


def _joined(folders: Sequence[RunFolder], whole: RunFolder) -> RunFolder:
    manifests = [folder.manifest for folder in folders]
    tables = {name: [folder.table(name) for folder in folders] for name in STORED}
    orders = [table["example"].tolist() for table in tables["examples"]]
    dealt = chain.from_iterable(zip_longest(*orders))  # the order in which shard=k/n distributes them
    rank = {example: index for index, example in enumerate(example for example in dealt if example is not None)}
    merged = {}
    for name, parts in tables.items():
        table = pd.concat(parts, ignore_index=True)
        table = table.sort_values("example", key=lambda column: column.map(rank), kind="stable")
        merged[name] = table.reset_index(drop=True)
    whole.write_manifest(_whole(manifests))
    whole.write_tables(merged)
    maps = [table for table in (folder.maps() for folder in folders) if table is not None]
    if maps:
        whole.write_maps(pd.concat(maps, ignore_index=True))
    for folder in folders:  # each shard has planes of its own, and a head has one: the first shard's
        points, planes = folder.projections(), folder.planes()
        if points is not None and planes is not None:
            whole.write_projections(points, planes)
            break
    return whole


def _whole(manifests: Sequence[Manifest]) -> Manifest:
    first = manifests[0]
    phases: dict[str, float] = defaultdict(float)
    for manifest in manifests:
        for name, spent in manifest.phases.items():
            phases[name] += spent
    counts = [manifest.counts for manifest in manifests if manifest.counts is not None]
    return replace(
        first,
        run=uuid4().hex,
        shard=None,
        config={**first.config, "shard": None},
        overrides=[one for one in first.overrides if not one.lstrip("+").startswith("shard=")],
        joined=[manifest.overrides for manifest in manifests],
        examples=sum(manifest.examples for manifest in manifests),
        phases=dict(phases),
        costs=sum((manifest.costs for manifest in manifests), start=Costs()),
        peak_memory_mib=max(manifest.peak_memory_mib or 0 for manifest in manifests),
        warnings=sorted({warning for manifest in manifests for warning in manifest.warnings}),
        counts=Counts(**{one.name: sum(getattr(count, one.name) for count in counts) for one in fields(Counts)}),
    )
