"""The game of a flow network: what a set of input tokens is worth is the flow that reaches it.

The value of a set is the maximum flow from one node at the top to the set's tokens together, with the inputs of all
other tokens closed. It is monotone and submodular, the empty set is worth 0, and a token by itself is worth its
attention flow (Abnar & Zuidema 2020, section 3). Shapley (1953) shares out the value of all players: a player gets the
mean, over all orders in which they can join, of what it adds to those before it.
https://arxiv.org/abs/2005.00928

A set's flow is one flow of `methods.maximum_flow`: below the inputs lies one more step, in which the set's tokens lead
to one collecting token. Each column of that step collects for one set, so a stack of n tokens holds n sets.
"""

from math import comb

import numpy as np
from numpy.typing import NDArray

from methods.maximum_flow import maximum_flow_batch

AT_ONCE = 8_000_000  # capacities that one call of the solver is given, 64 MB
Floats = NDArray[np.float64]


def set_values(capacity: Floats, source: int, members: NDArray[np.bool_]) -> Floats:
    """The maximum flow from `source` after each step to each set of input tokens.

    Takes capacity [step, query, key], at least 0, and members [set, token]; returns [set, step]. One flow for each set
    and step. Raises ValueError as `maximum_flow` does.
    """
    steps, n = capacity.shape[:2]
    values = np.zeros((len(members), steps))
    # a token never passes on more than it can be given, so this much never binds
    open_edge = capacity[0].sum(axis=0).max()
    at_once = n * max(1, AT_ONCE // ((steps + 1) * n * n))
    for begin in range(0, len(members), at_once):
        part = members[begin : begin + at_once]  # [set, token]
        stacks = -(-len(part) // n)
        columns = np.zeros((stacks * n, n))  # [set, token]
        columns[: len(part)] = part * open_edge
        network = np.empty((stacks, steps + 1, n, n))
        network[:, 0] = columns.reshape(stacks, n, n).transpose(0, 2, 1)  # [stack, token, set]
        network[:, 1:] = capacity
        flow = maximum_flow_batch(network, source)[:, 1:]  # [stack, step, set]
        values[begin : begin + len(part)] = flow.transpose(0, 2, 1).reshape(-1, steps)[: len(part)]
    return values


def exact_shapley(capacity: Floats, source: int, players: NDArray[np.int64]) -> Floats:
    """Shapley values of the players, tokens [player], after each step, [step, player], from all 2^n sets."""
    n = len(players)
    number = np.arange(2**n)
    joined = number[:, None] >> np.arange(n) & 1 == 1  # [set, player]
    size = joined.sum(axis=1)
    values = set_values(capacity, source, _members(joined, players, capacity.shape[1]))  # [set, step]
    shapley = np.empty((capacity.shape[0], n))
    for player in range(n):
        without = number[~joined[:, player]]
        weight = np.array([1 / (n * comb(n - 1, others)) for others in size[without]])
        shapley[:, player] = weight @ (values[without | 1 << player] - values[without])
    return shapley


def marginals(capacity: Floats, source: int, players: NDArray[np.int64], orders: NDArray[np.int64]) -> Floats:
    """What each player adds to those before it, in each order and after each step, [order, step, player].

    `orders` [order, place] holds the numbers 0, 1, ... of the players, which are tokens [player]. In every order the
    players' shares add up to the value of all of them. One flow for each order, player and step.
    """
    count, n = orders.shape
    rank = orders.argsort(axis=1)  # [order, player]
    joined = (rank[:, None] <= np.arange(n)[:, None]).reshape(-1, n)  # [order * place, player]
    values = set_values(capacity, source, _members(joined, players, capacity.shape[1]))
    values = values.reshape(count, n, -1).transpose(0, 2, 1)  # [order, step, place]
    added = np.diff(values, axis=2, prepend=0.0)
    return np.take_along_axis(added, rank[:, None], axis=2)


def random_orders(players: int, pairs: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Orders of the players, [2 * pair, place], each equally likely: pairs of one and its reverse.

    A random order is rotated in equal turns, before another is drawn, so that the players come first, or last, about
    equally often: where few tokens already have all of the flow, that is what decides.
    """
    orders = np.empty((pairs, players), dtype=np.int64)
    for begin in range(0, pairs, players):
        turns = min(players, pairs - begin)
        drawn = random.permutation(players)
        for turn in range(turns):
            orders[begin + turn] = np.roll(drawn, turn * players // turns)
    return np.concatenate([orders, orders[:, ::-1]])


def _members(joined: NDArray[np.bool_], players: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    members = np.zeros((len(joined), n), dtype=bool)  # [set, token]
    members[:, players] = joined
    return members
