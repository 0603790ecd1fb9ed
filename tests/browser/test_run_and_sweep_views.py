"""What a run was, and models side by side."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from harness.report.page.definitions import DEFINITIONS
from harness.results.run_folder import RunFolder
from tests.browser.browser import Page
from tests.browser.runs import RUNS

Open = Callable[..., Page]
BEST = """
return [...document.querySelectorAll("#best td.cell button")].map((one) =>
  [one.dataset.explainer, one.dataset.model, one.dataset.value]);
"""


@pytest.mark.parametrize("name", RUNS)
def test_the_run_says_what_its_manifest_says(opened: Open, folders: dict[str, Path], name: str):
    page, manifest = opened(name, "#view=run"), RunFolder(folders[name]).manifest
    text = page.one("#view").get_attribute("textContent") or ""
    assert f"{manifest.task} with {manifest.model_name}, seed {manifest.seed}: complete" in text
    stored = json.loads((folders[name] / "manifest.json").read_text())
    for version in ("torch", "transformers"):
        assert stored["versions"][version] in text
    for sentence in [*manifest.warnings, *manifest.left_out, *manifest.explainers, *manifest.references]:
        assert sentence in text
    for meaning in DEFINITIONS.values():
        assert meaning in text


def test_a_sweep_has_every_models_best_layers(opened: Open, folders: dict[str, Path]):
    page = opened("sweep")
    boards = [pd.read_csv(folder / "ranking.csv") for folder in folders.values() if (folder / "ranking.csv").is_file()]
    table = pd.concat(boards)
    compared = 0
    for task in page.options("task"):
        page.choose("task", task)
        for measure in page.options("measure"):
            page.choose("measure", measure)
            own = table[(table["task"] == task) & (table["measure"] == measure)].set_index("explainer")["mean"]
            for explainer, _, value in page.script(BEST):
                if value and explainer in own.index:
                    assert float(value) == pytest.approx(own[explainer], rel=1e-9)
                    compared += 1
    assert compared > 10


def test_a_click_in_a_sweep_chooses_the_explainer(opened: Open):
    page = opened("sweep", "#task=sst2")
    page.press("#best button[data-explainer=rollout]")
    assert "explainer=rollout" in page.hash
    assert page.one("select[name=explainer]").get_attribute("value") == "rollout"
    assert "rollout in every model" in page.one("#view").text
