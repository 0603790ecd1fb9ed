"""Assay measures whether token attributions for Transformers are faithful.

This is the Python API that docs/python.md shows. Importing it costs nothing: each name is loaded when it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.api.choosing import explainer, metric, reference, task
    from harness.api.evaluation import ConfiguredRun, evaluate, experiment
    from harness.api.loading import load
    from harness.api.results import Results, open_run
    from harness.api.scores import Scores, explain, rho, trace
    from harness.contracts import Model, Task
    from harness.tracing.batch import Example
    from harness.tracing.run import Trace

__all__ = [
    "ConfiguredRun",
    "Example",
    "Model",
    "Results",
    "Scores",
    "Task",
    "Trace",
    "evaluate",
    "experiment",
    "explain",
    "explainer",
    "load",
    "metric",
    "open_run",
    "reference",
    "rho",
    "task",
    "trace",
]

_WHERE = {
    "Example": "harness.tracing.batch",
    "ConfiguredRun": "harness.api.evaluation",
    "Model": "harness.contracts",
    "Results": "harness.api.results",
    "Scores": "harness.api.scores",
    "Task": "harness.contracts",
    "Trace": "harness.tracing.run",
    "evaluate": "harness.api.evaluation",
    "experiment": "harness.api.evaluation",
    "explain": "harness.api.scores",
    "explainer": "harness.api.choosing",
    "load": "harness.api.loading",
    "metric": "harness.api.choosing",
    "open_run": "harness.api.results",
    "reference": "harness.api.choosing",
    "rho": "harness.api.scores",
    "task": "harness.api.choosing",
    "trace": "harness.api.scores",
}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module 'harness' has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
