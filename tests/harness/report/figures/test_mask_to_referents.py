"""The candidates' lines are means over their tokens, the words' bars the model's probabilities."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from harness.report.figures.mask_to_referents import mask_to_referents
from tests.harness.report.figures.texts import check_readable, texts

EXAMPLE = pd.Series(
    {
        "example": "x",
        "tokens": ["[CLS]", "ju", "##lia", "asked", "tom", "about", "[MASK]", "book", "[SEP]"],
        "planted": [
            {"name": "referent_0", "indices": np.array([1, 2])},
            {"name": "referent_1", "indices": [4]},
            {"name": "pronoun", "indices": [6]},
        ],
        "referents": ["referent_0", "referent_1"],
        "points_to": [{"class": 0, "name": "referent_1"}, {"class": 1, "name": "referent_0"}],
        "probabilities": np.array([0.3, 0.7]),
        "predicted": 1,
        "position": 6,
    }
)


def table(methods, example="x", kind="explainer", head=0):
    return pd.DataFrame(
        [
            {
                "example": example,
                "kind": kind,
                "method": method,
                "layer": layer + 1 if len(rows) > 1 else 0,
                "head": head,
                "scores": row,
            }
            for method, rows in methods.items()
            for layer, row in enumerate(rows)
        ],
        columns=["example", "kind", "method", "layer", "head", "scores"],
    )


@pytest.fixture(scope="module")
def scores():
    values = np.random.default_rng(0).normal(size=(3, 9))
    values[1, 2] = np.nan
    return values


@pytest.fixture(scope="module")
def figure(scores):
    every = pd.concat(
        [
            table({"attention": scores, "saliency": scores[:1]}),
            table({"blank_out": scores}, kind="reference"),
            table({"attention": scores + 1}, example="y"),
            table({"by_head": scores}, head=1),
        ]
    )
    return mask_to_referents(EXAMPLE, every, ["his", "her"], title="pronoun, model")


def test_lines_are_means_over_a_candidates_tokens_and_nan_leaves_a_gap(figure, scores):
    _, attention, saliency = figure.axes
    first, second = [line for line in attention.get_lines() if line.get_gid()]
    assert first.get_gid() == "julia (1)"
    assert np.array_equal(first.get_ydata(), (scores[:, 1] + scores[:, 2]) / 2, equal_nan=True)
    assert np.isnan(first.get_ydata()[1])
    assert np.array_equal(second.get_ydata(), scores[:, 4])
    assert [bar.get_height() for bar in saliency.patches] == [(scores[0, 1] + scores[0, 2]) / 2, scores[0, 4]]


def test_bars_are_probabilities_in_the_colour_of_their_words_referent(figure):
    words, attention, _ = figure.axes
    assert [bar.get_height() for bar in words.patches] == [0.3, 0.7]
    lines = {line.get_gid(): line.get_color() for line in attention.get_lines() if line.get_gid()}
    assert matches(words.patches[0], lines["tom (4)"])
    assert matches(words.patches[1], lines["julia (1)"])
    names = words.get_xticklabels()
    assert [(name.get_text(), name.get_fontweight()) for name in names] == [("his", "normal"), ("her", "bold")]


def matches(bar, colour):
    return bar.get_facecolor() == to_rgba(colour)


def test_the_sentence_and_the_explained_position_are_named(figure):
    written = " ".join(text.replace("\n", " ") for text, _ in texts(figure))
    assert "pronoun, model “[CLS] julia asked tom about [MASK] book [SEP]”" in written
    assert "[MASK] (6)" in written
    check_readable(figure)


def test_nothing_is_drawn_without_two_referents_or_scores(scores):
    alone = EXAMPLE.copy()
    alone["referents"] = alone["referents"][:1]
    assert mask_to_referents(alone, table({"attention": scores}), ["his", "her"]) is None
    assert mask_to_referents(EXAMPLE, table({}), ["his", "her"]) is None
    assert mask_to_referents(EXAMPLE, table({"attention": scores}, head=1), ["his", "her"]) is None
    assert mask_to_referents(EXAMPLE, table({"attention": scores * np.nan}), ["his", "her"]) is None


def test_twenty_explainers_with_24_layers_are_legible():
    draw = np.random.default_rng(0)
    methods = {
        f"integrated_gradients_{k}": draw.normal(size=(24 if k % 3 else 1, 9)) * 10.0 ** (k - 9) for k in range(20)
    }
    check_readable(mask_to_referents(EXAMPLE, table(methods), ["his", "her"], title="pronoun, model"))
