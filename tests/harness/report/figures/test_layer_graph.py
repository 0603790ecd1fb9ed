"""The edges of the layered graph are the strongest scores."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from harness.report.figures.layer_graph import edges, layer_graph
from harness.tables import MAPS
from tests.harness.report.figures.texts import check_readable, seen, texts


def maps(weights, example="a"):
    rows = [
        {"method": method, "layer": layer + 1, "query": query, "scores": rows[layer, query]}
        for method, rows in weights.items()
        for layer, query in np.ndindex(*rows.shape[:2])
    ]
    return MAPS.check(pd.DataFrame(rows).assign(example=example, head=0))


def random_weights(layers, n, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(n, 0.3), size=(layers, n))


def by_hand(weights):
    """One node at a time."""
    found = set()
    for layer, rows in enumerate(weights):
        for query, row in enumerate(rows):
            known = sorted((abs(score), key) for key, score in enumerate(row) if np.isfinite(score))
            mean = sum(size for size, _ in known) / max(len(known), 1)
            for size, key in known[-(5 if len(weights) <= 12 else 2) :]:
                if size > 0 and size > mean - 1e-12:
                    found.add((layer + 1, query, key))
    return found


@pytest.mark.parametrize("layers", [3, 13])
def test_the_strongest_edges_are_kept_and_none_below_the_mean(layers):
    weights = random_weights(layers, 9)
    weights[0, 2] = np.nan
    weights[1, 3, 4] = np.nan
    drawn = edges(weights)
    assert {edge[:3] for edge in drawn} == by_hand(weights)
    assert all(weights[layer - 1, query, key] == score for layer, query, key, score in drawn)
    assert [abs(edge[3]) for edge in drawn] == sorted(abs(edge[3]) for edge in drawn)


def test_equal_scores_keep_their_edges():
    assert len(edges(np.full((1, 3, 3), 1 / 3))) == 9


def test_edges_go_from_key_below_to_query_above_and_those_of_the_explained_position_stand_out():
    weights = np.zeros((2, 3, 3))
    weights[0, 1, 2], weights[1, 0, 1] = 1.0, -0.5
    figure = seen(layer_graph(["a", "b", "c"], maps({"signed": weights}), position=0))
    collections = {part.get_gid(): part for part in figure.axes[0].collections if isinstance(part, LineCollection)}
    assert np.array_equal(collections["others"].get_segments(), [[[0, 2], [1, 1]]])
    assert np.array_equal(collections["explained"].get_segments(), [[[1, 1], [2, 0]]])
    assert collections["others"].get_linewidths()[0] > 1
    assert collections["explained"].get_linestyles()[0][1] is not None  # a negative score is dashed
    assert any("Negative scores" in text.replace("\n", " ") for text, _ in texts(figure))
    bold = [text.get_text() for text in figure.axes[0].get_yticklabels() if text.get_fontweight() == "bold"]
    assert bold == ["a"]


def test_the_encoders_layers_come_first_and_the_decoder_reads_their_end():
    """Two source tokens and two of the prefix, one layer of the encoder and two of the decoder."""
    weights = np.full((2, 4, 4), np.nan)
    weights[0, :2], weights[:, 2:] = 0.0, 0.0
    weights[0, 1, 0] = weights[1, 3, 0] = weights[1, 3, 2] = 1.0
    given = maps({"attention": weights})
    given = given[[bool(np.isfinite(row).all()) for row in given["scores"]]]  # the encoder has no second layer
    figure = seen(layer_graph(list("abcd"), given, position=3, source=2))
    collections = {part.get_gid(): part for part in figure.axes[0].collections if isinstance(part, LineCollection)}
    assert np.array_equal(collections["others"].get_segments(), [[[0, 0], [1, 1]]])
    assert sorted(map(np.ndarray.tolist, collections["explained"].get_segments())) == [
        [[1, 0], [3, 3]],
        [[2, 2], [3, 3]],
    ]
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["0", "1", "1", "2"]


def test_nothing_is_drawn_without_scores_by_layer():
    empty = maps({"flow": random_weights(1, 3)})
    assert layer_graph(["a", "b", "c"], empty[:0]) is None
    assert layer_graph(["a", "b", "c"], empty.assign(layer=0)) is None
    assert layer_graph(["a", "b", "c"], empty.assign(head=1)) is None
    assert layer_graph(["a", "b", "c"], maps({"flow": np.full((2, 3, 3), np.nan)})) is None


def test_single_heads_are_left_out():
    mean = maps({"attention": random_weights(2, 3)})
    heads = [maps({"by_head": random_weights(2, 3, head)}).assign(head=head) for head in (1, 2)]
    figure = seen(layer_graph(["a", "b", "c"], pd.concat([mean, *heads])))
    assert [axes.get_title() for axes in figure.axes] == ["attention"]


def test_two_examples_or_different_tokens_are_refused():
    one = maps({"flow": random_weights(1, 3)})
    with pytest.raises(ValueError, match="maps of one example, got 2"):
        layer_graph(["a", "b", "c"], pd.concat([one, one.assign(example="b")]))
    with pytest.raises(ValueError, match="scores of 2 tokens, got 3 of flow, layer 1"):
        layer_graph(["a", "b"], one)


@pytest.mark.parametrize("layers", [6, 24])
def test_thirty_tokens_are_legible(layers):
    weights = {name: random_weights(layers, 30, seed) for seed, name in enumerate(["attention", "rollout", "flow"])}
    tokens = ["[CLS]", *(f"##token{index}$" for index in range(28)), "[SEP]"]
    figure = seen(layer_graph(tokens, maps(weights), position=0, title="task, model"))
    check_readable(figure)
    assert {"attention", "rollout", "flow", *tokens} <= {text for text, _ in texts(figure)}
