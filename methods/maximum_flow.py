"""Exact maximum flow through layered attention graphs, the solver behind attention flow.

Abnar and Zuidema (2020), section 3: https://arxiv.org/abs/2005.00928

Layers count 1..L, and `mixing[l - 1, i, k]` is the capacity of the edge from node (l, i) to node (l - 1, k); the input
tokens are layer 0. Every value is the largest flow from one node to one input token on its own.

**Method.** Dinic's algorithm on the layer matrices themselves, no graph object. Residual capacities are restored from a
log; the first phase needs no search because all paths are equally long; the residual edge k -> k is tried first; short
rows are walked along their nonzero columns; a causal graph is cut to the positions from sink to source. A pair is done
as soon as its flow meets an upper bound, and then the bound itself is stored: no flow exceeds, for any layer m, the sum
over k of min(what reaches (m, k) from the source, what (m, k) sends to the sink), both bounded in turn in the same way.
Layers 1 and 2 are closed forms. Where a bound is that of the layer before, rollout from the source stands in for the
layers above the depth that met it; from all sources at once, the flows of the layer before settle many pairs.

**Guarantee.** It always ends, whatever the numbers: a push the size of an edge's residual sets it to exactly zero (or,
backwards, to exactly its capacity), so every push uses up an edge, a node or the demand of its phase, and every phase
lengthens the shortest path. The value differs from the true maximum by at most 2e-14 of its bound (`MEETS`) and one
rounding (1.1e-16 of an edge's capacity) for each push. One thread solves a pair, in an order that nothing outside of
its example changes: batch, padding and number of threads change no bit.

**Threads.** At most `numba.get_num_threads()` workers (`numba.set_num_threads`, NUMBA_NUM_THREADS) share the blocks of
sinks of a batch in turn; none holds the interpreter lock, and none starts a thread of its own. They are Python threads,
not numba's prange, which takes half as long again to compile and whose OpenMP layer does not survive a fork.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

MEETS = 2e-14  # a flow within this share of an upper bound has met it: above the rounding of a sum over 1,024 tokens
BLOCK = 8  # sinks that a worker takes at a time

unwrapped: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # compiles in half the time
inner = njit(cache=True, error_model="numpy", **unwrapped)
# a call that passes a Scratch costs as much as the work of these
tiny = njit(cache=True, error_model="numpy", inline="always")
# sums in vector registers; the order of the terms depends only on their number
vector = njit(cache=True, fastmath={"reassoc", "nnan", "nsz"}, **unwrapped)


def maximum_flow(mixing: ArrayLike, source: int) -> NDArray[np.float64]:
    """Maximum flow from `source` in every layer to each input token.

    Takes mixing [layer, query, key], capacities >= 0, rows of any sum; returns [layer, token], the flow from
    (l, source) at index l - 1. Raises ValueError for negative, infinite or NaN capacities, layers that are not square
    and a source that is no token.
    """
    capacity = np.asarray(mixing, dtype=np.float64)
    _square(capacity, "[layer, query, key]")
    return maximum_flow_batch(capacity[None], source)[0]


def maximum_flow_all(mixing: ArrayLike) -> NDArray[np.float64]:
    """Maximum flow between all nodes and inputs: mixing [layer, query, key] -> [layer, query, token]."""
    capacity = np.asarray(mixing, dtype=np.float64)
    _square(capacity, "[layer, query, key]")
    return maximum_flow_all_batch(capacity[None])[0]


def maximum_flow_batch(mixing: ArrayLike, source: ArrayLike, length: ArrayLike | None = None) -> NDArray[np.float64]:
    """Maximum flow from one source for each example.

    Takes mixing [batch, layer, query, key], source [batch] and length [batch] (all tokens if left out): example b is
    its first length[b] tokens; later positions are not read and their flow is 0. Returns [batch, layer, token].
    """
    capacity, lengths = _checked(mixing, length)
    sources = _tokens(source, "source", lengths.size, 0, lengths - 1)
    return _flows(capacity, sources[:, None], lengths, every=False)[:, :, 0]


def maximum_flow_all_batch(mixing: ArrayLike, length: ArrayLike | None = None) -> NDArray[np.float64]:
    """Maximum flow between all nodes and inputs: mixing [batch, layer, query, key] -> [batch, layer, query, token]."""
    capacity, lengths = _checked(mixing, length)
    return _flows(capacity, np.tile(np.arange(capacity.shape[-1]), (lengths.size, 1)), lengths, every=True)


def _flows(mixing: NDArray, source: NDArray, length: NDArray, every: bool) -> NDArray[np.float64]:
    batch, layers, n, _ = mixing.shape
    out = np.zeros((batch, layers, source.shape[1], n))
    # numba would compile again for a strided or read-only array
    given = (np.require(mixing, requirements=["C", "W"]), source, length, every, out)
    workers = int(min(numba.get_num_threads(), (-(-length // BLOCK)).sum()))
    if workers == 1:
        _work(0, 1, *given)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda worker: _work(worker, workers, *given), range(workers)))
    return out


def _square(capacity: NDArray, axes: str) -> None:
    if capacity.ndim != axes.count(",") + 1 or capacity.shape[-1] != capacity.shape[-2] or 0 in capacity.shape:
        raise ValueError(
            f"Expected mixing {axes} with as many queries as keys and no empty axis; got shape {capacity.shape}. "
            "Average or select heads first, and pass the square matrix of each layer."
        )


def _checked(mixing: ArrayLike, length: ArrayLike | None) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    capacity = np.asarray(mixing, dtype=np.float64)
    _square(capacity, "[batch, layer, query, key]")
    batch, _, _, n = capacity.shape
    lengths = _tokens(n if length is None else length, "length", batch, 1, n)
    for example, size in zip(capacity, lengths, strict=True):
        inside = example[:, :size, :size]
        bad = inside[~((inside >= 0) & (inside < np.inf))]
        if bad.size:
            raise ValueError(
                f"Expected finite capacities of at least 0 in mixing; got {bad[0]}. "
                "Clip signed scores and replace NaN before asking for a flow."
            )
    return capacity, lengths


def _tokens(given: ArrayLike, name: str, batch: int, low: int, high: ArrayLike) -> NDArray[np.int64]:
    """`given` as one integer per example, between `low` and `high`."""
    values = np.asarray(given)
    if values.dtype.kind not in "iu" or values.shape not in ((), (batch,)):
        came = f"{values.dtype} {list(values.shape)}"
        raise ValueError(f"Expected {name} as integers [{batch}]; got {came}. Pass one for each example.")
    if (values < low).any() or (values > high).any():
        raise ValueError(
            f"Expected {name} from {low} to {np.min(high)}; got {values.tolist()}. "
            "Count tokens from 0 and leave padding out of the length."
        )
    return np.broadcast_to(values, (batch,)).astype(np.int64)


class Scratch(NamedTuple):
    """One worker's buffers. Node (m, k), m from 1, is row (m - 1) * n + k of the stacked layers."""

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


@tiny
def _next_live(live, place):
    end = place
    while live[end] != end:
        end = live[end]
    while live[place] != end and place != end:
        live[place], place = end, live[place]
    return end


@inner
def _straight(s, n, layer, low, high, sink):
    """Distances before any flow: node (m, k) is m edges away."""
    demand, away, cursor, place_of = s.demand, s.distance, s.cursor, s.place
    order, live, first, last = s.order, s.live, s.first, s.last
    in_begin = s.in_begin
    place = 0
    for m in range(1, layer):
        first[m, m] = place
        for v in range((m - 1) * n, (m - 1) * n + low):
            away[v] = 0  # outside of the slice
        for step in range(low - 1, high + 1):
            k = sink if step < low else step
            v = (m - 1) * n + k
            if step == sink:
                continue
            away[v] = 0
            cursor[v] = -1
            if m > 1 or demand[v] > 0:
                place = _reach(away, place_of, order, live, v, m, place)
        last[m, m] = place
    live[place] = place
    for v in range((layer - 1) * n + 1):
        in_begin[v] = 0
    return layer - 1


@inner
def _list_flow(capacity, s, n, layer, touched):
    """Sort the edges with flow by tail and by head; drop from the log those whose flow went back to zero."""
    residual, tail, key, out_begin = s.residual, s.tail, s.key, s.out_begin
    out_node, in_begin, in_node = s.out_node, s.in_begin, s.in_node
    kept = 0
    for v in range((layer - 1) * n + 1):
        out_begin[v] = in_begin[v] = 0
    for entry in range(touched):
        v, q = tail[entry], key[entry]
        if residual[v, q] != capacity[v, q]:
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
        out_node[out_begin[v]] = u
        in_begin[u] -= 1
        in_node[in_begin[u]] = v
    return kept


@inner
def _search(s, columns, count, n, layer, low, high):
    """Distances to the sink over residual edges, breadth first; returns the source's, 0 if no path is left."""
    residual, supply, demand, away = s.residual, s.supply, s.demand, s.distance
    cursor, place_of, order, live = s.cursor, s.place, s.order, s.live
    first, last, out_begin, out_node = s.first, s.last, s.out_begin, s.out_node
    for m in range(layer - 1):
        for v in range(m * n + low, m * n + high + 1):
            away[v] = 0
            cursor[v] = -1
    place, distance, top = 0, 1, (layer - 2) * n
    for m in range(1, layer):
        first[1, m] = place
        if m == 1:
            for v in range(low, high + 1):
                if demand[v] > 0:
                    place = _reach(away, place_of, order, live, v, 1, place)
        last[1, m] = place
    while first[distance, 1] < place:
        live[place] = place
        for at in range(first[distance, layer - 1], last[distance, layer - 1]):
            if supply[order[at] - top] > 0:
                return distance
        for m in range(1, layer):
            first[distance + 1, m] = place
            if m + 1 < layer:  # flow u -> v may be taken back: v reaches u
                for at in range(first[distance, m + 1], last[distance, m + 1]):
                    u = order[at]
                    for e in range(out_begin[u], out_begin[u + 1]):
                        v = out_node[e]
                        if away[v] == 0:
                            place = _reach(away, place_of, order, live, v, distance + 1, place)
            begin, end, below = first[distance, m - 1], last[distance, m - 1], (m - 2) * n
            if m > 1 and begin < end:
                for v in range(below + n + low, below + n + high + 1):
                    if away[v] == 0 and _sees(residual, away, order, columns, count, v, distance, begin, end, below):
                        place = _reach(away, place_of, order, live, v, distance + 1, place)
            last[distance + 1, m] = place
        distance += 1
    return 0


@tiny
def _sees(residual, away, order, columns, count, v, distance, begin, end, below):
    """Whether node v has a residual edge into the group order[begin:end], the layer below at `distance`."""
    k = v - below - residual.shape[1]
    if away[below + k] == distance and residual[v, k] > 0:
        return True
    if count[v] < end - begin:
        for e in range(count[v]):
            q = columns[v, e]
            if away[below + q] == distance and residual[v, q] > 0:
                return True
    else:
        for at in range(begin, end):
            if residual[v, order[at] - below] > 0:
                return True
    return False


@tiny
def _reach(away, place_of, order, live, v, distance, place):
    away[v] = distance
    place_of[v] = place
    order[place] = v
    live[place] = place
    return place + 1


@tiny
def _kill(away, place_of, live, v):
    away[v] = 0
    live[place_of[v]] = place_of[v] + 1


@tiny
def _push(capacity, residual, tail, key, v, q, amount, touched):
    """Send `amount` over the edge from node v to key q, and log the edge when it carries its first flow."""
    room = residual[v, q]
    rest = room - amount  # exactly 0 only if the edge is full
    if room == capacity[v, q] and rest != room:
        tail[touched], key[touched] = v, q
        touched += 1
    residual[v, q] = rest
    return touched


@inner
def _advance(capacity, s, columns, count, n, layer, source, low, high, nearest, touched):
    """One phase, depth first: all that shortest paths of `nearest` edges still carry; (amount, length of the log)."""
    residual, supply, demand, away = s.residual, s.supply, s.demand, s.distance
    cursor, place_of, order, live = s.cursor, s.place, s.order, s.live
    first, last, path, height = s.first, s.last, s.node, s.height
    asked, left_of, tail, key = s.asked, s.left, s.tail, s.key
    in_begin, in_node = s.in_begin, s.in_node
    total = 0.0
    for start in range(low - 1, high + 1):
        k = source if start < low else start  # the source's own token first
        depth = 0
        path[0], height[0] = (layer - 2) * n + k, layer - 1
        asked[0] = left_of[0] = supply[k]
        if supply[k] == 0 or away[path[0]] != nearest:
            continue
        while True:
            v, m, left = path[depth], height[depth], left_of[depth]
            distance, p, below, child, room, step = away[v], cursor[v], (m - 2) * n, -1, 0.0, -1
            if m > 1 and p < n:
                begin, end = first[distance - 1, m - 1], last[distance - 1, m - 1]
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
                        at = _next_live(live, begin + p)
                        if at >= end:
                            p = n
                            break
                        p, u = at - begin, order[at]
                    q = u - below
                    if away[u] == distance - 1 and residual[v, q] > 0:
                        room = residual[v, q]
                        if distance > 2:
                            child = u
                            break
                        amount = min(left, room, demand[q])
                        touched = _push(capacity, residual, tail, key, v, q, amount, touched)
                        left -= amount
                        demand[q] -= amount
                        if demand[q] == 0:
                            _kill(away, place_of, live, u)
                        if left == 0:
                            break
                    p += 1
            if (p >= n or m == 1) and m < layer - 1:
                p = max(p, n)
                entry, step = in_begin[v] + p - n, 1
                while entry < in_begin[v + 1]:
                    u = in_node[entry]
                    if away[u] == distance - 1:
                        q = v - below - n
                        room = capacity[u, q] - residual[u, q]
                        if room > 0:
                            child = u
                            break
                    entry += 1
                p = entry - in_begin[v] + n
            cursor[v] = p
            left_of[depth] = left
            if child >= 0:
                depth += 1
                path[depth], height[depth] = child, m + step
                asked[depth] = left_of[depth] = min(left, room)
                continue
            while True:  # this node is done: all is sent, or it has nowhere left to send
                u, amount = path[depth], asked[depth] - left_of[depth]
                if left_of[depth] > 0:
                    _kill(away, place_of, live, u)
                depth -= 1
                if depth < 0:
                    break
                v, m = path[depth], height[depth]
                if amount > 0:
                    left_of[depth] -= amount
                    if height[depth + 1] < m:
                        touched = _push(capacity, residual, tail, key, v, u - (m - 2) * n, amount, touched)
                    else:
                        q = v - (m - 1) * n
                        full, rest = capacity[u, q], residual[u, q]
                        residual[u, q] = full if amount == full - rest else rest + amount
                if left_of[depth] > 0:
                    break
            if depth < 0:
                supply[k] -= amount
                total += amount
                break
    return total, touched


@inner
def _pair(capacity, s, columns, count, layer, feed, row, source, sink, low, high, bound):
    """Maximum flow to (0, sink) of feed[row], given to layer `layer - 1`, from 2 up, over positions low..high."""
    residual, supply, demand, tail, key = s.residual, s.supply, s.demand, s.tail, s.key
    n, total, touched, enough = capacity.shape[1], 0.0, 0, bound * (1 - MEETS)
    for k in range(low, high + 1):
        supply[k], demand[k] = feed[row, k], capacity[k, sink]
    distance = _straight(s, n, layer, low, high, sink)
    while distance > 0:
        amount, touched = _advance(capacity, s, columns, count, n, layer, source, low, high, distance, touched)
        total += amount
        if total >= enough:
            break
        touched = _list_flow(capacity, s, n, layer, touched)
        distance = _search(s, columns, count, n, layer, low, high)
    for entry in range(touched):
        v, q = tail[entry], key[entry]
        residual[v, q] = capacity[v, q]
    return bound if total >= enough else total


@inner
def _reachable(capacity, layers, source):
    """What each node gets from each source: [l * m * source, key], from (l + 1, source) to (m, key), as two tables.

    The first bounds it for each key alone; the second can be had by all keys at once: rollout, made to fit.
    """
    n, sources = capacity.shape[1], source.size
    reach = np.zeros((layers * layers * sources, n))
    spread = np.zeros((layers * layers * sources, n))
    for top in range(layers):
        for index in range(sources):
            for m in range(top, -1, -1):
                row = (top * layers + m) * sources + index
                if m == top:
                    for k in range(n):
                        reach[row, k] = spread[row, k] = capacity[top * n + source[index], k]
                    continue
                for k in range(n):
                    limit, total = reach[row + sources, k], 0.0
                    if limit > 0:
                        for q in range(n):
                            c = capacity[m * n + k, q]
                            reach[row, q] += c if c < limit else limit
                            total += c
                        share = min(1.0, spread[row + sources, k]) / max(1.0, total)
                        for q in range(n):
                            spread[row, q] += share * capacity[m * n + k, q]
    return reach, spread


@vector
def _narrower(one, i, other, j, low, high):
    """The sum of min(one[i], other[j]) over low..high."""
    narrow, wide, total = one[i, low : high + 1], other[j, low : high + 1], 0.0
    for k in range(narrow.size):
        total += min(narrow[k], wide[k])
    return total


@vector
def _certain(capacity, v, send, below, low, high, bound):
    """Whether keys that send `bound` on their own take enough of row v: then a weighted mean of their flows fits."""
    row, sent, enough, total = capacity[v, low : high + 1], send[below, low : high + 1], bound * (1 - MEETS), 0.0
    for k in range(row.size):
        total += min(row[k], bound) if sent[k] >= enough else 0.0
    return total >= enough


@inner
def _flow_block(capacity, layers, scratch, columns, count, causal, source, reach, spread, every, begin, out):
    """Flows to the sinks begin..begin + BLOCK: out [layer, source, token]."""
    n = capacity.shape[1]
    for sink in range(begin, min(begin + BLOCK, n)):
        send = np.zeros((layers, n))  # bounds on, or exact, flow from (l, k) to the sink
        cap, near, met = 0.0, 0, 0.0  # the depth at which a bound was met last, and that bound
        low = sink if causal else 0
        for k in range(low, n):
            send[0, k] = capacity[k, sink]
            cap += send[0, k]
        for layer in range(1, layers + 1):
            if layer > 1 and not every:
                for k in range(low, n):
                    v = (layer - 1) * n + k
                    if 4 * count[v] < n:
                        for e in range(count[v]):
                            send[layer - 1, k] += min(capacity[v, columns[v, e]], send[layer - 2, columns[v, e]])
                    else:
                        high = k if causal else n - 1
                        send[layer - 1, k] = _narrower(capacity, v, send, layer - 2, low, high)
                    send[layer - 1, k] = min(send[layer - 1, k], cap)
            for index in range(source.size):
                i = source[index]
                if causal and i < sink:
                    continue
                high, bound = i if causal else n - 1, cap
                for m in range(1, layer):
                    row = ((layer - 1) * layers + m) * source.size + index
                    bound = min(bound, _narrower(reach, row, send, m - 1, low, high))
                if layer == 1:
                    bound = send[0, i]
                elif (
                    layer > 2
                    and bound > 0
                    and not (every and _certain(capacity, (layer - 1) * n + i, send, layer - 2, low, high, bound))
                ):
                    flow, row = -1.0, ((layer - 1) * layers + near - 1) * source.size + index
                    if bound <= met and not every and not causal:  # likely met again by what arrives so deep
                        flow = _pair(capacity, scratch, columns, count, near, spread, row, i, sink, low, high, bound)
                    if flow < bound:
                        row = (layer - 1) * (layers + 1) * source.size + index
                        flow = _pair(capacity, scratch, columns, count, layer, reach, row, i, sink, low, high, bound)
                        near, met = layer, bound if flow == bound else 0.0
                    bound = flow
                out[layer - 1, index, sink] = bound
                if every and layer > 1:
                    send[layer - 1, i] = bound


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
        reach, spread = _reachable(capacity, layers, sources)
        for block in range(mine, blocks, workers):
            _flow_block(
                capacity, layers, scratch, columns, count, causal, sources, reach, spread, every, block * BLOCK, out[b]
            )
