import numpy as np
import pandas as pd

from harness.report.page.projected import projected, shortened
from harness.report.page.sample import ROOM, kept_maps
from harness.tables import PLANES, PROJECTIONS

LENGTHS = {"a": 2, "b": 3}
HEADS = [("self", layer, head) for layer in (1, 2) for head in (1, 2)]


def points() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    lines = [
        {"example": example, "attention": attention, "layer": layer, "head": head, "side": side, "token": token}
        | {"x": generator.normal(), "y": generator.normal()}
        for example, n in LENGTHS.items()
        for attention, layer, head in HEADS
        for side in ("query", "key")
        for token in range(n)
    ]
    return PROJECTIONS.check(pd.DataFrame(lines))


def planes() -> pd.DataFrame:
    numbers = {"scale": 1.0, "explained": 0.5, "agreement": 0.25, "agreement_by_query": np.nan, "left_out": 0.0}
    lines = [{"attention": attention, "layer": layer, "head": head} | numbers for attention, layer, head in HEADS]
    return PLANES.check(pd.DataFrame(lines))


def test_each_head_finds_the_places_of_its_own_points():
    table = points()
    content, places = projected(table, planes(), {"a": 4, "b": 7})
    shared = content["points"]["self"]
    assert shared["example"] == [4] * 4 + [7] * 6
    assert shared["side"] == [0, 0, 1, 1, 0, 0, 0, 1, 1, 1]
    assert shared["token"] == [0, 1, 0, 1, 0, 1, 2, 0, 1, 2]
    assert [(plane["layer"], plane["head"]) for plane in content["planes"]] == [head[1:] for head in HEADS]
    for plane in content["planes"]:
        own = table[(table["layer"] == plane["layer"]) & (table["head"] == plane["head"])]
        block = places[plane["start"] : plane["start"] + len(own)]
        assert np.allclose(block, own[["x", "y"]], rtol=1e-3)
    assert len(places) == len(table)


def test_attentions_of_an_encoder_decoder_have_points_of_their_own():
    table = points()
    cross = table[(table["layer"] == 1) & (table["side"] == "query")].assign(attention="cross")
    lines = pd.concat([planes(), planes().iloc[:2].assign(attention="cross")])
    content, places = projected(pd.concat([table, cross]), lines, {"a": 0, "b": 1})
    assert len(content["points"]["self"]["token"]) == 10
    assert set(content["points"]["cross"]["side"]) == {0}
    assert content["planes"][-1]["start"] + len(content["points"]["cross"]["token"]) == len(places)


def test_short_numbers_keep_three_digits_and_what_is_undefined():
    values = np.array([1 / 3, -1e-7, 12345.678, 0.0, np.nan], np.float32)
    short = shortened(values)
    assert np.allclose(short, values, rtol=3e-4, atol=0, equal_nan=True)
    assert not (short.view(np.uint32) & 0xFFF).any()


def test_no_short_number_is_made_of_an_undefined_one():
    """Whatever its bits are; the largest ones would overflow."""
    values = np.array([0x7FFFFFFF, 0xFFFFFFFF, 0x7FC00000, 0x7F800001], np.uint32).view(np.float32)
    assert np.isnan(shortened(values)).all()
    assert shortened(np.array([np.inf, -np.inf], np.float32)).tolist() == [np.inf, -np.inf]


def test_the_first_examples_that_fit_are_kept():
    sizes = {"b": 6, "a": 4, "c": 1}
    assert kept_maps(sizes, 10 / ROOM) == ["b", "a"]
    assert kept_maps(sizes, 11 / ROOM) == ["b", "a", "c"]
    assert kept_maps(sizes, 5 / ROOM) == []
