"""What distinguishes the runs of a sweep, as names in their tables: `rollout (residual=0.1)`, `bert [include=all]`."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.tables import METHOD_GROUPS, Manifest

CHANGES_NO_NUMBER = (
    *("seed", "shard", "threads", "token_budget"),  # seeds are pooled
    *("maps", "projections", "projection", "figures", "pictured", "html", "pairs"),
)
Settings = Mapping[str, object]


@dataclass(frozen=True)
class RunLabels:
    """What one run's task, model and methods are called in a table of several runs."""

    task: str
    model: str
    explainers: Mapping[str, str]
    references: Mapping[str, str]
    metrics: Mapping[str, str]

    @property
    def measures(self) -> dict[str, str]:
        """Those of references and metrics."""
        return {**self.references, **self.metrics}


def run_labels(manifests: Sequence[Manifest]) -> list[RunLabels]:
    """A name for everything in every run, with just those settings in which the runs differ.

    Compared are the settings of a task, of a model, of a method wherever runs share it, and the settings of the run
    among all runs of a task. A setting that follows the run's seed is not a difference.
    """
    tasks, models = defaultdict(list), defaultdict(list)
    for manifest in manifests:
        tasks[manifest.task].append(manifest)
        models[manifest.task, manifest.model_name].append(manifest)
    beside = {task: _Beside(runs) for task, runs in tasks.items()}
    alike = {model: _Beside(runs) for model, runs in models.items()}
    return [_labels(one, beside[one.task], alike[one.task, one.model_name]) for one in manifests]


def _labels(manifest: Manifest, beside: "_Beside", alike: "_Beside") -> RunLabels:
    task = beside.differences(manifest, "task")
    if not task and beside.several_data and manifest.data is not None:  # the same settings, but the file has changed
        task = [f"data={manifest.data[:8]}"]
    model = alike.differences(manifest, "model") + beside.differences(manifest)
    methods = {
        group: {
            name: name + _bracketed(beside.differences(manifest, group, name))
            for name in manifest.config.get(group) or {}
        }
        for group in METHOD_GROUPS
    }
    names = [
        name + (f" [{', '.join(parts)}]" if parts else "")
        for name, parts in ((manifest.task, task), (manifest.model_name, model))
    ]
    return RunLabels(names[0], names[1], **methods)


def _bracketed(parts: Sequence[str]) -> str:
    return f" ({', '.join(parts)})" if parts else ""


class _Beside:
    """Runs that stand beside each other in a table, and the settings in which they differ, found once for all."""

    def __init__(self, runs: Sequence[Manifest]):
        self._runs = runs
        self._differing: dict[tuple[str, ...], set[str]] = {}
        self.several_data = len({run.data for run in runs if run.data is not None}) > 1

    def differences(self, manifest: Manifest, *path: str) -> list[str]:
        """`key=value` of each setting at a path that not all runs with such settings have alike."""
        if path not in self._differing:
            self._differing[path] = self._found(path)
        differing, mine = self._differing[path], _settings(manifest, path)
        return [f"{key}={'null' if mine[key] is None else mine[key]}" for key in mine if key in differing]

    def _found(self, path: tuple[str, ...]) -> set[str]:
        having = [(run, flat) for run in self._runs if (flat := _settings(run, path))]
        found = set()
        for key in dict.fromkeys(key for _, flat in having for key in flat):
            first, values = having[0][1].get(key), [(run, flat.get(key)) for run, flat in having]
            follows = key.split(".")[-1] == "seed" and all(value == run.seed for run, value in values)
            if not follows and any(value != first for _, value in values):
                found.add(key)
        return found


def _settings(manifest: Manifest, path: tuple[str, ...]) -> dict[str, object]:
    """The settings at a path of a run's configuration, flat; without a path those of the run itself."""
    return _flat(_at(manifest, *path) if path else _of_run(manifest))


def _of_run(manifest: Manifest) -> Settings:
    apart = (*CHANGES_NO_NUMBER, *METHOD_GROUPS, "task", "model")
    return {key: value for key, value in manifest.config.items() if key not in apart}


def _at(manifest: Manifest, *path: str) -> Settings:
    """The part of a run's configuration at a path; empty where it has none."""
    value: object = manifest.config
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    settings = value if isinstance(value, Mapping) else {}
    return {key: inner for key, inner in settings.items() if key != "threads"}


def _flat(settings: Settings, before: str = "") -> dict[str, object]:
    """Nested settings by their dotted path."""
    flat: dict[str, object] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{before}{key}.")
        else:
            flat[f"{before}{key}"] = value
    return flat
