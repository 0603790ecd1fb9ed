import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from methods.barrier_flow import central_flow
from methods.explainers.generalized_attention_flow import GeneralizedAttentionFlow
from methods.maximum_flow import maximum_flow
from tests.model_by_hand import differentiated, worst
from tests.real_model import MASKED, SST2, real_trace


def program(capacity: np.ndarray, source: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The linear program of maximum flow: gains, conservation and capacities, with an edge for each pair."""
    layers, tokens, _ = capacity.shape
    gain = np.zeros(capacity.size)
    conserve = np.zeros(((layers - 1) * tokens, capacity.size))
    upper = capacity.astype(float).copy()
    upper[-1, np.arange(tokens) != source] = 0.0
    for edge, (layer, query, key) in enumerate(np.ndindex(*capacity.shape)):
        if layer == layers - 1:
            gain[edge] = 1.0
        else:
            conserve[layer * tokens + query, edge] -= 1.0
        if layer > 0:
            conserve[(layer - 1) * tokens + key, edge] += 1.0
    return gain, conserve, upper.ravel()


def largest_value(capacity: np.ndarray, source: int) -> float:
    """Solved with scipy's linear programming, in units of the largest capacity because its tolerances are absolute."""
    unit = capacity.max() or 1.0
    gain, conserve, upper = program(capacity / unit, source)
    equal = {"A_eq": conserve, "b_eq": np.zeros(len(conserve))} if len(conserve) else {}
    found = linprog(-gain, bounds=list(zip(np.zeros_like(upper), upper, strict=True)), method="highs", **equal)
    return -found.fun * unit


def graphs():
    """Dense, sparse, with equal weights, and rows of sharp attention; of any magnitude."""
    generator = np.random.default_rng(0)
    for number in range(24):
        layers, tokens = generator.integers(1, 6), generator.integers(2, 8)
        shape = (layers, tokens, tokens)
        graph = generator.random(shape) * (generator.random(shape) < (0.35, 0.7, 1.0)[number % 3])
        if number % 4 == 1:
            graph = generator.dirichlet(np.full(tokens, 0.2), size=shape[:2])
        if number % 6 == 5:
            graph = np.full(shape, 1 / tokens)
        yield graph * 10.0 ** generator.integers(-6, 3), int(generator.integers(tokens))


def test_the_value_equals_the_linear_programs_and_the_flow_is_valid():
    for graph, source in graphs():
        flow = central_flow(graph, source)
        unit = graph.max()
        assert flow.value == pytest.approx(largest_value(graph, source), rel=2e-7, abs=1e-9 * unit)
        assert (flow.edges >= 0).all()
        assert (flow.edges <= graph * (1 + 1e-12)).all()
        assert flow.inputs.sum() == pytest.approx(flow.value, rel=1e-8)
        arrives, leaves = flow.edges[1:].sum(axis=1), flow.edges[:-1].sum(axis=2)
        assert np.abs(arrives - leaves).max(initial=0) <= 1e-9 * unit
        assert (np.delete(flow.edges[-1], source, axis=0) == 0).all()


def test_renaming_the_tokens_renames_the_flow():
    """An arbitrary maximum flow would not have this property."""
    generator = np.random.default_rng(1)
    for graph, source in graphs():
        order = generator.permutation(graph.shape[1])
        renamed = central_flow(graph[:, order][:, :, order], int(np.argsort(order)[source]))
        flow = central_flow(graph, source)
        assert renamed.inputs == pytest.approx(flow.inputs[order], rel=1e-5, abs=1e-7 * flow.value)


def test_equal_tokens_get_equal_flow_unlike_in_a_linear_programs_vertex():
    graph = np.array([np.full((4, 4), 0.25), np.full((4, 4), 0.25)])
    graph[1, 0] = [0.5, 0.0, 0.0, 0.5]
    graph[0] = 1.0
    flow = central_flow(graph, 0)
    assert flow.inputs == pytest.approx(np.full(4, 0.25), rel=1e-6)


def test_the_centre_of_a_graph_by_hand():
    """Two paths, 1 -> {a, b}, of capacity 1 and 3 behind a gate of 2: log f + log(1 - f) + log g + log(3 - g) is
    maximal on f + g = 2. With f the smaller, 1 / f - 1 / (1 - f) = 1 / g - 1 / (3 - g)."""
    graph = np.zeros((2, 2, 2))
    graph[1, 0, 0] = 2.0  # the gate
    graph[0, 0] = [1.0, 3.0]
    flow = central_flow(graph, 0)
    f, g = flow.inputs
    assert f + g == pytest.approx(2.0, rel=1e-6)
    assert 1 / f - 1 / (1 - f) == pytest.approx(1 / g - 1 / (3 - g), abs=1e-4)


def test_without_a_path_there_is_no_flow():
    graph = np.zeros((2, 3, 3))
    graph[1, 0, 1] = 1.0
    flow = central_flow(graph, 0)
    assert flow.value == 0
    assert (flow.inputs == 0).all()
    for wrong in (-1.0, np.nan):
        graph[0, 0, 0] = wrong
        with pytest.raises(ValueError, match="capacities are finite and at least 0"):
            central_flow(graph, 0)


@pytest.mark.parametrize("name", [SST2, MASKED])
@pytest.mark.parametrize("kind", ["attention", "gradient", "attention_x_gradient"])
def test_capacities_match_their_definition_and_the_value_equals_the_linear_programs(name: str, kind: str):
    trace = real_trace(name)
    method = GeneralizedAttentionFlow(kind)
    capacity, scores = method.capacities(trace), method(trace)
    n = int(trace.batch.length[1])
    model, gradients = differentiated(name, 1)
    theirs = torch.zeros(6, n, n, dtype=torch.float64)
    for layer, step in enumerate(model.steps):
        for attention, gradient in zip(step.attention, gradients[layer], strict=True):
            weight = {"attention": attention, "gradient": gradient, "attention_x_gradient": attention * gradient}[kind]
            theirs[layer] += weight.detach().clamp(min=0) / model.heads
    error = max(worst(capacity[1, layer, :n, :n], theirs[layer]) for layer in range(6))
    print(f"{name} {kind} {error:.1e}")
    assert error < 1e-4
    graph = capacity[1, :, :n, :n].numpy()
    for layers in (1, 3, 6):
        value = largest_value(graph[:layers], model.position)
        assert scores[1, layers - 1].sum().item() == pytest.approx(value, rel=3e-7)
    assert scores[1, 0, :n].numpy() == pytest.approx(graph[0, model.position], rel=1e-6)


def test_no_token_gets_more_than_its_separate_flow():
    """Attention flow lets each token have the whole graph; here they share it."""
    trace = real_trace(SST2)
    joint = GeneralizedAttentionFlow("attention", residual=0.5)
    capacity, scores = joint.capacities(trace), joint(trace)
    for index, n in enumerate(trace.batch.length.tolist()):
        alone = torch.from_numpy(maximum_flow(capacity[index, :, :n, :n].numpy(), 0))  # [layer, token]
        assert (scores[index, :, :n] <= alone + 1e-7).all()
        assert (scores[index].sum(dim=-1) >= alone.amax(dim=-1) - 1e-6).all()


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="capacity is one of"):
        GeneralizedAttentionFlow("rollout")
    with pytest.raises(ValueError, match="residual is a number from 0 to 1"):
        GeneralizedAttentionFlow(residual=2)
