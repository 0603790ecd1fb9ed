"""Methods and tasks by their names in conf/, as on the command line."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from harness.cli import configuration
from harness.contracts import Explainer, Metric, Reference, Task

Named: TypeAlias = str | tuple[str, Mapping[str, Any]]  # by name, with other parameters if need be
Chosen: TypeAlias = str | Mapping[str, Any] | Sequence[Any]  # methods by name, or as objects


def explainer(name: str, **parameters: object) -> Explainer:
    """An explainer by its name in conf/explainers, with other parameters where some are given.

    Raises:
        ValueError: there is no such explainer or parameter.

    Example:
        >>> harness.explainer("rollout", residual=0.1)
        Rollout(residual=0.1, heads='mean', read_out='head', receptive_field='none', draws=8, seed=0, encoder=True)
    """
    return configuration.method("explainers", name, parameters)


def reference(name: str, **parameters: object) -> Reference:
    """A reference by its name in conf/references; errors as `explainer`.

    Example:
        >>> harness.reference("blank_out", removal="mask").removal
        'mask'
    """
    return configuration.method("references", name, parameters)


def metric(name: str, **parameters: object) -> Metric:
    """A metric by its name in conf/metrics; errors as `explainer`.

    Example:
        >>> harness.metric("comprehensiveness").higher_is_better
        True
    """
    return configuration.method("metrics", name, parameters)


def task(name: str, **settings: object) -> Task:
    """A task by its name in conf/task, with settings as after `task.` on the command line.

    Example:
        >>> harness.task("pronoun").classes
        ('his', 'her')
    """
    return configuration.task_or_model("task", name, settings)


def methods(group: str, chosen: Chosen) -> dict[str, Any]:
    """The chosen methods of a group by name; objects are called after their class.

    Raises:
        ValueError: a name is unknown, or two methods share one.
    """
    if isinstance(chosen, Mapping):
        return {name: _built(group, method) for name, method in chosen.items()}
    named: dict[str, Any] = {}
    for item in [chosen] if isinstance(chosen, str) else chosen:
        name = item if isinstance(item, str) else item[0] if isinstance(item, tuple) else snake_case(item)
        if name in named:
            raise ValueError(f"two {group} are called {name!r}: give them as a mapping, {{name: method}}")
        named[name] = _built(group, item)
    return named


def _built(group: str, item: Any) -> Any:
    if isinstance(item, str):
        return configuration.method(group, item)
    return configuration.method(group, *item) if isinstance(item, tuple) else item


def snake_case(method: object) -> str:
    """The name of a function, or of an object's class, in the form of the names in conf/."""
    name = getattr(method, "__name__", type(method).__name__)
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
