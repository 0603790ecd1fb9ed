"""The ranking of a page: means, intervals, agreement and the frontier are those of the run's files."""

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from harness.results.run_folder import RunFolder
from harness.statistics.explainer_agreement import explainer_agreement
from tests.browser.browser import Page

Open = Callable[..., Page]
LINES = """
return [...document.querySelectorAll("figure[data-name=ranking] g.row")].map((one) =>
  [one.dataset.kind, one.dataset.explainer, Number(one.dataset.layer), Number(one.dataset.mean), one.textContent]);
"""
SQUARE = """
return [...document.querySelectorAll(`#${arguments[0]} td.cell:not(.same) button`)].map((one) =>
  [one.dataset.row, one.dataset.column, one.dataset.value]);
"""
COSTS = """
return [...document.querySelectorAll("figure[data-name=cost] tbody tr")].map((one) =>
  [...one.cells].map((cell) => cell.textContent));
"""


def shown(value: float) -> str:
    """A number as the page writes it."""
    return f"{value:.2f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.2f}"


def ranking(folder: Path, measure: str) -> pd.DataFrame:
    """The lines of ranking.csv for one reference."""
    table = pd.read_csv(folder / "ranking.csv")
    return table[table["measure"] == measure]


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_every_line_has_the_mean_and_the_interval_of_the_csv_file(opened: Open, folders: dict[str, Path], name: str):
    page = opened(name, "#view=ranking")
    for measure in page.options("measure"):
        page.choose("measure", measure)
        table, lines = ranking(folders[name], measure), page.script(LINES)
        assert {tuple(line[:3]) for line in lines} == set(
            table[["kind", "explainer", "layer"]].itertuples(index=False, name=None)
        )
        for kind, explainer, _, mean, text in lines:
            own = table[(table["kind"] == kind) & (table["explainer"] == explainer)].iloc[0]
            assert mean == pytest.approx(own["mean"], rel=1e-12)
            if not math.isnan(own["low"]):
                assert f"[{shown(own['low'])}, {shown(own['high'])}]" in text


def test_the_agreement_of_explainers_is_that_of_their_scores(opened: Open, folders: dict[str, Path]):
    page, run = opened("encoder", "#view=ranking"), RunFolder(folders["encoder"])
    for measure in page.options("measure"):
        page.choose("measure", measure)
        expected = explainer_agreement(run.table("examples"), run.table("scores"), ranking(folders["encoder"], measure))
        cells = page.script(SQUARE, "agreement")
        assert len(cells) == len(expected) * (len(expected) - 1)
        for row, column, value in cells:
            assert float(value) == pytest.approx(expected.loc[row, column], abs=1e-6)


def test_the_frontier_holds_whatever_no_cheaper_explainer_equals(opened: Open, folders: dict[str, Path]):
    page = opened("encoder", "#view=ranking")
    run, table = RunFolder(folders["encoder"]), ranking(folders["encoder"], page.options("measure")[0])
    costs = {name: cost.seconds for name, cost in run.manifest.costs.of("explainer").items()}
    own = table[table["kind"] == "explainer"].set_index("explainer")["mean"].to_dict()
    assert len(own) > 2
    best = {
        name
        for name, mean in own.items()
        if not any(costs[other] <= costs[name] and own[other] >= mean for other in own if other != name)
    }
    lines = page.script(COSTS)
    assert {line[0].split(" head ")[0] for line in lines if line[-1] == "yes"} == best
    for line in lines:
        mean = table.set_index("explainer")["mean"][line[0].split(" head ")[0]]
        assert abs(float(line[1]) - mean) <= 0.005 + 1e-9


def test_a_click_on_a_line_chooses_its_explainer_in_every_view(opened: Open):
    page = opened("encoder", "#view=ranking")
    page.press("[data-focus='ranked explainer rollout']")
    assert "explainer=rollout" in page.hash
    assert page.one("g.row[data-explainer=rollout]").get_attribute("aria-pressed") == "true"
    page.turn_to("Example")
    assert page.one(".line.first").get_attribute("data-explainer") == "rollout"
    page.turn_to("Leaderboard")
    assert page.one("select[name=explainer]").get_attribute("value") == "rollout"


def test_a_click_on_a_reference_compares_with_it(opened: Open):
    page = opened("encoder", "#view=ranking")
    first, second = page.options("measure")[:2]
    page.press(f"[data-focus='references row {second}']")
    assert page.one("select[name=measure]").get_attribute("value") == second
    page.press(f"[data-focus='references row {first}']")
    assert page.one("select[name=measure]").get_attribute("value") == first


def test_what_cannot_be_ranked_is_said(opened: Open, folders: dict[str, Path]):
    assert not (folders["two-sided"] / "ranking.csv").is_file() or ranking(folders["two-sided"], "blank_out").empty
    assert "No explainer is ranked" in opened("two-sided", "#view=ranking").one("#view").text
