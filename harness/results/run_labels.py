"""What tells the runs of a sweep apart, as names for their tables: `rollout (residual=0.1)`, `model [include=all]`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CHANGES_NO_NUMBER = (
    "seed",
    "shard",
    "threads",
    "token_budget",
    "maps",
    "figures",
    "pictured",
    "pairs",
)  # seeds are pooled
METHODS = ("explainers", "references", "metrics")


@dataclass(frozen=True)
class Names:
    """What one run's task, model and methods are called in a table of several runs."""

    task: str
    model: str
    explainers: Mapping[str, str]
    references: Mapping[str, str]
    metrics: Mapping[str, str]


def names(manifests: Sequence[Mapping[str, Any]]) -> list[Names]:
    """A name of everything in every run, with just those settings in which the runs differ.

    Compared are the settings of a task, of a model, of a method wherever runs share it, and the settings of the run
    among all runs of a task. A setting that follows the run's seed is no difference.
    """
    named = []
    for manifest in manifests:
        beside = [other for other in manifests if other["task"] == manifest["task"]]
        alike = [other for other in beside if other["model_name"] == manifest["model_name"]]
        task = _differences(manifest, beside, lambda one: _at(one, "task"))
        data = {other["data"] for other in beside if "data" in other}
        if not task and len(data) > 1 and "data" in manifest:  # the same settings, but the file behind them changed
            task = [f"data={manifest['data'][:8]}"]
        model = _differences(manifest, alike, lambda one: _at(one, "model")) + _differences(manifest, beside, _of_run)
        methods = {
            group: {
                name: name + _bracketed(_differences(manifest, beside, lambda one, at=(group, name): _at(one, *at)))
                for name in manifest["config"].get(group) or {}
            }
            for group in METHODS
        }
        square = (f" [{', '.join(parts)}]" if parts else "" for parts in (task, model))
        named.append(
            Names(*(manifest[key] + text for key, text in zip(("task", "model_name"), square, strict=True)), **methods)
        )
    return named


def _bracketed(parts: Sequence[str]) -> str:
    return f" ({', '.join(parts)})" if parts else ""


def _differences(manifest: Mapping[str, Any], others: Iterable[Mapping[str, Any]], settings: Any) -> list[str]:
    """`key=value` of each setting of this run that is another in one of the others, where they have such settings."""
    having = [(one, flat) for one in others if (flat := _flat(settings(one)))]
    mine, texts = _flat(settings(manifest)), []
    for key in mine:
        values = [(one, flat.get(key)) for one, flat in having]
        follows = key.split(".")[-1] == "seed" and all(value == one["seed"] for one, value in values)
        if not follows and any(value != mine[key] for _, value in values):
            texts.append(f"{key}={'null' if mine[key] is None else mine[key]}")
    return texts


def _of_run(manifest: Mapping[str, Any]) -> dict[str, Any]:
    apart = (*CHANGES_NO_NUMBER, *METHODS, "task", "model")
    return {key: value for key, value in manifest["config"].items() if key not in apart}


def _at(manifest: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """The part of a run's configuration at a path; empty where it has none."""
    value: Any = manifest["config"]
    for key in path:
        value = (value or {}).get(key) if isinstance(value, Mapping) else None
    settings = value if isinstance(value, Mapping) else {}
    return {key: inner for key, inner in settings.items() if key != "threads"}


def _flat(settings: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested settings by their dotted path."""
    flat = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{before}{key}.")
        else:
            flat[f"{before}{key}"] = value
    return flat
