"""Graph, heads, queries and keys: what they draw are the run's own maps and planes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from selenium.webdriver.common.keys import Keys

from harness.results.run_folder import RunFolder
from tests.browser.browser import Page

Open = Callable[..., Page]
EDGES = """
return [...document.querySelectorAll(`figure[data-name=graph_${arguments[0]}] .edges .edge`)]
  .map((one) => ["layer", "query", "key", "score"].map((name) => Number(one.dataset[name])));
"""
DARKEST = """
return [...document.querySelectorAll(".heads button[data-layer]")].map((one) => {
  const canvas = one.querySelector("canvas"), {width, height} = canvas;
  const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  let best = 0, least = Infinity;
  for (let at = 0; at < width * height; at++) {
    const light = pixels[4 * at] + pixels[4 * at + 1] + pixels[4 * at + 2];
    if (light < least) [best, least] = [at, light];
  }
  return [Number(one.dataset.layer), Number(one.dataset.head), Math.floor(best / width), best % width, height, width];
});
"""
POINTS = """
return [...document.querySelectorAll(".plane .point")].map((one) =>
  [Number(one.dataset.example), Number(one.dataset.token), one.dataset.side, one.getBBox().x + one.getBBox().width / 2,
   one.getBBox().y + one.getBBox().height / 2]);
"""


def kept(folder: Path, method: str, example: str, head: int = 0) -> NDArray[np.float64]:
    """The maps of one method and head, `[layer, query, key]`."""
    maps = RunFolder(folder).maps()
    assert maps is not None
    own = maps[(maps["method"] == method) & (maps["example"] == example) & (maps["head"] == head)]
    own = own.sort_values(["layer", "query"])
    n = own["query"].nunique()
    return np.stack(own["scores"].tolist()).reshape(-1, n, n)


@pytest.mark.parametrize(("name", "method"), [("encoder", "attention"), ("encoder", "rollout"), ("decoder", "rollout")])
def test_edges_are_the_largest_scores_into_each_node(opened: Open, folders: dict[str, Path], name: str, method: str):
    page = opened(name, "#view=graph")
    example = RunFolder(folders[name]).table("examples")["example"].iloc[0]
    maps = kept(folders[name], method, example)
    edges = page.script(EDGES, method)
    assert edges
    strongest: dict[tuple[int, int], list[float]] = {}
    for layer, query, key, score in edges:
        assert score == pytest.approx(maps[layer - 1, query, key], rel=6e-3)
        strongest.setdefault((layer, query), []).append(maps[layer - 1, query, key])
    for (layer, query), scores in strongest.items():
        assert max(scores) == maps[layer - 1, query].max()


def test_what_reaches_a_node_is_the_product_of_the_maps_below_it(opened: Open, folders: dict[str, Path]):
    page = opened("encoder", "#view=graph")
    example = RunFolder(folders["encoder"]).table("examples").iloc[0]
    attention = kept(folders["encoder"], "attention", example["example"])
    reached = attention[2] @ attention[1] @ attention[0]
    best = int(reached[0].argmax())
    node = "figure[data-name=graph_attention] .node[data-layer='3'][data-token='0']"
    page.press(node)
    assert page.one(node).get_attribute("aria-pressed") == "true"
    said = page.one("figure[data-name=graph_attention] .reach").text
    assert f"“{example['tokens'][best]}” {reached[0, best]:.2f}".replace("0.", ".") in said
    rolled = kept(folders["encoder"], "rollout", example["example"])[2, 0]
    said = page.one("figure[data-name=graph_rollout] .reach").text
    assert f"“{example['tokens'][int(rolled.argmax())]}” {rolled.max():.2f}".replace("0.", ".") in said


def test_arrow_keys_go_from_node_to_node(opened: Open):
    page = opened("encoder", "#view=graph")
    page.press("figure[data-name=graph_attention] .node[data-layer='3'][data-token='2']")
    page.driver.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    focused = page.driver.switch_to.active_element
    assert [focused.get_attribute("data-layer"), focused.get_attribute("data-token")] == ["3", "3"]
    focused.send_keys(Keys.ARROW_LEFT)
    focused = page.driver.switch_to.active_element
    assert [focused.get_attribute("data-layer"), focused.get_attribute("data-token")] == ["2", "3"]


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_the_darkest_cell_of_every_head_is_its_largest_weight(opened: Open, folders: dict[str, Path], name: str):
    page = opened(name, "#view=heads")
    example = RunFolder(folders[name]).table("examples")["example"].iloc[0]
    found = page.script(DARKEST)
    maps = {head: kept(folders[name], "attention_by_head", example, head) for head in {line[1] for line in found}}
    assert len(found) == len(maps) * len(maps[1])
    for layer, head, query, key, height, width in found:
        own = maps[head][layer - 1]
        assert own.shape == (height, width)
        assert own[query, key] >= own.max() * 0.97  # shades are of 48 levels


def test_the_head_that_attends_most_is_that_of_the_scores(opened: Open, folders: dict[str, Path]):
    page, scores = opened("encoder", "#view=heads"), RunFolder(folders["encoder"]).table("scores")
    page.press("[data-target='first token']")
    own = scores[scores["method"] == "attention_by_head"]
    means = own.assign(weight=own["scores"].str[0]).groupby(["layer", "head"])["weight"].mean()
    layer, head = means.idxmax()
    sentence = page.one(".best-head").text
    assert sentence.startswith(f"Layer {layer}, head {head} attends most")
    assert f"{means.max():.2f}".lstrip("0") in sentence


def test_heads_of_both_sides_stand_apart(opened: Open, folders: dict[str, Path]):
    page = opened("two-sided", "#view=heads")
    sides = page.script("return [...document.querySelectorAll('.heads button')].map((one) => one.dataset.side)")
    config = 3 * 8  # layers and heads of each stack
    assert sorted({side: sides.count(side) for side in sides}.values()) == [config, config]


def test_points_lie_where_the_plane_has_them(opened: Open, folders: dict[str, Path]):
    page, run = opened("encoder", "#view=projections&layer=2&head=5"), RunFolder(folders["encoder"])
    points, examples = run.projections(), run.table("examples")["example"]
    assert points is not None
    own = points[(points["layer"] == 2) & (points["head"] == 5)]
    shown = pd.DataFrame(page.script(POINTS), columns=["number", "token", "side", "across", "down"])
    shown["example"] = examples.iloc[shown["number"]].to_numpy()
    both = own.merge(shown, on=["example", "token", "side"], validate="one_to_one")
    assert len(both) == len(own) == len(shown)
    for side, lines in both.groupby("side"):  # a triangle's box is not centred on its point
        assert np.corrcoef(lines["x"], lines["across"])[0, 1] > 0.99999, side
        assert abs(np.corrcoef(lines["y"], lines["down"])[0, 1]) > 0.99999, side
    scale = np.polyfit(both["x"], both["across"], 1)[0]
    assert abs(np.polyfit(both["y"], both["down"], 1)[0]) == pytest.approx(scale, rel=1e-2)  # distance means attention


def test_how_much_a_plane_shows_is_what_the_run_measured(opened: Open, folders: dict[str, Path]):
    page, planes = opened("encoder", "#view=projections"), RunFolder(folders["encoder"]).planes()
    assert planes is not None
    best = planes.loc[planes["agreement"].idxmax()]
    sentence = page.one("#view p").text
    assert f"Layer {best['layer']}, head {best['head']}" in sentence
    assert f"{best['explained']:.0%} of the variance" in sentence
    assert f"rho {best['agreement']:.2f}".replace("0.", ".") in sentence
    assert "No head agrees better" in sentence


def test_colours_and_their_legend_go_together(opened: Open):
    page = opened("encoder", "#view=projections")
    for kind in page.options("colour"):
        page.choose("colour", kind)
        names = page.script("return [...document.querySelectorAll('[data-only]')].map((one) => one.dataset.only)")
        assert names
        page.press("[data-only]")
        faint = len(page.all(".plane .point.faint"))
        assert 0 < faint < len(page.all(".plane .point")) or len(names) == 1
        page.press("[data-only]")
        assert not page.all(".plane .point.faint")
