"""Rollout, flow, feedback and flow's game, compared with explicit graphs in exact rational arithmetic.

The explicit graph of an encoder-decoder has a node for each token after each encoder layer, after each decoder layer,
and in the middle of each decoder layer; it knows nothing of square steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import combinations, permutations

import networkx
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import spearmanr
from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer

from harness.tracing.batch import Example, Role, TwoSided, collate
from harness.tracing.run import Trace
from harness.tracing.steps import Side, Step, encoder_decoder_steps, layer_steps
from methods.explainers.flow import Flow
from methods.explainers.flow_shapley import FlowShapley, network
from methods.feedback import feedback_flow, unrolled
from methods.flow_game import exact_shapley, marginals, random_orders, set_values
from methods.maximum_flow import maximum_flow
from methods.mixing import mixing, over_heads
from tasks.target_word_model import TargetWordModel
from tests.architectures import blanks, source_of, tiny, two_sided
from tests.conftest import shared
from tests.known_model import bag, batch_of, sentence
from tests.real_model import SST2, real_model

Node = tuple[str, int, int]  # kind, layer, token
Edges = dict[Node, dict[Node, Fraction]]
ROWS = ("dense", "zeros", "one-hot", "ties", "uniform")
RESIDUALS = (0.5, 0.5, 0.25, 0.1, 0.9, 0.0)


@dataclass(frozen=True)
class Case:
    """A random network, twice: as square steps for flow and for rollout, and as an explicit graph."""

    steps: tuple[Step, ...]
    flow: np.ndarray  # [step, query, key]
    rollout: np.ndarray  # [step, query, key]
    source_tokens: int
    edges: Edges
    inputs: list[Node]  # one for each token of the axis
    tops: Callable[[int, int], Node]  # of a layer, from 1, and a position of the axis

    @property
    def tokens(self) -> int:
        return len(self.inputs)


def rows(random: np.random.Generator, queries: int, keys: int, causal: bool = False) -> np.ndarray:
    """Attention of one kind, rows summing to 1."""
    kind = random.choice(ROWS)
    seen = np.tri(queries, keys) if causal else np.ones((queries, keys))
    weights = random.exponential(size=(queries, keys)) ** 2 + 1e-3
    if kind == "uniform":
        weights = np.ones((queries, keys))
    if kind == "ties":
        weights = random.integers(1, 3, size=(queries, keys)).astype(float)
    if kind == "zeros":  # the first key stays, so that no row is empty
        weights[:, 1:] *= random.random((queries, keys - 1)) < 0.5
    if kind == "one-hot":
        chosen = [random.integers(row.sum()) for row in seen.astype(int)]
        weights = np.eye(keys)[chosen]
    weights = weights * seen
    return weights / weights.sum(axis=1, keepdims=True)


def mixed(edges: Edges, here: tuple[str, int], below: tuple[str, int], attention: np.ndarray, residual: float) -> None:
    """Add the edges of a layer that reads its own tokens."""
    for query, key in np.ndindex(attention.shape):
        weight = (1 - Fraction(residual)) * Fraction(attention[query, key])
        edges.setdefault((*here, query), {})[(*below, key)] = weight + Fraction(residual) * (query == key)


def one_axis(random: np.random.Generator, causal: bool, tokens: int, residual: float) -> Case:
    """An encoder or a decoder."""
    layers = int(random.integers(1, 4))
    edges: Edges = {}
    squares = []
    for layer in range(1, layers + 1):
        attention = rows(random, tokens, tokens, causal)
        mixed(edges, ("node", layer), ("node", layer - 1), attention, residual)
        squares.append(residual * np.eye(tokens) + (1 - residual) * attention)
    capacity = np.stack(squares)
    inputs = [("node", 0, token) for token in range(tokens)]
    return Case(
        layer_steps(layers, causal), capacity, capacity, 0, edges, inputs, lambda layer, token: ("node", layer, token)
    )


def two_axes(random: np.random.Generator, source: int, target: int, residual: float) -> Case:
    """An encoder-decoder."""
    encoder, decoder = int(random.integers(1, 4)), int(random.integers(1, 4))
    steps, n = encoder_decoder_steps(encoder, decoder), source + target
    edges: Edges = {}
    flow, rollout = (np.stack([passing * np.eye(n)] * len(steps)) for passing in (n, 1))
    for layer in range(1, encoder + 1):
        attention = rows(random, source, source)
        mixed(edges, ("encoder", layer), ("encoder", layer - 1), attention, residual)
        for square in (flow, rollout):
            square[layer - 1, :source, :source] = residual * np.eye(source) + (1 - residual) * attention
    for layer in range(1, decoder + 1):
        own, other = rows(random, target, target, causal=True), rows(random, target, source)
        mixed(edges, ("middle", layer), ("decoder", layer - 1), own, residual)
        for query in range(target):
            edges["decoder", layer, query] = {("middle", layer, query): Fraction(residual)}
            for key in range(source):
                weight = (1 - Fraction(residual)) * Fraction(other[query, key])
                edges["decoder", layer, query]["encoder", encoder, key] = weight
        step = encoder + 2 * (layer - 1)
        for square in (flow, rollout):
            square[step, source:, source:] = residual * np.eye(target) + (1 - residual) * own
            square[step + 1, source:, source:] = residual * np.eye(target)
            square[step + 1, source:, :source] = (1 - residual) * other
    inputs = [("encoder", 0, token) for token in range(source)] + [("decoder", 0, token) for token in range(target)]
    return Case(steps, flow, rollout, source, edges, inputs, lambda layer, token: ("decoder", layer, token - source))


def case(kind: str, seed: int, most: int = 5) -> Case:
    """A random network of a kind, with at most so many tokens, on each side or, below 5, on both together."""
    random = np.random.default_rng([seed, most, len(kind)])
    residual = float(random.choice(RESIDUALS))
    if kind != "encoder-decoder":
        return one_axis(random, kind == "decoder", int(random.integers(1, most + 1)), residual)
    if most == 5:
        return two_axes(random, int(random.integers(1, 6)), int(random.integers(1, 6)), residual)
    source = int(random.integers(1, most))
    return two_axes(random, source, int(random.integers(1, most - source + 1)), residual)


def graph(edges: Edges) -> networkx.DiGraph:
    found = networkx.DiGraph()
    found.add_edges_from(
        (above, below, {"capacity": weight})
        for above, row in edges.items()
        for below, weight in row.items()
        if weight > 0
    )
    return found


def flow_to(whole: networkx.DiGraph, top: Node, sinks: Sequence[Node]) -> Fraction:
    """The exact maximum flow to several nodes together."""
    whole = whole.copy()
    whole.add_node(top)
    whole.add_node("sink")
    whole.add_edges_from((sink, "sink") for sink in sinks)  # without a capacity, as much as comes
    return networkx.maximum_flow_value(whole, top, "sink", flow_func=networkx.algorithms.flow.dinitz)


def path_mass(edges: Edges, top: Node, inputs: Sequence[Node]) -> list[Fraction]:
    """For each input, the sum over all paths of the product of their weights."""

    @cache
    def mass(node: Node, end: Node) -> Fraction:
        if node == end:
            return Fraction(1)
        return sum((weight * mass(below, end) for below, weight in edges.get(node, {}).items()), Fraction(0))

    return [mass(top, end) for end in inputs]


@pytest.mark.parametrize(("kind", "seeds"), [("encoder-decoder", 200), ("decoder", 70), ("encoder", 30)])
def test_square_steps_give_the_explicit_graphs_rollout_and_flow(kind: str, seeds: int):
    for seed in range(seeds):
        one = case(kind, seed)
        position = int(np.random.default_rng(seed).integers(one.source_tokens, one.tokens))
        flow, whole = maximum_flow(one.flow, position), graph(one.edges)  # [step, token]
        rolled = np.eye(one.tokens)
        for number, step in enumerate(one.steps):
            rolled = one.rollout[number] @ rolled
            if step.layer is None or not step.ends:
                continue
            top = one.tops(step.layer + 1, position)
            exact = [float(mass) for mass in path_mass(one.edges, top, one.inputs)]
            assert_allclose(rolled[position], exact, rtol=0, atol=1e-12)
            exact = [float(flow_to(whole, top, [end])) for end in one.inputs]
            assert_allclose(flow[number], exact, rtol=0, atol=1e-12)


def scored_layers(one: Case) -> int:
    """The layers that have scores, those of an encoder for an encoder."""
    return sum(step.layer is not None and step.ends for step in one.steps)


def fed_back(one: Case) -> Edges:
    """The explicit graph in which the input of each prefix token is fed by the top of the position before it."""
    layers = scored_layers(one)
    more: Edges = {
        ("decoder", 0, token): {("decoder", layers, token - 1): Fraction(1)}
        for token in range(1, one.tokens - one.source_tokens)
    }
    return one.edges | more


def test_feedback_is_the_flow_of_the_explicit_graph_in_which_decisions_feed_later_tokens():
    differ = 0
    for seed in range(80):
        one = case("encoder-decoder", seed)
        source, layers = one.source_tokens, scored_layers(one)
        position = int(np.random.default_rng(seed).integers(source, one.tokens))
        flow = feedback_flow(one.flow, one.steps, source, position)
        whole, top = graph(fed_back(one)), one.tops(layers, position)
        exact = [float(flow_to(whole, top, [end])) for end in one.inputs[: source + 1]]
        assert_allclose(flow[: source + 1], exact, rtol=0, atol=1e-12)
        assert not flow[source + 1 :].any()
        differ += not np.allclose(flow[:source], maximum_flow(one.flow, position)[-1, :source], atol=1e-3)
    assert differ > 20  # graphs in which feedback matters


def test_feedback_of_one_source_token_and_two_decisions_by_hand():
    """Without feedback the second decision's other half can only end in its own token; with it, in the source too."""
    steps = encoder_decoder_steps(1, 1)
    capacity = np.zeros((3, 3, 3))
    capacity[0, 0, 0] = 1  # the source's only token reads itself
    capacity[1, 1:, 1:] = np.eye(2)  # prefix tokens read themselves
    capacity[2, 1:, 1:] = 0.5 * np.eye(2)
    capacity[2, 1:, 0] = 0.5
    assert_array_equal(feedback_flow(capacity, steps, 1, 1), [0.5, 0.5, 0])
    # half by its own cross-attention, half through the first decision, to the source or to the start token
    assert_array_equal(feedback_flow(capacity, steps, 1, 2), [1, 0.5, 0])


def test_the_size_of_the_unrolled_network_is_the_one_that_is_stated():
    capacity = np.stack([np.eye(7)] * 7)  # 3 source tokens, a prefix of 4; 3 encoder layers, 2 decoder layers
    network = unrolled(capacity, encoder_decoder_steps(3, 2), 3, 5)
    assert network.capacity.shape == (3 + 4 * 3, 3 + 2 * 3 + 1, 3 + 2 * 3 + 1)
    assert network.top == network.capacity.shape[1] - 1
    assert_array_equal(network.terminals, [0, 1, 2, 3])


def test_feedback_refuses_what_it_has_no_form_for():
    with pytest.raises(ValueError, match="steps of an encoder and then a decoder's"):
        feedback_flow(np.stack([np.eye(3)] * 2), layer_steps(2, causal=True), 1, 2)
    steps = encoder_decoder_steps(1, 1)
    with pytest.raises(ValueError, match="each of the 3 steps, got 2"):
        feedback_flow(np.stack([np.eye(3)] * 2), steps, 1, 2)
    with pytest.raises(ValueError, match="from 2 to 2, got 1"):
        feedback_flow(np.stack([np.eye(3)] * 3), steps, 2, 1)
    with pytest.raises(ValueError, match="at most 1, got 2"):
        feedback_flow(np.stack([2 * np.eye(3)] * 3), steps, 1, 2)


KINDS = pytest.mark.parametrize("kind", ["encoder", "decoder", "encoder-decoder"])


def all_sets(tokens: int) -> np.ndarray:
    """`[set, token]`; the binary digits of a set's number are its members."""
    return np.arange(2**tokens)[:, None] >> np.arange(tokens) & 1 == 1


def game(kind: str, seed: int) -> tuple[Case, int, np.ndarray]:
    """A network of at most 5 tokens in all, its explained position, and its last layer's value of every set."""
    one = case(kind, seed, most=4 if seed % 2 else 6)
    if one.tokens > 5:
        return game(kind, seed + 1000)
    position = one.tokens - 1
    return one, position, set_values(one.flow, position, all_sets(one.tokens))[:, -1]


@KINDS
def test_a_sets_value_is_the_explicit_graphs_flow_to_its_tokens_together(kind: str):
    for seed in range(25):
        one, position, values = game(kind, seed)
        whole, top = graph(one.edges), one.tops(scored_layers(one), position)
        for members, value in zip(all_sets(one.tokens)[1:], values[1:], strict=True):
            sinks = [end for end, joined in zip(one.inputs, members, strict=True) if joined]
            assert abs(value - float(flow_to(whole, top, sinks))) <= 1e-12
        assert values[0] == 0


@KINDS
def test_shapley_values_and_sets_keep_the_invariants_of_a_submodular_game(kind: str):
    for seed in range(60):
        one, position, values = game(kind, seed)
        n, everyone = one.tokens, 2**one.tokens - 1
        shapley = exact_shapley(one.flow, position, np.arange(n))[-1]
        alone = np.array([values[1 << token] for token in range(n)])
        last = np.array([values[everyone] - values[everyone & ~(1 << token)] for token in range(n)])
        assert abs(shapley.sum() - values[everyone]) <= 1e-12
        assert (shapley <= alone + 1e-12).all()
        assert (shapley >= last - 1e-12).all()
        assert_allclose(alone, maximum_flow(one.flow, position)[-1], rtol=0, atol=1e-12)
        assert abs(values[everyone] - 1) <= 1e-12
        for first, second in combinations(range(everyone + 1), 2):
            if first & second == first:
                assert values[first] <= values[second] + 1e-12
            assert values[first] + values[second] + 1e-12 >= values[first | second] + values[first & second]


@KINDS
def test_rollout_is_a_feasible_flow_of_full_value(kind: str):
    for seed in range(60):
        one, position, values = game(kind, seed)
        top = one.tops(scored_layers(one), position)
        order = networkx.topological_sort(graph(one.edges))
        mass = {top: Fraction(1)}
        for node in order:
            for below, weight in one.edges.get(node, {}).items():
                sent = mass.get(node, Fraction(0)) * weight
                assert sent <= weight * (1 + Fraction(1e-12))  # rows of floats sum to 1 but for their rounding
                mass[below] = mass.get(below, Fraction(0)) + sent
        ended = [mass.get(end, Fraction(0)) for end in one.inputs]
        assert ended == path_mass(one.edges, top, one.inputs)
        assert abs(float(sum(ended)) - values[-1]) <= 1e-12
        for members, value in zip(all_sets(one.tokens), values, strict=True):  # so it is in the game's core
            assert float(sum(part for part, joined in zip(ended, members, strict=True) if joined)) <= value + 1e-12


def over_all_orders(values: dict[frozenset[int], float], tokens: int) -> np.ndarray:
    added = np.zeros(tokens)
    orders = list(permutations(range(tokens)))
    for order in orders:
        for place, token in enumerate(order):
            added[token] += values[frozenset(order[: place + 1])] - values[frozenset(order[:place])]
    return added / len(orders)


@KINDS
def test_exact_values_are_the_mean_over_all_orders_of_what_a_token_adds(kind: str):
    tried = 0
    for seed in range(60):
        one, position, _ = game(kind, seed)
        if one.tokens > 4:
            continue
        tried += 1
        whole, top = graph(one.edges), one.tops(scored_layers(one), position)
        values = {
            frozenset(chosen): float(flow_to(whole, top, [one.inputs[token] for token in chosen])) if chosen else 0.0
            for size in range(one.tokens + 1)
            for chosen in combinations(range(one.tokens), size)
        }
        by_hand = over_all_orders(values, one.tokens)
        players = np.arange(one.tokens)
        assert_allclose(exact_shapley(one.flow, position, players)[-1], by_hand, rtol=0, atol=1e-12)
        orders = np.array(list(permutations(range(one.tokens))))
        assert_allclose(marginals(one.flow, position, players, orders)[:, -1].mean(axis=0), by_hand, rtol=0, atol=1e-12)
    assert tried > 20


def test_every_order_shares_out_the_whole_value_after_every_step():
    one, position, _ = game("encoder-decoder", 4)
    orders = random_orders(one.tokens, 6, np.random.default_rng(0))
    shares = marginals(one.flow, position, np.arange(one.tokens), orders)  # [order, step, player]
    whole = set_values(one.flow, position, np.ones((1, one.tokens), dtype=bool))[0]  # [step]
    assert_allclose(shares.sum(axis=2), np.broadcast_to(whole, shares.shape[:2]), rtol=0, atol=1e-12)


def test_tokens_that_are_no_players_keep_their_inputs_closed():
    one = case("encoder-decoder", 2)
    position, players = one.tokens - 1, np.array([2, 0])
    sets = np.zeros((3, one.tokens), dtype=bool)
    sets[[0, 2], 2] = sets[[1, 2], 0] = True
    first, second, both = set_values(one.flow, position, sets)[:, -1]
    assert first + second > both + 0.01
    expected = [(first + both - second) / 2, (second + both - first) / 2]
    assert_allclose(exact_shapley(one.flow, position, players)[-1], expected, rtol=0, atol=1e-12)


def test_many_sets_are_valued_in_several_calls_as_in_one(monkeypatch: pytest.MonkeyPatch):
    one = case("encoder", 3)
    sets = all_sets(one.tokens)
    whole = set_values(one.flow, 0, sets)
    monkeypatch.setattr("methods.flow_game.AT_ONCE", 1)
    assert_array_equal(set_values(one.flow, 0, sets), whole)


def test_orders_converge_to_the_exact_values():
    random = np.random.default_rng(0)
    capacity = np.stack([0.5 * np.eye(6) + 0.5 * rows(random, 6, 6) for _ in range(3)])
    exact = exact_shapley(capacity, 0, np.arange(6))
    means = np.stack(
        [marginals(capacity, 0, np.arange(6), random_orders(6, 4, random)).mean(axis=0) for _ in range(400)]
    )  # [draw, step, player]
    error = means.std(axis=0, ddof=1) / len(means) ** 0.5
    assert error[-1].max() > 1e-4
    assert (np.abs(means.mean(axis=0) - exact) <= 4 * error + 1e-12).all()


def test_orders_are_rotated_and_reversed_and_each_is_equally_likely():
    orders = random_orders(5, 5, np.random.default_rng(0))
    assert_array_equal(orders[5:], orders[:5, ::-1])
    for place in range(5):  # each player once
        assert_array_equal(np.sort(orders[:5, place]), np.arange(5))
    few = random_orders(6, 2, np.random.default_rng(0))
    assert_array_equal(few[1], np.roll(few[0], 3))
    assert random_orders(3, 8, np.random.default_rng(0)).shape == (16, 3)
    seen = [tuple(order) for seed in range(600) for order in random_orders(3, 2, np.random.default_rng(seed))]
    counts = [seen.count(order) for order in permutations(range(3))]
    assert sum(counts) == 2400
    assert max(abs(count - 400) for count in counts) < 100


def test_one_maximum_flow_gives_the_shapley_values_of_its_own_additive_game_alone():
    """Two maximum flows of one network differ, each is the Shapley values of its own game, and neither of flow's."""
    # the explained position reads two tokens alike, and both lead to both inputs with room to spare
    capacity = np.array([[[1, 1.0], [1, 1.0]], [[0.5, 0.5], [0.5, 0.5]]])
    shapley = exact_shapley(capacity, 0, np.arange(2))[-1]
    assert_allclose(shapley, [0.5, 0.5], rtol=0, atol=1e-15)
    whole = networkx.DiGraph()
    for layer, query, key in np.ndindex(2, 2, 2):
        whole.add_edge((layer + 1, query), (layer, key), capacity=capacity[layer, query, key])
    for key in range(2):
        whole.add_edge((0, key), "sink")
    value, flow = networkx.maximum_flow(whole, (2, 0), "sink")
    ended = np.array([flow[0, key]["sink"] for key in range(2)])
    assert value == ended.sum() == 1
    assert np.abs(ended - shapley).max() == 0.5  # networkx sends everything to one of two equal tokens
    for one in (ended, ended[::-1], shapley):
        values = {frozenset(chosen): float(one[list(chosen)].sum()) for chosen in ((), (0,), (1,), (0, 1))}
        assert_allclose(over_all_orders(values, 2), one, rtol=0, atol=1e-15)


def compared(networks: Sequence[tuple[np.ndarray, int]], step: int) -> tuple[float, float, float]:
    """Flow's Shapley values after a step, and tokens' own flows and networkx's maximum flow to all tokens.

    The mean rank correlations with either, and the largest difference from the latter.
    """
    own, whole, apart = [], [], []
    for capacity, position in networks:
        n = capacity.shape[1]
        shapley = exact_shapley(capacity, position, np.arange(n))[step]
        layered = networkx.DiGraph()
        for layer, query, key in np.ndindex(step + 1, n, n):
            layered.add_edge((layer + 1, query), (layer, key), capacity=capacity[layer, query, key])
        layered.add_edges_from(((0, key), "sink") for key in range(n))
        sent = networkx.maximum_flow(layered, (step + 1, position), "sink")[1]
        ended = np.array([sent[0, key]["sink"] for key in range(n)])
        alone = maximum_flow(capacity, position)[step]
        for found, other in ((own, alone), (whole, ended)):
            found.append(spearmanr(shapley.round(12), other.round(12)).statistic)  # equal values share a rank
        apart.append(np.abs(shapley - ended).max())
    return float(np.mean(own)), float(np.mean(whole)), max(apart)


def softmax(random: np.random.Generator, queries: int, keys: int, causal: bool = False) -> np.ndarray:
    weights = np.exp(1.5 * random.normal(size=(queries, keys)))
    weights *= np.tri(queries, keys) if causal else 1
    return weights / weights.sum(axis=1, keepdims=True)


def dense(kind: str, random: np.random.Generator) -> np.ndarray:
    """Six tokens and three layers, or four and three tokens and two layers on each side."""
    if kind != "encoder-decoder":
        return np.stack([0.5 * np.eye(6) + 0.5 * softmax(random, 6, 6, kind == "decoder") for _ in range(3)])
    capacity = np.stack([7 * np.eye(7)] * 6)
    for layer in range(2):
        capacity[layer, :4, :4] = 0.5 * np.eye(4) + 0.5 * softmax(random, 4, 4)
        capacity[2 + 2 * layer, 4:, 4:] = 0.5 * np.eye(3) + 0.5 * softmax(random, 3, 3, causal=True)
        capacity[3 + 2 * layer, 4:] = np.hstack([0.5 * softmax(random, 3, 4), 0.5 * np.eye(3)])
    return capacity


@pytest.mark.parametrize(
    ("kind", "own", "whole", "apart"),
    [("encoder", 0.95, -0.02, 0.70), ("decoder", 0.95, 0.62, 0.67), ("encoder-decoder", 0.99, 0.62, 0.78)],
)
def test_random_networks_give_the_figures_in_docs_flow(kind: str, own: float, whole: float, apart: float):
    random = np.random.default_rng(0)
    networks = [(dense(kind, random), 6 if kind == "encoder-decoder" else 5) for _ in range(100)]
    found = compared(networks, len(networks[0][0]) - 1)
    print(kind, found)
    off = np.abs(np.subtract(found, (own, whole, apart)))
    assert (off <= [0.01, 0.1, 0.1]).all()  # another networkx may choose another flow


def test_real_attention_gives_the_figures_in_docs_flow():
    module, batch = real_model(SST2)
    tokens = AutoTokenizer.from_pretrained(shared("checkpoints", SST2), local_files_only=True)
    lines = shared("data", "sst2", "dev.tsv").read_text().splitlines()[1:]
    encoded = [tokens(line.split("\t")[0].strip())["input_ids"] for line in lines]
    examples = [Example(str(ids), ids, [Role.CONTENT] * len(ids), 0, 0) for ids in encoded if len(ids) <= 8]
    assert len(examples) == 24
    traces = [Trace(module, collate([one], "all", batch.blank_ids)) for one in examples]
    networks = [(mixing(one, 0.5)[0].numpy(), 0) for one in traces]
    by_layer = np.array([compared(networks, layer) for layer in range(6)])  # [layer, figure]
    print(by_layer)
    assert (by_layer[:5, :2] > 0.99).all()
    assert by_layer[:5, 2].max() < 0.07
    assert (np.abs(by_layer[5] - [0.99, 0.97, 0.41]) <= [0.01, 0.1, 0.1]).all()


def test_the_explainer_gives_the_exact_values_of_each_layer_and_has_no_halves_then():
    trace = Trace(bag(layers=3), batch_of(sentence([5, 6, 7]), sentence([8], id="b")))
    scores = FlowShapley(residual=0.25, exact_up_to=5)(trace)
    capacity = mixing(trace, 0.25).numpy()
    for row, n in enumerate((5, 3)):
        for layer in range(3):
            exact = exact_shapley(capacity[row, : layer + 1, :n, :n], 0, np.arange(n))[-1]
            assert_allclose(scores[row, layer, :n], exact, rtol=0, atol=1e-12)
    assert not scores[1, :, 3:].any()
    assert_allclose(scores.sum(dim=-1), np.ones((2, 3)), rtol=0, atol=1e-12)
    assert FlowShapley(exact_up_to=5).halves(trace) is None


def test_the_explainers_halves_are_the_means_of_either_half_of_its_orders():
    trace = Trace(bag(layers=2), batch_of(sentence([5, 6, 7, 8]), sentence([9], id="b")))
    method = FlowShapley(exact_up_to=3, samples=8, seed=3)
    scores, halves = method(trace), method.halves(trace)
    assert halves is not None
    first, second = halves
    assert torch.equal((first + second) / 2, scores)
    assert not torch.allclose(first[0, -1], second[0, -1])
    assert torch.equal(first[1], second[1])  # three tokens: exact
    assert torch.equal(first[1], scores[1])
    assert not torch.allclose(scores[0], FlowShapley(exact_up_to=3, samples=8, seed=4)(trace)[0])
    exact, many = FlowShapley(exact_up_to=6)(trace), FlowShapley(exact_up_to=3, samples=2000)(trace)
    assert (many - exact).abs().max() < 0.01 < (scores - exact).abs().max()


def test_parameters_that_no_game_has_are_refused():
    with pytest.raises(ValueError, match="exact_up_to is at most 16"):
        FlowShapley(exact_up_to=17)
    with pytest.raises(ValueError, match="samples is a multiple of 4"):
        FlowShapley(samples=6)
    with pytest.raises(ValueError, match="heads is one of mean, max, min"):
        FlowShapley(heads="each")


def test_an_encoder_decoders_network_is_that_of_its_steps():
    """Tokens that do not read pass everything on, and the scores of a layer are read after its cross-attention."""
    torch.manual_seed(0)
    sizes = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "init_std": 0.4}
    ids = {"pad_token_id": 0, "eos_token_id": 2, "bos_token_id": 1, "decoder_start_token_id": 1}
    config = AutoConfig.for_model("marian", vocab_size=20, max_position_embeddings=16, **sizes, **heads, **ids)
    model = AutoModelForSeq2SeqLM.from_config(config, attn_implementation="eager").eval().requires_grad_(False)
    texts = ([5, 6, 2, 1, 7, 8], [5, 2, 1, 9])
    examples = [
        Example(
            str(text),
            text,
            [Role.CONTENT] * len(text),
            len(text) - 1,
            0,
            candidates=[9, 10],
            sides=TwoSided(size, 5, [-1] * len(text)),
        )
        for text, size in zip(texts, (3, 2), strict=True)
    ]
    trace = Trace(TargetWordModel(model), collate(examples, "all", {"unk": 3, "mask": None, "pad": 0}))
    capacity, ends = network(trace, 0.5, "mean")
    scores = FlowShapley()(trace)
    assert ends == [3, 5]
    for row, size in enumerate((3, 2)):
        attention = trace.attention[row].double().mean(dim=1).numpy()
        n = len(texts[row])
        by_hand = np.stack([6.0 * np.eye(n)] * 6)
        for number, step in enumerate(trace.steps):
            reads = slice(0, size) if step.queries == Side.SOURCE else slice(size, n)
            by_hand[number, reads] = 0.5 * np.eye(n)[reads] + 0.5 * attention[number, reads, :n]
        assert_allclose(capacity[row, :, :n, :n], by_hand, rtol=0, atol=1e-7)
        exact = exact_shapley(by_hand, n - 1, np.arange(n))[ends]
        assert_allclose(scores[row, :, :n], exact, rtol=0, atol=1e-6)
    assert_allclose(scores.sum(dim=-1), np.ones((2, 2)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("encoder", [True, False])
def test_no_flow_of_an_encoder_decoder_is_above_its_bound_which_is_its_sides_first_step(encoder: bool):
    examples = [two_sided(4, 3), two_sided(7, 5, seed=1)]
    trace = Trace(tiny("marian"), collate(examples, "all", blanks("marian")))
    plain, used = Flow(encoder=encoder), Flow(encoder=encoder, receptive_field="utilisation")
    layers = plain._capacities(trace, over_heads(trace, "mean"))
    steps = [step.name for step in trace.steps]
    first = steps.index("encoder 1"), steps.index("self-attention 1")
    for row, example in enumerate(examples):
        n, size = len(example.input_ids), source_of(example)
        most = torch.ones(n).double()
        for token in range(n):
            if encoder or token >= size:
                most[token] = layers[row, first[token >= size], :, token].sum().clamp(max=1.0)
        expected = plain(trace)[row, :, :n] / most
        expected = expected / expected.sum(dim=-1, keepdim=True)
        assert torch.allclose(used(trace)[row, :, :n], expected)
    if encoder:
        flow, most = plain._maximum(trace, layers)[:, :, 0], plain._most(trace, layers)
        ends = [number for number, step in enumerate(trace.steps) if step.closes]
        assert (flow[:, ends] <= most[:, None] + 1e-9).all()
