"""What stands under the tables of a run, or of runs that are pooled: protocol, accuracy, warnings, errors, cost."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from harness.results.run_folder import RunFolder
from harness.tracing.batch import NO_GOLD

ACCURACY_BY = "accuracy_by_"


def notes(folders: Sequence[RunFolder]) -> list[str]:
    """The notes of runs that differ in nothing but their seeds, their shards and their methods."""
    manifests = [folder.manifest for folder in folders]
    pooled = len(folders) > 1
    protocol = manifests[0]["protocol"]
    counted = {(manifest["seed"], manifest.get("shard")): manifest["examples"] for manifest in manifests}
    seeds = {seed for seed, _ in counted}
    part = "" if pooled or manifests[0].get("shard") is None else f" (shard {manifests[0]['shard']})"
    times = f" over {len(seeds)} seeds" if len(seeds) > 1 else ""
    lines = [
        f"{sum(counted.values())} examples{times}{part}; explained: {protocol['target']} class, {protocol['output']}; "
        f"ranked tokens: {protocol['include']}; ties: {protocol['ranks']} ranks; ± is the standard deviation over "
        "examples; n counts defined correlations"
    ]
    for folder, manifest in zip(folders, manifests, strict=True):
        if manifest["status"] != "complete":
            explained = folder.table("examples")["example"].nunique()
            where = f" in {folder.path}" if pooled else ""
            lines.append(f"NOT COMPLETE ({manifest['status']}): {explained} of {manifest['examples']} examples{where}")
    lines += _reductions(manifests)
    lines += _by_seed(manifests)
    examples: Any = pd.concat([folder.table("examples") for folder in folders])
    labelled = examples[examples["gold"] != NO_GOLD]
    if len(labelled):
        right = int((labelled["predicted"] == labelled["gold"]).sum())
        share = right / len(labelled)
        lines.append(f"the model is right on {right} of {len(labelled)} explained examples ({share:.3f})")
    lines += dict.fromkeys(f"LEFT OUT {name}: {why}" for one in manifests for name, why in one["left_out"].items())
    left = examples["gradient_sum_over_norm"].median()
    lines.append(f"gradient at the input: |sum| / norm over hidden dimensions, median: {left:.1e}")
    lines += dict.fromkeys(f"WARNING {warning}" for manifest in manifests for warning in manifest.get("warnings", []))
    rows: Any = pd.concat([folder.measured() for folder in folders])
    rows = rows[rows["kind"].isin(["explainer", "floor"])]  # a reference that fails does so with every one of them
    for error, cells in rows[rows["status"] == "failed"].groupby("error", sort=False):
        who = " with ".join(
            _named(cells[kind].unique(), rows[kind].unique(), kind) for kind in ("explainer", "reference")
        )
        lines.append(f"FAILED {who}, {cells['example'].nunique()} examples: {error}")
    phases: dict[str, float] = defaultdict(float)
    for manifest in manifests:
        for name, spent in manifest["seconds"].items():
            if "explainer " not in name:
                phases[name.removeprefix("phase ")] += spent
    cost = ", ".join(f"{name} {value:.1f}" for name, value in phases.items())
    peaks = [manifest["peak_memory_mib"] for manifest in manifests if "peak_memory_mib" in manifest]
    memory = f"; peak memory {max(peaks)} MiB" if peaks else ""
    return [*lines, f"seconds: {cost}{memory}"]


def shared(by_model: Mapping[str, Sequence[str]]) -> list[str]:
    """Notes of several models in one list: each once, with the names of its models unless it holds for all."""
    models = defaultdict(list)
    for model, lines in by_model.items():
        for line in lines:
            models[line].append(model)
    return [line if len(who) == len(by_model) else f"{', '.join(who)}: {line}" for line, who in models.items()]


def _reductions(manifests: Iterable[Mapping[str, Any]]) -> list[str]:
    """How methods with a number per hidden dimension come to one per token, which changes ranks."""
    by_rule: dict[str, dict[str, None]] = defaultdict(dict)
    for manifest in manifests:
        for group, prefix in (("explainers", ""), ("references", "reference ")):
            for name, method in manifest[group].items():
                if rule := re.search(r"\breduce='(\w+)'", method):  # its own, or of the method that it runs
                    by_rule[rule[1]][prefix + name] = None
    texts = [f"{rule} ({', '.join(names)})" for rule, names in by_rule.items()]
    return [f"numbers per hidden dimension are reduced by {', '.join(texts)}"] if texts else []


def _by_seed(manifests: Iterable[Mapping[str, Any]]) -> list[str]:
    """The models' accuracy; with its seed, where the seeds' models differ."""
    seeds = defaultdict(dict)
    for manifest in manifests:
        facts = manifest["facts"]
        if "accuracy" in facts:
            line = f"model accuracy on the task's test part: {facts['accuracy']:.3f}{_groups(facts)}"
            seeds[line][manifest["seed"]] = True
    if len(seeds) == 1:
        return list(seeds)
    return [f"seed {', '.join(map(str, which))}: {line}" for line, which in seeds.items()]


def _named(some: Sequence[str], every: Sequence[str], kind: str) -> str:
    return f"all {kind}s" if 1 < len(every) == len(some) else ", ".join(some)


def _groups(facts: Mapping[str, Any]) -> str:
    texts = []
    for key in facts:
        if key.startswith(ACCURACY_BY):
            cells = ", ".join(f"{name}: {group['accuracy']:.3f} (n {group['n']})" for name, group in facts[key].items())
            texts.append(f"; by {key.removeprefix(ACCURACY_BY)} {cells}")
    return "".join(texts)
