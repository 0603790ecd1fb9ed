"""What a page knows of an example."""

from typing import Any

import pandas as pd

from harness.report.page.content import run_content
from harness.report.run_tables import RunTables
from tests.harness.report.run_folders import write_run


def run_with(tmp_path, **example: Any) -> RunTables:
    rows = pd.DataFrame(
        {
            "example": ["a"],
            "kind": "explainer",
            "explainer": "rollout",
            "reference": "blank_out",
            "layer": 1,
            "rho": 0.5,
        }
    )
    scores = pd.DataFrame(
        {"example": ["a"] * 2, "kind": ["explainer", "reference"], "method": ["rollout", "blank_out"]}
        | {"layer": [1, 0], "head": 0, "scores": [[1.0, 2.0, 3.0]] * 2}
    )
    known = {"example": "a", "cluster": "a", "tokens": ["the", "keys", "are"], "ranked": [True] * 3} | example
    return RunTables(write_run(tmp_path / "run", rows, pd.DataFrame([known]), scores=scores))


def test_planted_tokens_tags_and_referents_stand_by_their_names(tmp_path):
    run = run_with(
        tmp_path,
        planted=[{"name": "subject", "indices": [1]}, {"name": "attractors", "indices": [0, 2]}],
        points_to=[{"class": 0, "name": "subject"}],
        tags=[{"name": "attractors", "value": "2"}],
    )
    content, _ = run_content(run)
    (example,) = content["examples"]
    assert {name: list(indices) for name, indices in example["planted"].items()} == {
        "subject": [1],
        "attractors": [0, 2],
    }
    assert example["points_to"] == {"0": "subject"}
    assert example["tags"] == {"attractors": "2"}


def test_an_example_of_which_nothing_is_known_has_empty_facts(tmp_path):
    content, _ = run_content(run_with(tmp_path))
    (example,) = content["examples"]
    assert example["planted"] == example["points_to"] == example["tags"] == {}
