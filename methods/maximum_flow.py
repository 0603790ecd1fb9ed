"""Exact maximum flow through layered attention graphs, the solver behind attention flow.

Abnar and Zuidema (2020), section 3: https://arxiv.org/abs/2005.00928

Layers count 1..L and `mixing[l - 1, i, k]` is the capacity of the edge from node (l, i) to node (l - 1, k); the input
tokens are layer 0. Every value is the largest flow from one node to one input token on its own.

**Method.** Dinic's algorithm on the layer matrices themselves, no graph object: residual capacities are undone from a
log, the first phase needs no search because all paths are equally long, the residual edge k -> k is tried first, and
short rows are walked along their nonzero columns. A pair is finished as soon as its flow meets an upper bound: no flow
exceeds the sum over k of min(what reaches (m, k) from the source, what (m, k) can send to the sink), for any layer m,
with both sides bounded in turn in the same way. Then the bound itself is stored. Layers 1 and 2 are closed forms.

**Guarantee.** It always ends, whatever the numbers: a push of the size of an edge's residual sets it to exactly zero
(or, backwards, to exactly its capacity), so every augmentation removes an edge from a phase and every phase lengthens
the shortest path. The value differs from the true maximum by at most 2e-14 of its bound (`MEETS`) plus one rounding
(1.1e-16 of the edge's capacity) for each push. Each pair is solved by one thread in an order that nothing outside the
pair changes: batch, padding and number of threads change no bit.

**Threads.** One worker for each of `numba.get_num_threads()` (set by `numba.set_num_threads` or NUMBA_NUM_THREADS);
workers take blocks of sinks, of all examples, in turn, and start no thread themselves.
"""

from typing import NamedTuple

import numba
import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike, NDArray

MEETS = 2e-14  # a flow within this share of an upper bound has met it: above the rounding of a sum over 1,024 tokens
inner = njit(cache=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy")  # unwrapped: compiles faster
BLOCK = 16  # sinks whose bounds are computed together: two vector registers wide on every machine


def maximum_flow(mixing: ArrayLike, source: int) -> NDArray[np.float64]:
    """Maximum flow from `source` in every layer to each input token.

    Takes mixing [layer, query, key], capacities >= 0, rows of any sum. Returns [layer, token], the flow from (l, source)
    at index l - 1. Raises ValueError for negative, infinite or NaN capacities, a layer that is not square, no such token.
    """
    capacity = _checked(mixing, "[layer, query, key]")
    return _flows(capacity[None], _tokens(source, "source", (1,), 0, capacity.shape[-1] - 1))[0, :, 0]


def maximum_flow_all(mixing: ArrayLike) -> NDArray[np.float64]:
    """Maximum flow between all nodes and inputs: mixing [layer, query, key] -> [layer, query, token]."""
    return _flows(_checked(mixing, "[layer, query, key]")[None], None)[0]


def maximum_flow_batch(mixing: ArrayLike, source: ArrayLike, length: ArrayLike | None = None) -> NDArray[np.float64]:
    """Maximum flow from one source for each example.

    Takes mixing [batch, layer, query, key], source [batch] and length [batch] (all tokens if left out): example b lives
    on its first length[b] tokens; whatever stands behind them is not read, and its flow is 0. Returns [batch, layer, token].
    """
    capacity = np.asarray(mixing, dtype=np.float64)
    _square(capacity, "[batch, layer, query, key]")
    batch, _, _, n = capacity.shape
    lengths = _tokens(n if length is None else length, "length", (batch,), 1, n)
    _nonnegative(capacity, lengths)
    sources = _tokens(source, "source", (batch,), 0, lengths - 1)
    return _flows(capacity, sources, lengths)[:, :, 0]


def maximum_flow_all_batch(mixing: ArrayLike, length: ArrayLike | None = None) -> NDArray[np.float64]:
    """Maximum flow between all nodes and inputs: mixing [batch, layer, query, key] -> [batch, layer, query, token]."""
    capacity = np.asarray(mixing, dtype=np.float64)
    _square(capacity, "[batch, layer, query, key]")
    batch, _, _, n = capacity.shape
    lengths = _tokens(n if length is None else length, "length", (batch,), 1, n)
    _nonnegative(capacity, lengths)
    return _flows(capacity, None, lengths)


def _square(capacity: NDArray, axes: str) -> None:
    if capacity.ndim != axes.count(",") + 1 or capacity.shape[-1] != capacity.shape[-2] or 0 in capacity.shape:
        raise ValueError(
            f"Expected mixing {axes} with as many queries as keys and no empty axis; got shape {capacity.shape}. "
            "Average or select heads first, and pass the square matrix of each layer."
        )


def _nonnegative(capacity: NDArray, lengths: NDArray) -> None:
    for example, n in zip(capacity, lengths, strict=True):
        inside = example[:, :n, :n]
        if not (np.isfinite(inside) & (inside >= 0)).all():
            worst = inside[~(np.isfinite(inside) & (inside >= 0))][0]
            raise ValueError(
                f"Expected finite capacities of at least 0 in mixing; got {worst}. "
                "Clip signed scores and replace NaN before asking for a flow."
            )


def _checked(mixing: ArrayLike, axes: str) -> NDArray[np.float64]:
    capacity = np.asarray(mixing, dtype=np.float64)
    _square(capacity, axes)
    _nonnegative(capacity[None], np.array([capacity.shape[-1]]))
    return capacity


def _tokens(given: ArrayLike, name: str, shape: tuple[int, ...], low: int, high: ArrayLike) -> NDArray[np.int64]:
    """`given` as one whole number for each example, between `low` and `high`."""
    values = np.asarray(given)
    if values.dtype.kind not in "iu" or values.shape not in ((), shape):
        raise ValueError(f"Expected {name} as integers {list(shape)}; got {values.dtype} {list(values.shape)}. Pass one each.")
    if (values < low).any() or (values > high).any():
        raise ValueError(f"Expected {name} from {low} to {np.min(high)}; got {values.tolist()}. Count tokens from 0, no pads.")
    return np.broadcast_to(values, shape).astype(np.int64)


class Scratch(NamedTuple):
    """What one worker writes on; a node (m, k) has the number m * n + k."""

    residual: NDArray  # [layer, query, key]  what is left of each capacity; equal to it between two pairs
    supply: NDArray  # [token]  what is left of the source's edges
    demand: NDArray  # [token]  what is left of the sink's edges
    distance: NDArray  # [node]  edges to the sink in this phase, 0 where the sink is out of reach
    cursor: NDArray  # [node]  where the scan of this node's edges stands
    place: NDArray  # [node]  its place in `order`
    order: NDArray  # [place]  nodes by distance, then layer
    live: NDArray  # [place]  a step towards the next place with a live node
    first: NDArray  # [distance, layer]  where in `order` a group begins, and ends
    last: NDArray  # [distance, layer]
    node: NDArray  # [depth]  the path of the depth-first search
    asked: NDArray  # [depth]
    left: NDArray  # [depth]
    log: NDArray  # [touched]  edges of `residual` with flow on them
    out_begin: NDArray  # [node + 1]  those edges by tail
    out_key: NDArray
    in_begin: NDArray  # [node + 1]  those edges by head
    in_query: NDArray


@inner
def _scratch(layers, n):
    nodes, edges = layers * n, max(layers - 2, 1) * n * n
    return Scratch(
        np.empty((layers, n, n)),
        np.empty(n),
        np.empty(n),
        np.empty(nodes, np.int64),
        np.empty(nodes, np.int64),
        np.empty(nodes, np.int64),
        np.empty(nodes, np.int64),
        np.empty(nodes + 1, np.int64),
        np.empty((nodes + 2, layers + 1), np.int64),
        np.empty((nodes + 2, layers + 1), np.int64),
        np.empty(nodes + 1, np.int64),
        np.empty(nodes + 1),
        np.empty(nodes + 1),
        np.empty(edges, np.int64),
        np.empty(nodes + 1, np.int64),
        np.empty(edges, np.int64),
        np.empty(nodes + 1, np.int64),
        np.empty(edges, np.int64),
    )


@inner
def _next_live(live, place):
    end = place
    while live[end] != end:
        end = live[end]
    while live[place] != end and place != end:
        live[place], place = end, live[place]
    return end


@inner
def _straight(s, n, layer, low, high):
    """Distances before any flow: node (m, k) is m edges away."""
    place = 0
    for m in range(1, layer):
        s.first[m, m] = place
        for k in range(low, high + 1):
            v = m * n + k
            s.distance[v], s.cursor[v] = 0, -1
            if m > 1 or s.demand[k] > 0:
                s.distance[v], s.place[v], s.order[place], s.live[place] = m, place, v, place
                place += 1
        s.last[m, m] = place
    s.live[place] = place
    s.live[place] = place
    for v in range(n, layer * n + 1):
        s.in_begin[v] = 0
    return layer - 1


@inner
def _list_flow(capacity, s, n, layer, touched):
    """Sort the edges with flow by tail and by head; drop from the log those whose flow went back to zero."""
    out_begin, in_begin, kept = s.out_begin, s.in_begin, 0
    for v in range(n, layer * n + 1):
        out_begin[v] = in_begin[v] = 0
    for entry in range(touched):
        edge = s.log[entry]
        x, k, q = edge // (n * n), edge // n % n, edge % n
        if s.residual[x, k, q] != capacity[x, k, q]:
            s.log[kept] = edge
            kept += 1
            out_begin[(x + 1) * n + k] += 1
            in_begin[x * n + q] += 1
    for v in range(n + 1, layer * n + 1):
        out_begin[v] += out_begin[v - 1]
        in_begin[v] += in_begin[v - 1]
    for entry in range(kept):  # each begin holds an end, and counts down to the begin
        edge = s.log[entry]
        x, k, q = edge // (n * n), edge // n % n, edge % n
        out_begin[(x + 1) * n + k] -= 1
        s.out_key[out_begin[(x + 1) * n + k]] = q
        in_begin[x * n + q] -= 1
        s.in_query[in_begin[x * n + q]] = k
    return kept


@inner
def _search(s, columns, count, n, layer, low, high):
    """Distances to the sink over residual edges, breadth first; returns the source's, 0 if no path is left."""
    for m in range(1, layer):
        for k in range(low, high + 1):
            s.distance[m * n + k], s.cursor[m * n + k] = 0, -1
    place = 0
    for m in range(1, layer):
        s.first[1, m] = place
        if m == 1:
            for k in range(low, high + 1):
                if s.demand[k] > 0:
                    place = _reach(s, n + k, 1, place)
        s.last[1, m] = place
    distance, reached = 1, False
    while s.first[distance, 1] < place:
        s.live[place] = place
        top = layer - 1
        for at in range(s.first[distance, top], s.last[distance, top]):
            reached = reached or s.supply[s.order[at] - top * n] > 0
        if reached:
            return distance
        for m in range(1, layer):
            s.first[distance + 1, m] = place
            if m + 1 < layer:  # flow k -> q may be taken back: (m, q) reaches (m + 1, k)
                for at in range(s.first[distance, m + 1], s.last[distance, m + 1]):
                    for e in range(s.out_begin[s.order[at]], s.out_begin[s.order[at] + 1]):
                        v = m * n + s.out_key[e]
                        if s.distance[v] == 0:
                            place = _reach(s, v, distance + 1, place)
            if m > 1 and s.first[distance, m - 1] < s.last[distance, m - 1]:
                begin, end, below = s.first[distance, m - 1], s.last[distance, m - 1], (m - 1) * n
                for k in range(low, high + 1):
                    if s.distance[m * n + k] != 0:
                        continue
                    row = s.residual[m - 1, k]
                    if count[m - 1, k] < end - begin:
                        for e in range(count[m - 1, k]):
                            q = columns[m - 1, k, e]
                            if q <= high and q >= low and s.distance[below + q] == distance and row[q] > 0:
                                place = _reach(s, m * n + k, distance + 1, place)
                                break
                    elif s.distance[below + k] == distance and row[k] > 0:
                        place = _reach(s, m * n + k, distance + 1, place)
                    else:
                        for at in range(begin, end):
                            if row[s.order[at] - below] > 0:
                                place = _reach(s, m * n + k, distance + 1, place)
                                break
            s.last[distance + 1, m] = place
        distance += 1
    return 0


@inner
def _reach(s, v, distance, place):
    s.distance[v], s.place[v], s.order[place], s.live[place] = distance, place, v, place
    return place + 1


@inner
def _kill(s, v):
    s.distance[v] = 0
    s.live[s.place[v]] = s.place[v] + 1


@inner
def _push(capacity, s, x, k, q, amount, touched):
    """Send `amount` over the edge k -> q of layer x + 1, and log the edge when it carries its first flow."""
    room = s.residual[x, k, q]
    rest = room - amount  # exactly 0 only if the edge is full
    if room == capacity[x, k, q] and rest != room:
        n = s.demand.size
        s.log[touched] = (x * n + k) * n + q
        touched += 1
    s.residual[x, k, q] = rest
    return touched


@inner
def _descend(capacity, s, columns, count, n, layer, low, high, root, touched):
    """Send all it can from one node of layer `layer - 1` along shortest paths; returns the amount and the log's length."""
    depth = 0
    s.node[0], s.asked[0], s.left[0] = root, s.supply[root % n], s.supply[root % n]
    while True:
        v = s.node[depth]
        m, k, distance, p, child, room = v // n, v % n, s.distance[v], s.cursor[v], -1, 0.0
        if m > 1 and p < n:
            begin, end, below = s.first[distance - 1, m - 1], s.last[distance - 1, m - 1], (m - 1) * n
            short, row = count[m - 1, k] < end - begin, s.residual[m - 1, k]
            while True:
                if p < 0:
                    q = k  # the residual edge
                elif short:
                    if p >= count[m - 1, k]:
                        break
                    q = columns[m - 1, k, p]
                else:
                    at = _next_live(s.live, begin + p)
                    if at >= end:
                        break
                    p, q = at - begin, s.order[at] - below
                if q >= low and q <= high and s.distance[below + q] == distance - 1 and row[q] > 0:
                    if distance > 2:
                        child, room = below + q, row[q]
                        break
                    amount = min(s.left[depth], row[q], s.demand[q])
                    touched = _push(capacity, s, m - 1, k, q, amount, touched)
                    s.left[depth] -= amount
                    s.demand[q] -= amount
                    if s.demand[q] == 0:
                        _kill(s, below + q)
                    if s.left[depth] == 0:
                        break
                p += 1
            if child < 0 and s.left[depth] > 0:
                p = n
        if child < 0 and s.left[depth] > 0 and m < layer - 1:
            p = max(p, n)
            entry = s.in_begin[v] + p - n
            while entry < s.in_begin[v + 1]:
                query = s.in_query[entry]
                room = capacity[m, query, k] - s.residual[m, query, k]
                if s.distance[(m + 1) * n + query] == distance - 1 and room > 0:
                    child = (m + 1) * n + query
                    break
                entry += 1
            p = entry - s.in_begin[v] + n
        s.cursor[v] = p
        if child >= 0:
            depth += 1
            s.node[depth], s.asked[depth], s.left[depth] = child, min(s.left[depth - 1], room), min(s.left[depth - 1], room)
            continue
        while True:  # this node is done: full, or with nowhere left to send
            if s.left[depth] > 0:
                _kill(s, s.node[depth])
            amount = s.asked[depth] - s.left[depth]
            if depth == 0:
                return amount, touched
            child, depth = s.node[depth], depth - 1
            v = s.node[depth]
            if amount > 0:
                s.left[depth] -= amount
                if child < v and child // n < v // n:
                    touched = _push(capacity, s, v // n - 1, v % n, child % n, amount, touched)
                else:
                    x, query, key = v // n, child % n, v % n
                    full, rest = capacity[x, query, key], s.residual[x, query, key]
                    s.residual[x, query, key] = full if amount == full - rest else rest + amount
            if s.left[depth] > 0:
                break


@inner
def _pair(capacity, s, columns, count, layer, source, sink, low, high, bound):
    """Maximum flow from (layer, source) to (0, sink) over positions low..high, for layers from 3 up."""
    n, total, touched, enough = capacity.shape[1], 0.0, 0, bound * (1 - MEETS)
    for k in range(low, high + 1):
        s.supply[k], s.demand[k] = capacity[layer - 1, source, k], capacity[0, k, sink]
    distance = _straight(s, n, layer, low, high)
    while distance > 0:
        for step in range(low - 1, high + 1):
            k = source if step < low else step
            root = (layer - 1) * n + k
            if s.supply[k] > 0 and s.distance[root] == distance:
                amount, touched = _descend(capacity, s, columns, count, n, layer, low, high, root, touched)
                s.supply[k] -= amount
                total += amount
        if total >= enough:
            break
        touched = _list_flow(capacity, s, n, layer, touched)
        distance = _search(s, columns, count, n, layer, low, high)
    for entry in range(touched):
        edge = s.log[entry]
        x, k, q = edge // (n * n), edge // n % n, edge % n
        s.residual[x, k, q] = capacity[x, k, q]
    return bound if total >= enough else total


@inner
def _spread(capacity, source, top, reach):
    """Bounds on what (m, k) gets from each source in layer `top + 1`: reach [m, source, key], m counted from 0."""
    n = capacity.shape[1]
    for s in range(source.size):
        for k in range(n):
            reach[top, s, k] = capacity[top, source[s], k]
        for m in range(top - 1, -1, -1):
            for k in range(n):
                reach[m, s, k] = 0.0
            for k in range(n):
                limit = reach[m + 1, s, k]
                if limit > 0:
                    for q in range(n):
                        reach[m, s, q] += min(limit, capacity[m, k, q])


@inner
def _flow_block(capacity, scratch, columns, count, causal, source, reach, every, begin, out):
    """Flows to the sinks begin..begin + BLOCK: out [layer, source, token]."""
    layers, n, _ = capacity.shape
    sinks = min(BLOCK, n - begin)
    send = np.zeros((layers + 1, n, BLOCK))  # bounds on, or exact, flow from (l, k) to the sink
    cap = np.zeros(BLOCK)
    bound = np.empty(BLOCK)
    for k in range(n):
        for j in range(sinks):
            send[1, k, j] = capacity[0, k, begin + j]
            cap[j] += send[1, k, j]
    for layer in range(1, layers + 1):
        if layer > 1 and not every:
            for k in range(n):
                to = send[layer, k]
                for q in range(n):
                    limit = capacity[layer - 1, k, q]
                    if limit > 0:
                        for j in range(BLOCK):
                            to[j] += min(limit, send[layer - 1, q, j])
                for j in range(BLOCK):
                    to[j] = min(to[j], cap[j])
        for index in range(source.size):
            i = source[index]
            for j in range(BLOCK):
                bound[j] = cap[j]
            for m in range(layer - 1, 0, -1):
                _meet(reach[layer - 1, m, index], send[m], n, bound)
            for j in range(sinks):
                if layer == 1:
                    value = send[1, i, j]
                elif layer == 2 or bound[j] == 0 or (causal and i < begin + j):
                    value = bound[j]
                else:
                    low, high = (begin + j, i) if causal else (0, n - 1)
                    value = _pair(capacity, scratch, columns, count, layer, i, begin + j, low, high, bound[j])
                out[layer - 1, index, begin + j] = value
                if every and layer > 1:
                    send[layer, i, j] = value


@inner
def _meet(reach, send, n, bound):
    """Lower each sink's bound to the sum over k of min(reach, send)."""
    total = np.zeros(BLOCK)
    for k in range(n):
        limit = reach[k]
        if limit > 0:
            for j in range(BLOCK):
                total[j] += min(limit, send[k, j])
    for j in range(BLOCK):
        bound[j] = min(bound[j], total[j])


@inner
def _work(worker, workers, mixing, source, length, every, out):
    layers, task = mixing.shape[1], 0
    for b in range(mixing.shape[0]):
        n, blocks = length[b], (length[b] + BLOCK - 1) // BLOCK
        mine = (worker - task) % workers
        task += blocks
        if mine >= blocks:
            continue
        capacity = np.empty((layers, n, n))
        scratch = _scratch(layers, n)
        for x in range(layers):
            for k in range(n):
                for q in range(n):
                    capacity[x, k, q] = scratch.residual[x, k, q] = mixing[b, x, k, q]
        columns, count, causal = _rows(capacity)
        sources = source[b, :n]
        reach = np.empty((layers, layers, sources.size, n))
        for top in range(layers):
            _spread(capacity, sources, top, reach[top])
        for block in range(mine, blocks, workers):
            _flow_block(capacity, scratch, columns, count, causal, sources, reach, every, block * BLOCK, out[b])


@njit(cache=True, parallel=True)
def _solve(mixing, source, length, every, workers, out):
    for worker in prange(workers):
        _work(worker, workers, mixing, source, length, every, out)


@inner
def _rows(capacity):
    """The columns of each row that are not zero, and whether no query looks to its right."""
    layers, n, _ = capacity.shape
    columns, count, causal = np.empty((layers, n, n), np.int64), np.zeros((layers, n), np.int64), True
    for x in range(layers):
        for k in range(n):
            for q in range(n):
                if capacity[x, k, q] > 0:
                    columns[x, k, count[x, k]] = q
                    count[x, k] += 1
                    causal = causal and q <= k
    return columns, count, causal


def _flows(mixing: NDArray, source: NDArray | None, length: NDArray | None = None) -> NDArray[np.float64]:
    batch, layers, n, _ = mixing.shape
    sources = np.tile(np.arange(n), (batch, 1)) if source is None else source[:, None]
    lengths = np.full(batch, n) if length is None else length
    out = np.zeros((batch, layers, sources.shape[1], n))
    # numba compiles anew for read-only or strided arrays
    _solve(np.require(mixing, requirements="CW"), sources, lengths, source is None, numba.get_num_threads(), out)
    return out
