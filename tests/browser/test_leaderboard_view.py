"""The leaderboard of a page: its numbers are the files' numbers, and a cell leads to its examples."""

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from selenium.webdriver.common.keys import Keys

from harness.results.run_folder import RunFolder
from tests.browser.browser import Page
from tests.browser.runs import RUNS

Open = Callable[..., Page]
Key = tuple[str, str, int, int]
CELLS = """
return [...document.querySelectorAll("#leaderboard td.cell button")].map((one) =>
  [one.dataset.kind, one.dataset.explainer, Number(one.dataset.layer), Number(one.dataset.head), one.dataset.value,
   one.querySelector(".value").textContent]);
"""
NAMES = 'return [...document.querySelectorAll("#leaderboard tbody tr:not(.kind) th")].map((one) => one.textContent)'
LISTED = """
return [...document.querySelectorAll("table.examples tbody tr")].map((one) =>
  [Assay.data.examples[Number(one.querySelector("button").dataset.example)].example, one.cells[1].textContent]);
"""
COUNTS = """
return [...document.querySelectorAll("figure[data-name=distribution] tbody tr")]
  .map((one) => Number(one.cells[2].textContent));
"""


@pytest.fixture
def board(folders: dict[str, Path]) -> Callable[[str], pd.DataFrame]:
    """A run's leaderboard.csv."""
    return lambda name: pd.read_csv(folders[name] / "leaderboard.csv")


def cells(page: Page) -> dict[Key, tuple[float, str]]:
    """The number behind each cell of the table, and what is written in it."""
    found = page.script(CELLS)
    values = {tuple(key): (float(value) if value else math.nan, text) for *key, value, text in found}
    assert len(values) == len(found)
    return values


def keys(lines: pd.DataFrame) -> list[Key]:
    """Kind, explainer, layer and head of each line."""
    return list(lines[["kind", "explainer", "layer", "head"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("name", RUNS)
def test_every_cell_of_every_reference_and_statistic_is_the_number_in_the_csv_file(opened: Open, board, name: str):
    page, table = opened(name), board(name)
    assert page.options("measure") == table["measure"].drop_duplicates().tolist()
    for measure in page.options("measure"):
        page.choose("measure", measure)
        own = table[(table["measure"] == measure) & (table["kind"] != "reliability")]
        if (own["head"] > 0).any():
            page.choose("heads", "all")
        offered = page.options("statistic")
        assert offered[0] == "mean"
        assert len(offered) >= 6
        for statistic in offered:
            page.choose("statistic", statistic)
            shown = cells(page)
            assert set(shown) == set(keys(own))
            for key, expected, same in zip(keys(own), own[statistic], own["same"], strict=True):
                value, text = shown[key]
                assert value == pytest.approx(expected, rel=1e-12, abs=1e-15, nan_ok=True), (measure, statistic, key)
                if math.isnan(expected):
                    assert text in ("·", "same")
                else:
                    assert text == "same" if same else abs(float(text) - expected) <= 0.005 + 1e-9


@pytest.mark.parametrize("name", RUNS)
def test_a_click_on_a_column_sorts_by_it_and_a_second_one_takes_it_back(opened: Open, name: str):
    page = opened(name)
    before = page.script(NAMES)
    layers = sorted({layer for _, _, layer, _ in cells(page)})
    for layer in layers:
        page.press(f"#leaderboard button[data-focus='sort {layer}']")
        for kind in ("explainer", "floor"):
            column = [value for key, (value, _) in cells(page).items() if key[0] == kind and key[2] == layer]
            defined = [value for value in column if not math.isnan(value)]
            assert defined == sorted(defined, reverse=True)
        page.press(f"#leaderboard button[data-focus='sort {layer}']")
        assert page.script(NAMES) == before
    page.press("#leaderboard button[data-focus='sort name']")
    named = [key[1] for key in cells(page) if key[0] == "explainer"]
    assert named == sorted(named)


def test_typing_into_the_filter_keeps_the_names_that_hold_the_text_and_the_focus(opened: Open):
    page = opened("encoder")
    before = page.script(NAMES)
    page.one("input[name=filter]").send_keys("attention")
    kept = [name for name in before if "attention" in name]
    assert 0 < len(kept) < len(before)
    assert page.script(NAMES) == kept
    assert page.script("return document.activeElement.name") == "filter"
    page.one("input[name=filter]").send_keys(Keys.BACKSPACE * len("attention"))
    assert page.script(NAMES) == before


def test_a_filter_that_no_name_holds_leaves_an_empty_table(opened: Open):
    page = opened("encoder")
    page.one("input[name=filter]").send_keys("nothing like it")
    assert page.script(NAMES) == []


@pytest.mark.parametrize("name", RUNS)
def test_a_cell_opens_its_distribution_and_its_examples_from_best_to_worst(opened: Open, folders, name: str):
    page = opened(name)
    rows = RunFolder(folders[name]).table("rows")
    for measure in page.options("measure"):
        page.choose("measure", measure)
        chosen = [key for key in cells(page) if key[0] in ("explainer", "floor")]
        for kind, explainer, layer, head in chosen[:: max(1, len(chosen) // 6)]:
            page.press(f"#leaderboard button[data-explainer='{explainer}'][data-layer='{layer}'][data-head='{head}']")
            own = rows[(rows["reference"] == measure) & (rows["kind"] == kind) & (rows["explainer"] == explainer)]
            own = own[(own["layer"] == layer) & (own["head"] == head)].set_index("example")["rho"].dropna()
            listed = page.script(LISTED)
            assert sorted(example for example, _ in listed) == sorted(own.index)
            values = [float(own[example]) for example, _ in listed]
            assert values == sorted(values, reverse=True)
            assert all(abs(float(text) - float(own[example])) <= 0.005 + 1e-6 for example, text in listed)
            if len(own) > 1:
                assert sum(page.script(COUNTS)) == len(own)


@pytest.mark.parametrize("name", RUNS)
def test_an_example_of_the_list_opens_with_its_tokens_and_back_returns_to_the_list(opened: Open, folders, name: str):
    page = opened(name)
    examples = RunFolder(folders[name]).table("examples")
    before, at = page.shown, page.hash
    page.press("table.examples tbody tr button")
    assert page.one("#view").get_attribute("data-view") == "example"
    example = examples.iloc[int(page.one("select[name=example]").get_attribute("value"))]
    written = page.script(
        "return [...document.querySelectorAll('.line.base button.token')].map((one) => one.textContent)"
    )
    assert written == list(example["tokens"])
    page.driver.back()
    assert page.hash == at
    assert page.shown == before


def test_a_cell_is_chosen_with_the_enter_key_and_keeps_the_focus(opened: Open):
    page = opened("encoder")
    cell = "#leaderboard button[data-explainer=position]"
    page.script("arguments[0].focus()", page.one(cell))
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert page.one(cell).get_attribute("aria-pressed") == "true"
    assert page.driver.switch_to.active_element == page.one(cell)
    assert "explainer=position" in page.hash
    assert page.one("select[name=explainer]").get_attribute("value") == "position"


def test_an_address_restores_all_that_was_chosen(opened: Open):
    page = opened("encoder")
    page.choose("measure", page.options("measure")[-1])
    page.choose("statistic", "tau")
    page.choose("sort", "best")
    page.choose("heads", "all")
    page.one("input[name=filter]").send_keys("att")
    page.press("#leaderboard tbody td.cell:last-child button")
    shown, hashed = page.shown, page.hash
    page.open(hashed)
    assert page.shown == shown


def test_a_choice_that_the_run_does_not_have_falls_back_to_one_that_it_has(opened: Open):
    page = opened("encoder")
    shown = page.shown
    page.open(
        "#view=nothing&measure=nothing&explainer=nothing&layer=99&head=99&example=nothing&statistic=nothing&sort=nothing"
    )
    assert cells(page)
    assert page.script("return document.querySelector('#leaderboard caption').textContent") in shown
