"""What each method of a run costs per example, as a grid."""

from harness.report.cells import Number, Text
from harness.report.grid import Column, Grid, GridLines, name_columns
from harness.tables import Costs, Manifest


def cost_grid(manifest: Manifest, costs: Costs, examples: int) -> Grid | None:
    """Seconds and passes of the model, forward and backward, per example, and the paper of each method.

    None where nothing was measured.
    """
    shared = costs.of("phase").get("trace")
    if shared is None:
        return None
    lines = GridLines()
    for kind, methods in (("explainer", manifest.explainers), ("reference", manifest.references)):
        lines.rule()
        spent = costs.of(kind)
        for name, method in methods.items():
            if name in spent:
                cost = spent[name]
                passes = [Number(count / examples, ".1f") for count in (cost.forward, cost.backward)]
                names = [Text(name), Text(kind), Text(method.source)]
                lines.add([*names, Number(cost.seconds / examples, ".3g"), *passes])
    notes = [
        "each method as if it ran alone, not counting the forward pass that all methods share "
        f"({shared.seconds / examples:.3g} seconds); a pass is one text through the whole model, or a gradient back "
        "from its output; work on parts of the model counts in seconds only"
    ]
    columns = [
        *name_columns("method", ""),
        Column("source", "text"),
        Column("seconds", "seconds"),
        Column("forward"),
        Column("backward"),
    ]
    title = f"{manifest.task}, {manifest.model_name}, seed {manifest.seed}: cost per example, n {examples}"
    return lines.grid(manifest.task, title, columns, notes)
