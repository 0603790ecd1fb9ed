"""What each method of a run cost, per example, as a grid."""

import sys
from collections.abc import Mapping
from typing import Any

from harness.report.grid import Grid, Lines
from harness.tracing.meter import Cost

GROUPS = {"explainers": "explainer", "references": "reference"}


def source_of(method: object) -> str:
    """The paper of a method: the first line of its file's docstring."""
    text = sys.modules[type(method).__module__].__doc__ or ""
    return text.strip().split("\n")[0].split(" https:")[0].rstrip(".")


def cost_grid(manifest: Mapping[str, Any], costs: Mapping[str, Cost], examples: int) -> Grid | None:
    """Seconds, and runs of the whole model forward and backward, per example; and where the method is from.

    None for a run that was killed between its last example and its manifest: nobody counted for it.
    """
    if "trace" not in costs:
        return None
    lines = Lines()
    for group, kind in GROUPS.items():
        lines.rule()
        for name, source in manifest["sources"][group].items():
            cost = costs.get(f"{kind} {name}")
            if cost is not None:
                passes = [f"{count / examples:.1f}" for count in (cost.forward, cost.backward)]
                lines.add([name, kind, source, f"{cost.seconds / examples:.3g}", *passes])
    shared = costs["trace"].seconds / examples
    notes = [
        f"each method as if it ran alone, beside the forward pass that all share ({shared:.3g} seconds); "
        "a pass is one text through the whole model, or a gradient back from its output; work on parts of "
        "the model shows in the seconds alone"
    ]
    columns = ["method", "", "source", "seconds", "forward", "backward"]
    task, model = manifest["task"], manifest["model_name"]
    title = f"{task}, {model}, seed {manifest['seed']}: cost per example, n {examples}"
    return lines.grid(str(task), title, columns, notes, names=3)
