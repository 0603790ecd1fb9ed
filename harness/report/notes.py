"""The notes under the tables of a run, or of pooled runs: protocol, accuracy, warnings, errors, cost."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.tables import ACCURACY_BY, NO_GOLD, Manifest


@dataclass(frozen=True)
class NotedRun:
    """What the notes of a run are made from.

    Args:
        path: its folder.
        measured: the rows of references and metrics.
    """

    path: Path
    manifest: Manifest
    examples: pd.DataFrame
    measured: pd.DataFrame


def run_notes(runs: Sequence[NotedRun]) -> list[str]:
    """The notes of runs that differ only in their seeds, their shards and their methods."""
    manifests = [run.manifest for run in runs]
    examples = pd.concat([run.examples for run in runs])
    return [
        _protocol(manifests),
        *_unfinished(runs),
        *_reductions(manifests),
        *_accuracy(manifests),
        *(_correct(examples) if all(manifest.exclusive_classes for manifest in manifests) else []),
        *dict.fromkeys(f"LEFT OUT {name}: {why}" for one in manifests for name, why in one.left_out.items()),
        "gradient at the input: |sum| / norm over hidden dimensions, median over examples: "
        f"{examples['gradient_sum_over_norm'].median():.1e}",
        *dict.fromkeys(f"WARNING {warning}" for one in manifests for warning in one.warnings),
        *_failures(pd.concat([run.measured for run in runs])),
        _cost(manifests),
    ]


def shared_notes(by_model: Mapping[str, Sequence[str]]) -> list[str]:
    """The notes of several models as one list: each once, after the names of its models unless it holds for all."""
    models = defaultdict(list)
    for model, notes in by_model.items():
        for note in notes:
            models[note].append(model)
    return [note if len(who) == len(by_model) else f"{', '.join(who)}: {note}" for note, who in models.items()]


def _protocol(manifests: Sequence[Manifest]) -> str:
    first = manifests[0]
    counted = {(manifest.seed, manifest.shard): manifest.examples for manifest in manifests}
    seeds = {seed for seed, _ in counted}
    shard = "" if len(manifests) > 1 or first.shard is None else f" (shard {first.shard})"
    times = f" over {len(seeds)} seeds" if len(seeds) > 1 else ""
    protocol = first.protocol
    how = (
        ""
        if protocol is None
        else f"explained: {protocol.target} class, {protocol.output}; ranked tokens: {protocol.include}; "
        f"ties: {protocol.ranks} ranks; removal: {protocol.removal}; "
    )
    return (
        f"{sum(counted.values())} examples{times}{shard}; {how}± is the standard deviation over examples; n is the "
        "number of defined correlations"
    )


def _unfinished(runs: Sequence[NotedRun]) -> list[str]:
    notes = []
    for run in runs:
        manifest = run.manifest
        if manifest.status != "complete":
            explained = run.examples["example"].nunique()
            where = f" in {run.path}" if len(runs) > 1 else ""
            notes.append(f"NOT COMPLETE ({manifest.status}): {explained} of {manifest.examples} examples{where}")
    return notes


def _reductions(manifests: Iterable[Manifest]) -> list[str]:
    """How methods with a number per hidden dimension come to one per token, which changes ranks."""
    by_rule: dict[str, dict[str, None]] = defaultdict(dict)
    for manifest in manifests:
        for methods, prefix in ((manifest.explainers, ""), (manifest.references, "reference ")):
            for name, method in methods.items():
                if method.reduction is not None:
                    by_rule[method.reduction][prefix + name] = None
    texts = [f"{rule} ({', '.join(names)})" for rule, names in by_rule.items()]
    return [f"numbers per hidden dimension are reduced by {', '.join(texts)}"] if texts else []


def _accuracy(manifests: Iterable[Manifest]) -> list[str]:
    """The accuracy of the models; with the seed, where models of several seeds differ."""
    seeds: dict[str, dict[int, None]] = defaultdict(dict)
    for manifest in manifests:
        facts = manifest.facts
        if "accuracy" in facts:
            note = f"model accuracy on the task's test set: {facts['accuracy']:.3f}"
            for key, groups in facts.items():
                if key.startswith(ACCURACY_BY):
                    cells = (f"{name}: {group['accuracy']:.3f} (n {group['n']})" for name, group in groups.items())
                    note += f"; by {key.removeprefix(ACCURACY_BY)} {', '.join(cells)}"
            seeds[note][manifest.seed] = None
    if len(seeds) == 1:
        return list(seeds)
    return [f"seed {', '.join(map(str, which))}: {note}" for note, which in seeds.items()]


def _correct(examples: pd.DataFrame) -> list[str]:
    labelled = examples[(examples["gold"] != NO_GOLD) & (examples["predicted"] != NO_GOLD)]
    if labelled.empty:
        return []
    correct = int((labelled["predicted"] == labelled["gold"]).sum())
    share = correct / len(labelled)
    return [f"the model is correct on {correct} of {len(labelled)} explained examples ({share:.3f})"]


def _failures(rows: pd.DataFrame) -> list[str]:
    rows = rows[rows["kind"].isin(["explainer", "floor"])]  # a reference that fails does so with every one of them
    notes = []
    for error, cells in rows[rows["status"] == "failed"].groupby("error", sort=False):
        explainers = _among(cells["explainer"].unique(), rows["explainer"].unique(), "explainers")
        measures = _among(cells["measure"].unique(), rows["measure"].unique(), "references")
        notes.append(f"FAILED {explainers} with {measures}, {cells['example'].nunique()} examples: {error}")
    return notes


def _among(some: Sequence[str], every: Sequence[str], plural: str) -> str:
    return f"all {plural}" if 1 < len(every) == len(some) else ", ".join(some)


def _cost(manifests: Sequence[Manifest]) -> str:
    seconds: dict[str, float] = defaultdict(float)
    for manifest in manifests:
        for name, spent in manifest.phases.items():
            seconds[name] += spent
        for kind, prefix in (("phase", ""), ("reference", "reference "), ("metric", "metric ")):
            for name, cost in manifest.costs.of(kind).items():
                seconds[prefix + name] += cost.seconds
    peaks = [manifest.peak_memory_mib for manifest in manifests if manifest.peak_memory_mib is not None]
    memory = f"; peak memory {max(peaks)} MiB" if peaks else ""
    return f"seconds: {', '.join(f'{name} {value:.1f}' for name, value in seconds.items())}{memory}"
