"""The alignment view of a page: its rates are those of alignment.csv."""

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.browser.browser import Page

Open = Callable[..., Page]
CELLS = """
return [...document.querySelectorAll("#alignment td.cell button")].map((one) =>
  [one.dataset.explainer, Number(one.dataset.layer), Number(one.dataset.head), one.dataset.value]);
"""


@pytest.fixture
def rates(folders: dict[str, Path]) -> pd.DataFrame:
    return pd.read_csv(folders["two-sided"] / "alignment.csv")


def test_every_cell_is_the_rate_in_the_csv_file(opened: Open, rates: pd.DataFrame):
    page = opened("two-sided", "#view=alignment")
    if (rates["head"] > 0).any():
        page.choose("heads", "all")
    for row in rates["row"].unique():
        page.choose("row", row)
        for links in rates["links"].unique():
            page.choose("links", links)
            own = rates[(rates["row"] == row) & (rates["links"] == links)].set_index(["explainer", "layer", "head"])
            for rate in ("aer", "precision", "recall"):
                page.choose("rate", rate)
                shown = {tuple(key): float(value) if value else math.nan for *key, value in page.script(CELLS)}
                assert shown == pytest.approx(own[rate].to_dict(), rel=1e-12, nan_ok=True), (row, links, rate)


def test_the_sentence_names_the_lowest_error_rate(opened: Open, rates: pd.DataFrame):
    page = opened("two-sided", "#view=alignment")
    own = rates[(rates["row"] == rates["row"].iloc[0]) & (rates["links"] == rates["links"].iloc[0])]
    best = own[own["kind"] == "explainer"].sort_values("aer", kind="stable").iloc[0]
    sentence = page.one("#view p").text
    assert sentence.startswith(best["explainer"])
    assert f"L{best['layer']}, has the lowest error rate: " in sentence


def test_a_click_chooses_the_explainer_and_the_layer_everywhere(opened: Open):
    page = opened("two-sided", "#view=alignment")
    page.press("#alignment button[data-explainer=rollout][data-layer='2']")
    assert "explainer=rollout" in page.hash
    assert page.one("select[name=layer]").get_attribute("value") == "2"


def test_a_run_without_gold_links_has_no_such_view(opened: Open):
    assert "Alignment" not in opened("encoder").tabs
