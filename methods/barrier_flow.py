"""Maximum flow through a layered graph by an interior-point method: of all maximum flows, the analytic centre.

The value of a maximum flow is unique, the flow itself is not. The maximiser of the flow's value plus mu times the sum
over edges of log(flow) + log(capacity - flow) is unique; as mu goes to zero it tends to the analytic centre of all
maximum flows.

Primal-dual predictor-corrector steps (Mehrotra 1992); each Newton system is a Laplacian of the graph, block tridiagonal
over the layers, and solved as such. Capacities below `DEAD` times the largest count as zero.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

DEAD = 1e-12  # share of the largest capacity below which an edge is left out
STEPS = 200
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Flow:
    """A flow from the source to the inputs.

    Args:
        value: what leaves the source.
        inputs: what arrives at each input, `[token]`.
        edges: `[layer, query, key]`, from (layer, query) to (layer - 1, key).
    """

    value: float
    inputs: Array
    edges: Array


def central_flow(capacity: Array, source: int, gap: float = 1e-7) -> Flow:
    """The central flow from `source` at the last layer to all inputs together.

    Args:
        capacity: `[layer, query, key]`, at least 0.
        source: the query at the last layer where the flow begins.
        gap: how far the value may be below the maximum, as a share of it; this sets the final mu.
    """
    capacity = np.array(capacity, dtype=np.float64)
    layers, tokens = capacity.shape[:2]
    if not np.isfinite(capacity).all() or (capacity < 0).any():
        raise ValueError("capacities are finite and at least 0")
    unit = capacity.max(initial=0.0)
    capacity[capacity <= DEAD * unit] = 0.0
    alive = _on_a_path(capacity, source)
    if not alive.any():
        return Flow(0.0, np.zeros(tokens), np.zeros_like(capacity))
    if layers == 1:
        edges = np.where(alive, capacity, 0.0)
    else:
        unit = min(np.where(alive, capacity, 0.0)[layer].sum() for layer in (0, layers - 1))
        edges = _solve(capacity / unit, alive, gap) * unit
    return Flow(float(edges[-1].sum()), edges[0].sum(axis=0), edges)


def _on_a_path(capacity: Array, source: int) -> NDArray[np.bool_]:
    """Which edges lie on a path from the source to an input, `[layer, query, key]`."""
    open_edge = capacity > 0
    layers, tokens = capacity.shape[:2]
    reached, leaves = np.zeros((layers + 1, tokens), bool), np.ones((layers + 1, tokens), bool)
    reached[layers, source] = True
    for layer in range(layers, 0, -1):
        reached[layer - 1] = (open_edge[layer - 1] & reached[layer][:, None]).any(axis=0)
    for layer in range(1, layers + 1):
        leaves[layer] = (open_edge[layer - 1] & leaves[layer - 1][None, :]).any(axis=1)
    return open_edge & reached[1:, :, None] & leaves[:-1, None, :]


def _solve(capacity: Array, alive: NDArray[np.bool_], gap: float) -> Array:
    """Edges' flows, by steps on flow f, room w = capacity - f, their prices z and s, and the nodes' potentials y.

    At the final mu, z - s + y(key) - y(query) = -[edge leaves the source], flows are conserved, and f z = w s = mu.
    """
    count = 2 * alive.sum()
    flow: Array = np.where(alive, capacity / 2, 1.0)  # dead edges keep harmless values
    room: Array = flow
    lower: Array = np.ones_like(flow)
    upper: Array = np.ones_like(flow)
    potential: Array = np.zeros((len(capacity) - 1, capacity.shape[1]))  # of the inner nodes: layers 1 to L - 1
    gain = np.zeros_like(capacity)
    gain[-1] = alive[-1]
    for _ in range(STEPS):
        below: Array = flow * lower
        above: Array = room * upper
        price = np.where(alive, gain + lower - upper + _difference(potential), 0.0)
        surplus = _surplus(np.where(alive, flow, 0.0))
        value = flow[-1][alive[-1]].sum()
        goal = gap * value / count
        off_centre = max(np.abs(side[alive] - goal).max() for side in (below, above))
        if off_centre <= 1e-3 * goal and np.abs(surplus).max() <= 1e-3 * gap * value and np.abs(price).max() <= 1e-9:
            return np.where(alive, flow, 0.0)
        weight = np.where(alive, 1.0 / (lower / flow + upper / room), 0.0)
        newton = _Newton(alive, flow, room, lower, upper, price, surplus, weight, _Laplacian(weight))
        mu = (below[alive].sum() + above[alive].sum()) / count
        if mu > 10 * goal:
            ahead, primal, dual = newton.step(below, above)
            straight = (flow + primal * ahead.flow) * (lower + dual * ahead.lower)
            straight += (room - primal * ahead.flow) * (upper + dual * ahead.upper)
            target = max((straight[alive].sum() / count / mu) ** 3 * mu, goal)
            below = below + ahead.flow * ahead.lower
            above = above - ahead.flow * ahead.upper
        else:  # close to the end: no longer reduce mu, only centre
            target = goal
        change, primal, dual = newton.step(below - target, above - target)
        flow, room = flow + primal * change.flow, room - primal * change.flow
        lower, upper = lower + dual * change.lower, upper + dual * change.upper
        potential = potential + dual * change.potential
    raise RuntimeError(f"the central flow did not converge in {STEPS} steps")


@dataclass(frozen=True)
class _Change:
    """A Newton step; the room's is minus the flow's."""

    flow: Array
    lower: Array
    upper: Array
    potential: Array


@dataclass(frozen=True)
class _Newton:
    """The system at one point, for several right-hand sides."""

    alive: NDArray[np.bool_]
    flow: Array
    room: Array
    lower: Array
    upper: Array
    price: Array
    surplus: Array
    weight: Array
    laplacian: "_Laplacian"

    def step(self, below: Array, above: Array) -> tuple[_Change, float, float]:
        """The step that takes `below` from the products f z and `above` from w s, and how far one can go along it."""
        pull = self.price - below / self.flow + above / self.room
        potential = self.laplacian.solve(-self.surplus - _surplus(self.weight * pull))
        flow = self.weight * (pull + _difference(potential))
        lower = np.where(self.alive, -(below + self.lower * flow) / self.flow, 0.0)
        upper = np.where(self.alive, -(above - self.upper * flow) / self.room, 0.0)
        primal = min(_reach(self.flow, flow), _reach(self.room, -flow))
        dual = min(_reach(self.lower, lower), _reach(self.upper, upper))
        return _Change(flow, lower, upper, potential), primal, dual


def _reach(values: Array, change: Array) -> float:
    """The longest step, 1 at most, that keeps a hundredth of every value."""
    with np.errstate(divide="ignore"):
        return float(min(1.0, np.where(change < 0, -0.99 * values / change, 1.0).min()))


def _difference(potential: Array) -> Array:
    """The key's potential minus the query's, for each edge; source and inputs have none."""
    layers, tokens = len(potential) + 1, potential.shape[1]
    difference = np.zeros((layers, tokens, tokens))
    difference[1:] += potential[:, None, :]
    difference[:-1] -= potential[:, :, None]
    return difference


def _surplus(flow: Array) -> Array:
    """What arrives at each inner node minus what leaves it, `[layer - 1, token]`."""
    return flow[1:].sum(axis=1) - flow[:-1].sum(axis=2)


class _Laplacian:
    """The graph's Laplacian over the inner nodes, `[layer - 1, token]`, factored block by block."""

    def __init__(self, weight: Array):
        diagonal = weight[1:].sum(axis=1) + weight[:-1].sum(axis=2)
        diagonal = np.where(diagonal > 0, diagonal * (1 + 1e-14), 1.0)
        self.weight = weight
        self.factors: list[Any] = []
        for block, values in enumerate(diagonal):
            matrix = np.diag(values)
            if block:
                matrix -= weight[block] @ cho_solve(self.factors[-1], weight[block].T)
            self.factors.append(cho_factor(matrix))

    def solve(self, right: Array) -> Array:
        """The potentials whose flows make `right`."""
        right = right.copy()
        for block in range(1, len(right)):
            right[block] += self.weight[block] @ cho_solve(self.factors[block - 1], right[block - 1])
        for block in range(len(right) - 1, -1, -1):
            above = self.weight[block + 1].T @ right[block + 1] if block + 1 < len(right) else 0.0
            right[block] = cho_solve(self.factors[block], right[block] + above)
        return right
