"""docs/methods.md, generated from the methods' own files: `python -m harness.cli.methods_page > docs/methods.md`."""

from harness.cli.described import METHODS, OTHERS, Described, described

INTRODUCTION = """\
# Methods

This page is generated from the files of `methods/` and `conf/`, by `make docs`; `assay list` shows the same on a
terminal. Each file names the paper and equation that it follows, and where it departs from the published program.

- **models**: *any* means any encoder or causal language model that returns attention weights. Other methods read inner
  layers. They serve the model types in `harness/tracing/architectures/` ({families}), and modules that declare
  their own `architecture`. A method that cannot serve a model is left out of a run before it starts, with the reason.
- **cost**: what a method needs for each example besides the forward pass that all methods share. *No pass*: arithmetic
  on that pass. *Layer arithmetic*: work on parts of the layers, without a pass of the whole model. *Few passes*: a
  fixed, small number. The others grow with the number of steps or samples, layers, or tokens.
"""
TITLES = {
    "explainers": "Explainers",
    "references": "References",
    "metrics": "Metrics",
    "task": "Tasks",
    "model": "Models",
    "experiment": "Presets",
}


def page() -> str:
    """The whole page."""
    entries = {group: described(group) for group in (*METHODS, *OTHERS)}
    families = next(one.models for group in METHODS for one in entries[group] if not one.models.startswith("any"))
    parts = [INTRODUCTION.format(families=families.partition(", and")[0])]
    for group, listed in entries.items():
        parts += [f"## {TITLES[group]}\n", _table(group, listed)]
    return "\n".join(parts)


def _table(group: str, listed: list[Described]) -> str:
    is_method = group in METHODS
    header = ["name", "what it is", "paper", "models", "cost"] if is_method else ["name", "what it is"]
    lines = [header, ["---"] * len(header)]
    for one in listed:
        cells = [f"`{one.name}`", one.summary.replace("|", "\\|")]
        if is_method:
            paper = f"[{one.paper}]({one.link})" if one.link and one.paper else one.paper
            cells += [paper, "any" if one.models.startswith("any") else "known layers", one.cost]
        lines.append(cells)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
