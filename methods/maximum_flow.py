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

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba
import numpy as np
from numba import njit
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
    """What one worker writes on. Node (m, k), m from 1, has the number (m - 1) * n + k: its row in the stacked layers."""

    residual: NDArray  # [node, key]  what is left of each capacity; equal to it between two pairs
    supply: NDArray  # [token]  what is left of the source's edges
    demand: NDArray  # [token]  what is left of the sink's edges
    distance: NDArray  # [node]  edges to the sink in this phase, 0 where the sink is out of reach
    cursor: NDArray  # [node]  where the scan of this node's edges stands
    place: NDArray  # [node]  its place in `order`
    order: NDArray  # [place]  nodes by distance, then layer
    live: NDArray  # [place]  a step towards the next place with a live node
    first: NDArray  # [distance, layer]  where in `order` a group begins
    last: NDArray  # [distance, layer]  and ends
    node: NDArray  # [depth]  the path of the depth-first search
    height: NDArray  # [depth]  the layer of each node on it
    asked: NDArray  # [depth]  how much is to be sent through it
    left: NDArray  # [depth]  how much of that is still to be sent
    tail: NDArray  # [edge]  the log: edges with flow on them
    key: NDArray  # [edge]
    out_begin: NDArray  # [node + 1]  the log by tail
    out_node: NDArray  # [edge]
    in_begin: NDArray  # [node + 1]  the log by head
    in_node: NDArray  # [edge]


@inner
def _scratch(layers, n):
    nodes = layers * n
    edges = nodes * n  # pages that no flow touches are never mapped
    return Scratch(
        np.empty((nodes, n)),
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
        np.empty(nodes + 1, np.int64),
        np.empty(nodes + 1),
        np.empty(nodes + 1),
        np.empty(edges, np.int64),
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
        for v in range((m - 1) * n, (m - 1) * n + low):
            s.distance[v] = 0  # outside of the slice
        for v in range((m - 1) * n + low, (m - 1) * n + high + 1):
            s.distance[v] = 0
            s.cursor[v] = -1
            if m > 1 or s.demand[v] > 0:
                place = _reach(s, v, m, place)
        s.last[m, m] = place
    s.live[place] = place
    for v in range((layer - 1) * n + 1):
        s.in_begin[v] = 0
    return layer - 1


@inner
def _list_flow(capacity, s, n, layer, touched):
    """Sort the edges with flow by tail and by head; drop from the log those whose flow went back to zero."""
    out_begin, in_begin, tail, key, kept = s.out_begin, s.in_begin, s.tail, s.key, 0
    for v in range((layer - 1) * n + 1):
        out_begin[v] = in_begin[v] = 0
    for entry in range(touched):
        v, q = tail[entry], key[entry]
        if s.residual[v, q] != capacity[v, q]:
            tail[kept], key[kept] = v, q
            kept += 1
            out_begin[v] += 1
            in_begin[v // n * n - n + q] += 1
    for v in range(1, (layer - 1) * n + 1):
        out_begin[v] += out_begin[v - 1]
        in_begin[v] += in_begin[v - 1]
    for entry in range(kept):  # each begin holds an end, and counts down to the begin
        v = tail[entry]
        u = v // n * n - n + key[entry]
        out_begin[v] -= 1
        s.out_node[out_begin[v]] = u
        in_begin[u] -= 1
        s.in_node[in_begin[u]] = v
    return kept


@inner
def _search(s, columns, count, n, layer, low, high):
    """Distances to the sink over residual edges, breadth first; returns the source's, 0 if no path is left."""
    for m in range(layer - 1):
        for v in range(m * n + low, m * n + high + 1):
            s.distance[v] = 0
            s.cursor[v] = -1
    place, distance, top = 0, 1, (layer - 2) * n
    for m in range(1, layer):
        s.first[1, m] = place
        if m == 1:
            for v in range(low, high + 1):
                if s.demand[v] > 0:
                    place = _reach(s, v, 1, place)
        s.last[1, m] = place
    while s.first[distance, 1] < place:
        s.live[place] = place
        for at in range(s.first[distance, layer - 1], s.last[distance, layer - 1]):
            if s.supply[s.order[at] - top] > 0:
                return distance
        for m in range(1, layer):
            s.first[distance + 1, m] = place
            if m + 1 < layer:  # flow u -> v may be taken back: v reaches u
                for at in range(s.first[distance, m + 1], s.last[distance, m + 1]):
                    u = s.order[at]
                    for e in range(s.out_begin[u], s.out_begin[u + 1]):
                        v = s.out_node[e]
                        if s.distance[v] == 0:
                            place = _reach(s, v, distance + 1, place)
            begin, end, below = s.first[distance, m - 1], s.last[distance, m - 1], (m - 2) * n
            if m > 1 and begin < end:
                for v in range(below + n + low, below + n + high + 1):
                    if s.distance[v] == 0 and _sees(s, columns, count, v, distance, begin, end, below):
                        place = _reach(s, v, distance + 1, place)
            s.last[distance + 1, m] = place
        distance += 1
    return 0


@inner
def _sees(s, columns, count, v, distance, begin, end, below):
    """Whether node v has a residual edge into the group order[begin:end], the layer below at `distance`."""
    k = v - below - s.demand.size
    if s.distance[below + k] == distance and s.residual[v, k] > 0:
        return True
    if count[v] < end - begin:
        for e in range(count[v]):
            q = columns[v, e]
            if s.distance[below + q] == distance and s.residual[v, q] > 0:
                return True
    else:
        for at in range(begin, end):
            if s.residual[v, s.order[at] - below] > 0:
                return True
    return False


@inner
def _reach(s, v, distance, place):
    s.distance[v] = distance
    s.place[v] = place
    s.order[place] = v
    s.live[place] = place
    return place + 1


@inner
def _kill(s, v):
    s.distance[v] = 0
    s.live[s.place[v]] = s.place[v] + 1


@inner
def _push(capacity, s, v, q, amount, touched):
    """Send `amount` over the edge from node v to key q, and log the edge when it carries its first flow."""
    room = s.residual[v, q]
    rest = room - amount  # exactly 0 only if the edge is full
    if room == capacity[v, q] and rest != room:
        s.tail[touched], s.key[touched] = v, q
        touched += 1
    s.residual[v, q] = rest
    return touched


@inner
def _descend(capacity, s, columns, count, n, layer, low, high, root, touched):
    """Send all it can from one node of layer `layer - 1` along shortest paths: (amount, length of the log)."""
    depth = 0
    s.node[0], s.height[0] = root, layer - 1
    s.asked[0] = s.left[0] = s.supply[root - (layer - 2) * n]
    while True:
        v, m, left = s.node[depth], s.height[depth], s.left[depth]
        distance, p, below, child, room, step = s.distance[v], s.cursor[v], (m - 2) * n, -1, 0.0, -1
        if m > 1 and p < n:
            begin, end = s.first[distance - 1, m - 1], s.last[distance - 1, m - 1]
            short = count[v] < end - begin
            while True:
                if p < 0:
                    u = v - n  # the residual edge
                elif short:
                    if p >= count[v]:
                        p = n
                        break
                    u = below + columns[v, p]
                else:
                    at = _next_live(s.live, begin + p)
                    if at >= end:
                        p = n
                        break
                    p, u = at - begin, s.order[at]
                q = u - below
                if s.distance[u] == distance - 1 and s.residual[v, q] > 0:
                    room = s.residual[v, q]
                    if distance > 2:
                        child = u
                        break
                    amount = min(left, room, s.demand[q])
                    touched = _push(capacity, s, v, q, amount, touched)
                    left -= amount
                    s.demand[q] -= amount
                    if s.demand[q] == 0:
                        _kill(s, u)
                    if left == 0:
                        break
                p += 1
        if (p >= n or m == 1) and m < layer - 1:
            p = max(p, n)
            entry, step = s.in_begin[v] + p - n, 1
            while entry < s.in_begin[v + 1]:
                u = s.in_node[entry]
                if s.distance[u] == distance - 1:
                    q = v - below - n
                    room = capacity[u, q] - s.residual[u, q]
                    if room > 0:
                        child = u
                        break
                entry += 1
            p = entry - s.in_begin[v] + n
        s.cursor[v] = p
        s.left[depth] = left
        if child >= 0:
            depth += 1
            s.node[depth], s.height[depth] = child, m + step
            s.asked[depth] = s.left[depth] = min(left, room)
            continue
        while True:  # this node is done: all is sent, or it has nowhere left to send
            u, amount = s.node[depth], s.asked[depth] - s.left[depth]
            if s.left[depth] > 0:
                _kill(s, u)
            if depth == 0:
                return amount, touched
            depth -= 1
            v, m = s.node[depth], s.height[depth]
            if amount > 0:
                s.left[depth] -= amount
                if s.height[depth + 1] < m:
                    touched = _push(capacity, s, v, u - (m - 2) * n, amount, touched)
                else:
                    q = v - (m - 1) * n
                    full, rest = capacity[u, q], s.residual[u, q]
                    s.residual[u, q] = full if amount == full - rest else rest + amount
            if s.left[depth] > 0:
                break


@inner
def _pair(capacity, s, columns, count, layer, source, sink, low, high, bound):
    """Maximum flow from (layer, source) to (0, sink) over positions low..high, for layers from 3 up."""
    n, total, touched, enough = capacity.shape[1], 0.0, 0, bound * (1 - MEETS)
    for k in range(low, high + 1):
        s.supply[k], s.demand[k] = capacity[(layer - 1) * n + source, k], capacity[k, sink]
    distance, top = _straight(s, n, layer, low, high), (layer - 2) * n
    while distance > 0:
        for step in range(low - 1, high + 1):
            k = source if step < low else step
            if s.supply[k] > 0 and s.distance[top + k] == distance:
                amount, touched = _descend(capacity, s, columns, count, n, layer, low, high, top + k, touched)
                s.supply[k] -= amount
                total += amount
        if total >= enough:
            break
        touched = _list_flow(capacity, s, n, layer, touched)
        distance = _search(s, columns, count, n, layer, low, high)
    for entry in range(touched):
        v, q = s.tail[entry], s.key[entry]
        s.residual[v, q] = capacity[v, q]
    return bound if total >= enough else total


@inner
def _spread(capacity, n, source, top, reach):
    """Bounds on what (m, k) gets from each source in layer `top + 1`: reach [m, source, key], m counted from 0."""
    for s in range(source.size):
        for k in range(n):
            reach[top, s, k] = capacity[top * n + source[s], k]
        for m in range(top - 1, -1, -1):
            for k in range(n):
                reach[m, s, k] = 0.0
            for k in range(n):
                limit = reach[m + 1, s, k]
                if limit > 0:
                    for q in range(n):
                        reach[m, s, q] += min(limit, capacity[m * n + k, q])


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
def _flow_block(capacity, layers, scratch, columns, count, causal, source, reach, every, begin, out):
    """Flows to the sinks begin..begin + BLOCK: out [layer, source, token]."""
    n = capacity.shape[1]
    sinks = min(BLOCK, n - begin)
    send = np.zeros((layers + 1, n, BLOCK))  # bounds on, or exact, flow from (l, k) to the sink
    cap = np.zeros(BLOCK)
    bound = np.empty(BLOCK)
    for k in range(n):
        for j in range(sinks):
            send[1, k, j] = capacity[k, begin + j]
            cap[j] += send[1, k, j]
    for layer in range(1, layers + 1):
        if layer > 1 and not every:
            for k in range(n):
                to = send[layer, k]
                for q in range(n):
                    limit = capacity[(layer - 1) * n + k, q]
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
def _rows(capacity):
    """The columns of each row that are not zero, and whether no query looks to its right."""
    nodes, n = capacity.shape
    columns, count, causal = np.empty((nodes, n), np.int64), np.zeros(nodes, np.int64), True
    for v in range(nodes):
        for q in range(n):
            if capacity[v, q] > 0:
                columns[v, count[v]] = q
                count[v] += 1
                causal = causal and q <= v % n
    return columns, count, causal


@njit(cache=True, nogil=True)
def _work(worker, workers, mixing, source, length, every, out):
    """Blocks of sinks number `worker`, `worker + workers`, ... of all examples."""
    layers, task = mixing.shape[1], 0
    for b in range(mixing.shape[0]):
        n, blocks = length[b], (length[b] + BLOCK - 1) // BLOCK
        mine = (worker - task) % workers
        task += blocks
        if mine >= blocks:
            continue
        scratch = _scratch(layers, n)
        capacity = np.empty((layers * n, n))
        for v in range(layers * n):
            for q in range(n):
                capacity[v, q] = scratch.residual[v, q] = mixing[b, v // n, v % n, q]
        columns, count, causal = _rows(capacity)
        sources = source[b, :n]
        reach = np.empty((layers, layers, sources.size, n))
        for top in range(layers):
            _spread(capacity, n, sources, top, reach[top])
        for block in range(mine, blocks, workers):
            _flow_block(capacity, layers, scratch, columns, count, causal, sources, reach, every, block * BLOCK, out[b])


def _flows(mixing: NDArray, source: NDArray | None, length: NDArray | None = None) -> NDArray[np.float64]:
    batch, layers, n, _ = mixing.shape
    sources = np.tile(np.arange(n), (batch, 1)) if source is None else source[:, None]
    lengths = np.full(batch, n) if length is None else length
    out = np.zeros((batch, layers, sources.shape[1], n))
    # numba compiles anew for read-only or strided arrays
    given = (np.require(mixing, requirements="CW"), sources, lengths, source is None, out)
    workers = int(min(numba.get_num_threads(), ((lengths + BLOCK - 1) // BLOCK).sum()))
    if workers == 1:
        _work(0, 1, *given)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda worker: _work(worker, workers, *given), range(workers)))
    return out
