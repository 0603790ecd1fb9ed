from pathlib import Path

import numpy as np
import pandas as pd

from harness.report.page.content import run_content
from harness.report.run_tables import RunTables
from harness.results.run_folder import RunFolder
from harness.tables import MAPS
from tests.harness.report.page.test_projected import planes, points
from tests.harness.report.run_folders import write_run

IDS, N = ["a", "b", "c"], 3


def run(path: Path) -> RunFolder:
    """Three examples of three tokens and one explainer of two layers."""
    rows = pd.DataFrame(
        {"example": one, "kind": "explainer", "explainer": "rollout", "layer": layer, "head": 0}
        | {"reference": "blank_out", "rho": 0.5}
        for one in IDS
        for layer in (1, 2)
    )
    examples = pd.DataFrame({"example": IDS, "cluster": IDS, "tokens": [["x"] * N] * 3, "ranked": [[True] * N] * 3})
    config = {
        "seed": 0,
        "explainers": {"rollout": {}},
        "references": {"blank_out": {}},
        "projections": 2,
        "projection": "tsne",
    }
    return write_run(path, rows, examples, config=config)


def test_a_page_holds_maps_of_layers_exactly_and_of_single_heads_to_three_digits(tmp_path: Path):
    folder, generator = run(tmp_path / "run"), np.random.default_rng(0)
    lines = [
        {"example": "b", "method": method, "layer": layer, "head": head, "query": query}
        | {"scores": generator.uniform(size=N).astype(np.float32)}
        for method, heads in (("rollout", [0]), ("attention_by_head", [1, 2]))
        for layer in (1, 2)
        for head in heads
        for query in range(N)
    ]
    folder.write_maps(MAPS.check(pd.DataFrame(lines)))
    content, arrays = run_content(RunTables(folder))
    assert [(one["example"], one["method"], one["layer"], one["head"]) for one in content["maps"]] == [
        *((1, "rollout", layer, 0) for layer in (1, 2)),
        *((1, "attention_by_head", layer, head) for layer in (1, 2) for head in (1, 2)),
    ]
    stored = np.concatenate([line["scores"] for line in lines])
    assert np.array_equal(arrays["maps"][: 2 * N * N], stored[: 2 * N * N])
    assert np.allclose(arrays["maps"], stored, rtol=3e-4)
    assert not np.array_equal(arrays["maps"], stored)


def test_a_page_holds_queries_and_keys_where_the_run_has_them(tmp_path: Path):
    folder = run(tmp_path / "run")
    without, _ = run_content(RunTables(folder))
    assert "projections" not in without
    folder.write_projections(points(), planes())
    content, arrays = run_content(RunTables(folder))
    assert content["projections"]["method"] == "tsne"
    assert content["projections"]["of"] == 2
    assert len(content["projections"]["planes"]) == len(planes())
    assert len(arrays["projections"]) == len(points())
