"""What distinguishes the runs of a sweep, as names in their tables: `rollout (residual=0.1)`, `bert [include=all]`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
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
    labels = []
    for manifest in manifests:
        beside = [other for other in manifests if other.task == manifest.task]
        alike = [other for other in beside if other.model_name == manifest.model_name]
        task = _differences(manifest, beside, lambda one: _at(one, "task"))
        data = {other.data for other in beside if other.data is not None}
        if not task and len(data) > 1 and manifest.data is not None:  # the same settings, but the file has changed
            task = [f"data={manifest.data[:8]}"]
        model = _differences(manifest, alike, lambda one: _at(one, "model")) + _differences(manifest, beside, _of_run)
        methods = {
            group: {
                name: name + _bracketed(_differences(manifest, beside, lambda one, at=(group, name): _at(one, *at)))
                for name in manifest.config.get(group) or {}
            }
            for group in METHOD_GROUPS
        }
        names = [
            name + (f" [{', '.join(parts)}]" if parts else "")
            for name, parts in ((manifest.task, task), (manifest.model_name, model))
        ]
        labels.append(RunLabels(names[0], names[1], **methods))
    return labels


def _bracketed(parts: Sequence[str]) -> str:
    return f" ({', '.join(parts)})" if parts else ""


def _differences(manifest: Manifest, others: Iterable[Manifest], settings: Callable[[Manifest], Settings]) -> list[str]:
    """`key=value` of each setting of this run that has another value in one of the others that have such settings."""
    having = [(one, flat) for one in others if (flat := _flat(settings(one)))]
    mine, texts = _flat(settings(manifest)), []
    for key in mine:
        values = [(one, flat.get(key)) for one, flat in having]
        follows = key.split(".")[-1] == "seed" and all(value == one.seed for one, value in values)
        if not follows and any(value != mine[key] for _, value in values):
            texts.append(f"{key}={'null' if mine[key] is None else mine[key]}")
    return texts


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
