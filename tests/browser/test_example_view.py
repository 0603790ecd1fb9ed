"""The view of one example: scores, rho, ranks and differences are those of the run's files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata
from selenium.webdriver.common.keys import Keys

from harness.results.run_folder import RunFolder
from tests.browser.browser import Page
from tests.browser.runs import RUNS

Open = Callable[..., Page]
LINES = """
return [...document.querySelectorAll(".line")].map((one) => [one.dataset.kind, one.dataset.explainer, one.dataset.rho,
  [...one.querySelectorAll("button.token")].map((token) => Number(token.dataset.score)),
  one.querySelector(".who").textContent]);
"""
RANKS = """
const table = document.querySelector("figure[data-name=ranks] table");
return [[...table.tHead.rows[0].cells].map((one) => one.textContent),
  [...table.tBodies[0].rows].map((row) => [...row.cells].map((one) => one.textContent))];
"""
PAIRS = """
return [...document.querySelectorAll("table.pairs tbody tr")].map((one) =>
  [Assay.data.examples[Number(one.querySelector("button").dataset.example)].example, one.cells[1].textContent]);
"""


def cell(table: pd.DataFrame, **chosen: object) -> pd.DataFrame:
    """The lines of a table with these values."""
    for name, value in chosen.items():
        table = table[table[name] == value]
    return table


def place(text: str) -> tuple[int, int]:
    """Layer and head of a title such as `attention_by_head head 2, L3`."""
    layer = int(text.rsplit(", L", 1)[1]) if ", L" in text else 0
    head = int(text.split(" head ", 1)[1].split(",")[0]) if " head " in text else 0
    return layer, head


@pytest.mark.parametrize("name", RUNS)
def test_every_line_has_the_scores_and_the_rho_of_the_run(opened: Open, folders: dict[str, Path], name: str):
    page, run = opened(name, "#view=example&example=1"), RunFolder(folders[name])
    example = run.table("examples")["example"].iloc[1]
    scores, rows = run.table("scores"), run.table("rows")
    lines = page.script(LINES)
    assert len(lines) == len(run.manifest.explainers) + len(run.manifest.references)
    for kind, explainer, rho, values, title in lines:
        layer, head = place(title.split("rho")[0].split("chosen")[0].split("floor")[0])
        own = cell(scores, example=example, method=explainer, layer=layer, head=head)
        own = own[own["kind"] == ("reference" if kind == "reference" else "explainer")]
        assert np.allclose(own["scores"].iloc[0], values, rtol=1e-6, atol=1e-12), explainer
        measured = cell(rows, example=example, kind=kind, explainer=explainer, layer=layer, head=head)
        measured = measured[measured["reference"] == "blank_out"]
        if len(measured) and not np.isnan(measured["rho"].iloc[0]):
            assert float(rho) == pytest.approx(measured["rho"].iloc[0], abs=1e-6)


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_ranks_are_those_of_the_scores_among_the_ranked_tokens(opened: Open, folders: dict[str, Path], name: str):
    page, run = opened(name, "#view=example&explainer=rollout&layer=2&all_tokens=yes"), RunFolder(folders[name])
    example = run.table("examples").iloc[0]
    own = cell(run.table("scores"), example=example["example"], method="rollout", layer=2)["scores"].iloc[0]
    ranked = np.asarray(example["ranked"], bool)
    expected = rankdata(-np.asarray(own)[ranked])
    heads, lines = page.script(RANKS)
    column = heads.index("rollout, L2")
    assert [float(line[column]) for line in lines] == pytest.approx(expected)


def test_two_explainers_differ_by_their_rows(opened: Open, folders: dict[str, Path]):
    page = opened("encoder", "#view=example&explainer=rollout&layer=3&other=attention&other_layer=5")
    rows = cell(RunFolder(folders["encoder"]).table("rows"), reference="blank_out", head=0)
    first, second = (
        cell(rows, explainer=name, layer=layer).set_index("example")["rho"]
        for name, layer in (("rollout", 3), ("attention", 5))
    )
    apart = (first - second).dropna().sort_values(ascending=False)
    listed = page.script(PAIRS)
    assert len(listed) == len(apart) > 2
    for example, text in listed:
        assert abs(float(text) - apart[example]) <= 0.005 + 1e-6
    values = [apart[example] for example, _ in listed]
    assert values == sorted(values, reverse=True)
    sentence = next(one.text for one in page.all(".two .lead"))
    higher = "lower" if apart.mean() < 0 else "higher"
    assert f"{abs(apart.mean()):.2f}".lstrip("0") in sentence
    assert f"{higher} for rollout, L3 than for attention, L5" in sentence


def test_a_layer_is_chosen_by_a_click_and_a_token_is_kept(opened: Open):
    page = opened("encoder", "#view=example&explainer=rollout&layer=2")
    page.press("g.layer[data-layer='4']")
    assert page.one("select[name=layer]").get_attribute("value") == "4"
    page.press(".line.base button.token[data-token='3']")
    assert "token=3" in page.hash
    assert page.all(".line.base button.token.lit[data-token='3']")
    page.driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert page.driver.switch_to.active_element.get_attribute("data-token") == "4"
    assert "rank" in page.one("#readout").text


def test_what_is_planted_stands_among_the_facts(opened: Open, folders: dict[str, Path]):
    page, example = opened("decoder", "#view=example"), RunFolder(folders["decoder"]).table("examples").iloc[0]
    planted = {pair["name"]: list(pair["indices"]) for pair in example["planted"]}
    assert planted
    facts = page.one("#view .facts").text
    for name, tokens in planted.items():
        assert name in facts
        for token in tokens:
            assert f"{example['tokens'][token]} ({token})" in facts


def test_the_source_ends_where_the_prefix_begins(opened: Open, folders: dict[str, Path]):
    page, example = opened("two-sided", "#view=example"), RunFolder(folders["two-sided"]).table("examples").iloc[0]
    code = """
    const parts = [...document.querySelector(".line.base .tokens").children];
    return [parts.length, parts.findIndex((one) => one.classList.contains("sides"))];
    """
    assert page.script(code) == [len(example["tokens"]) + 1, example["source"]]
