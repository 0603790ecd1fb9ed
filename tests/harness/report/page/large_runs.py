"""Run folders of many examples, made up: scores that no compression makes smaller."""

from pathlib import Path

import numpy as np
import pandas as pd

from harness.results.run_folder import RunFolder
from tests.harness.report.run_folders import write_run

WORDS = [
    "the",
    "a",
    "film",
    "movie",
    "of",
    "and",
    "is",
    "witty",
    "dull",
    "moving",
    "never",
    "works",
    "##ness",
    ".",
    ",",
]


def large_run(path: Path, examples: int, explainers: int, layers: int, **given) -> RunFolder:
    """Sentences as long as SST-2's; explainers at every layer, two of them floors without layers; two references."""
    generator = np.random.default_rng(0)
    ids = np.array([f"validation:{number}" for number in range(examples)])
    lengths = np.clip(generator.normal(25, 11, examples).round(), 5, 60).astype(int)
    floors = ["random", "position"]
    names = [f"explainer_{number}" for number in range(explainers - len(floors))]
    cells = [("floor", name, 0) for name in floors]
    cells += [("explainer", name, layer) for name in names for layer in range(1, layers + 1)]
    lines = pd.DataFrame(cells, columns=["kind", "method", "layer"])
    scores = pd.DataFrame({"example": ids, "length": lengths}).merge(lines, how="cross").assign(head=0)
    own = scores.assign(kind="explainer")
    references = pd.DataFrame({"example": ids, "length": lengths}).merge(
        pd.DataFrame({"kind": "reference", "method": ["blank_out", "input_gradient"], "layer": 0, "head": 0}),
        how="cross",
    )
    own = pd.concat([own, references], ignore_index=True)
    own["scores"] = [generator.normal(size=length).astype(np.float32) for length in own["length"]]
    rows = scores.rename(columns={"method": "explainer"}).drop(columns="length")
    rows = pd.concat([rows.assign(reference=name) for name in ("blank_out", "input_gradient")], ignore_index=True)
    statistics = {name: generator.uniform(-1, 1, len(rows)) for name in ("rho", "rho_all", "rho_content", "partial")}
    table = pd.DataFrame(
        {
            "example": ids,
            "cluster": ids,
            "tokens": [generator.choice(WORDS, length).tolist() for length in lengths],
            "ranked": [[False, *[True] * (length - 2), False] for length in lengths],
            "probabilities": [[0.25, 0.75]] * examples,
        }
    )
    config = {
        "seed": 0,
        "explainers": {name: {} for name in [*floors, *names]},
        "references": {"blank_out": {}, "input_gradient": {}},
    }
    given = {"config": config} | given
    return write_run(path, rows.assign(**statistics), table, scores=own.drop(columns="length"), **given)
