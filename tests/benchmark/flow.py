"""The flow solver's speed compared with five others, and its error compared with two of them.

    python -m tests.benchmark.flow             the speed table
    python -m tests.benchmark.flow exactness   the error table
    python -m tests.benchmark.flow --sizes 32 64 --layers 6 --seconds 0.5

Others are timed on a graph that is already built, one pair of source and sink at a time; ours from the bare array,
bounds and copies included, over all sinks of one source in one call. For the other, each layer is the median over
random sinks; their mean over layers is compared with ours, which also runs over all layers, with one call of ours per
layer of the other. The source of `real` is CLS, which a classifier reads, that of `real, middle` is token n / 2.
Ratios are of processor time on one thread, which a busy machine distorts little; columns in seconds are wall-clock
time on all threads. igraph is used if it is installed, but is not a dependency.
"""

import argparse
import os
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from statistics import median

import networkx
import numba
import numpy as np
import pandas as pd
import rich
from networkx.algorithms.flow import edmonds_karp, preflow_push
from numpy.typing import NDArray
from ortools.graph.python.max_flow import SimpleMaxFlow
from rich.progress import track
from rich.table import Table
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow as scipy_maximum_flow

from methods.maximum_flow import maximum_flow, maximum_flow_all

try:
    import igraph  # pyright: ignore[reportMissingImports]
except ImportError:
    igraph = None

SIZES = (8, 16, 32, 64, 128, 256, 512)
KINDS = ("real", "real, middle", "near_one_hot", "sparse", "causal")
LIMITS = {"networkx edmonds-karp": 16, "networkx preflow-push": 128}  # token counts beyond which a pair takes seconds
ALL_SOURCES = 64  # token counts up to which all sources are timed
TARGETS: dict[tuple[str, int], dict[str, float]] = {
    ("real", 32): {"igraph": 4, "OR-tools": 4, "scipy": 8, "networkx preflow-push": 1200},
    ("real", 64): {"igraph": 12, "OR-tools": 10, "scipy": 10, "networkx preflow-push": 4000},
    ("real", 128): {"igraph": 50, "OR-tools": 25, "scipy": 20, "networkx preflow-push": 6000},
    ("real", 256): {"igraph": 100, "OR-tools": 50, "scipy": 40},
}
TARGETS |= {("real, middle", n): least for (_, n), least in TARGETS.items()}
TARGETS |= {(kind, n): {"igraph": least} for kind, least in (("near_one_hot", 3), ("sparse", 1)) for n in SIZES}
INTEGER = 2.0**52  # scale of OR-tools' int64 capacities
SMALL_INTEGER = 2.0**28  # for scipy's int32: the sum of two edges' capacities must not overflow


def mixing(kind: str, layers: int, n: int, seed: int = 0) -> NDArray | None:  # [layer, query, key]
    """Rows that sum to 1, with half of the weight on the residual; None for `real` without the checkpoint."""
    if kind.startswith("real"):
        attention = real_attention(layers, n, seed)
        if attention is None:
            return None
    else:
        rng = np.random.default_rng(seed)
        scores = rng.normal(size=(layers, n, n)) * (8 if kind == "near_one_hot" else 1.5)
        if kind == "causal":
            scores[:, ~np.tri(n, dtype=bool)] = -np.inf
        if kind == "sparse":
            scores[rng.random(scores.shape).argsort(-1).argsort(-1) >= 4] = -np.inf
        attention = np.exp(scores - scores.max(-1, keepdims=True))
        attention /= attention.sum(-1, keepdims=True)
    mixed = 0.5 * attention + 0.5 * np.eye(n)
    return mixed / mixed.sum(-1, keepdims=True)


def real_attention(layers: int, n: int, seed: int) -> NDArray | None:  # [layer, query, key]
    """Mean over heads of a trained 6-layer model on n tokens of SST-2; deeper stacks add other texts' layers."""
    import torch
    from transformers import AutoModel, AutoTokenizer, logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    shared = Path(os.environ.get("ASSAY_SHARED", Path(__file__).parents[2] / ".." / "shared"))
    checkpoint, sentences = shared / "checkpoints" / "distilbert-minilm-sst2", shared / "data" / "sst2" / "dev.tsv"
    if not (checkpoint.exists() and sentences.exists()):
        return None
    tokenizer = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
    model = AutoModel.from_pretrained(
        checkpoint, attn_implementation="eager", dtype=torch.float32, local_files_only=True
    ).eval()
    lines = [line.split("\t")[0] for line in sentences.read_text(encoding="utf-8").splitlines()[1:]]
    stack, at = [], seed * 50
    while sum(map(len, stack)) < layers:
        words = []
        while len(words) < n:
            words += tokenizer(lines[at % len(lines)], add_special_tokens=False)["input_ids"]
            at += 1
        ids = [tokenizer.cls_token_id, *words[: n - 2], tokenizer.sep_token_id]
        with torch.no_grad():
            attention = model(input_ids=torch.tensor([ids]), output_attentions=True).attentions
        stack.append(torch.stack(attention)[:, 0].double().mean(dim=1).numpy())
    return np.concatenate(stack)[:layers]


def edges(stack: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Tail, head and capacity of each edge; node (l, i) is number l * n + i."""
    layer, query, key = np.nonzero(stack)
    n = stack.shape[-1]
    return (layer + 1) * n + query, layer * n + key, stack[layer, query, key]


Solve = Callable[[int, int], float]  # source node, sink node -> flow


def networkx_solver(stack: NDArray, flow_func: Callable, number: Callable = float) -> Solve:
    """The implementation that everyone starts from."""
    graph = networkx.DiGraph()
    graph.add_nodes_from(range((len(stack) + 1) * stack.shape[-1]))
    for tail, head, capacity in zip(*(column.tolist() for column in edges(stack)), strict=True):
        graph.add_edge(tail, head, capacity=number(capacity))
    return lambda source, sink: networkx.maximum_flow_value(graph, source, sink, flow_func=flow_func)


def scipy_solver(stack: NDArray) -> Solve:
    """Dinic's algorithm with int32 capacities."""
    tail, head, capacity = edges(stack)
    nodes = (len(stack) + 1) * stack.shape[-1]
    whole = np.round(capacity * SMALL_INTEGER).astype(np.int32)
    graph = csr_array((whole, (tail.astype(np.int32), head.astype(np.int32))), shape=(nodes, nodes))
    return lambda source, sink: scipy_maximum_flow(graph, source, sink, method="dinic").flow_value / SMALL_INTEGER


def ortools_solver(stack: NDArray) -> Solve:
    """Push-relabel with int64 capacities."""
    tail, head, capacity = edges(stack)
    last = (len(stack) + 1) * stack.shape[-1] - 1
    solver = SimpleMaxFlow()
    # int32 and int64 arrays, which the stubs take for scalars
    solver.add_arcs_with_capacity(tail, head, np.round(capacity * INTEGER).astype(np.int64))  # pyright: ignore
    solver.add_arc_with_capacity(last, last, 0)  # every node must exist, even without edges

    def solve(source: int, sink: int) -> float:
        if solver.solve(source, sink) != SimpleMaxFlow.OPTIMAL:
            raise RuntimeError("Expected an optimal flow from OR-tools; got none. Lower INTEGER.")
        return solver.optimal_flow() / INTEGER

    return solve


def igraph_solver(stack: NDArray) -> Solve:
    """Push-relabel in C, with doubles."""
    tail, head, capacity = edges(stack)
    graph = igraph.Graph(  # pyright: ignore[reportOptionalMemberAccess]
        (len(stack) + 1) * stack.shape[-1], np.stack([tail, head], axis=1).tolist(), directed=True
    )
    weights = capacity.tolist()
    return lambda source, sink: graph.maxflow_value(source, sink, weights)


OPPONENTS: dict[str, Callable[[NDArray], Solve]] = {
    "OR-tools": ortools_solver,
    "scipy": scipy_solver,
    "networkx preflow-push": lambda stack: networkx_solver(stack, preflow_push),
    "networkx edmonds-karp": lambda stack: networkx_solver(stack, edmonds_karp),
}
if igraph is not None:
    OPPONENTS = {"igraph": igraph_solver, **OPPONENTS}


def duration(clock: Callable[[], float], call: Callable[..., object], *arguments: object) -> float:
    """Seconds of one call."""
    before = clock()
    call(*arguments)
    return clock() - before


def flow_table(sizes=SIZES, layers=(6, 12), kinds=KINDS, opponents=tuple(OPPONENTS), seconds=1.0) -> pd.DataFrame:
    """One row per kind of graph, size, depth and opponent; `seconds` is the minimum time given to each opponent."""
    threads = numba.get_num_threads()
    maximum_flow(np.ones((3, 2, 2)), 0)  # compile before anything is timed
    rows = []
    cells = [(kind, n, depth) for kind in kinds for n in sizes for depth in layers]
    for kind, n, depth in track(cells, description="maximum flow", transient=True):
        graph = mixing(kind, depth, n)
        if graph is None:
            rich.print(f"{kind} n={n} L={depth} skipped: no trained checkpoint in ASSAY_SHARED or ../shared")
            continue
        source = {"real": 0, "causal": n - 1}.get(kind, n // 2)
        cell = {"kind": kind, "n": n, "layers": depth}
        cell["threads s"] = median(duration(time.perf_counter, maximum_flow, graph, source) for _ in range(3))
        cell["all sources s"] = np.nan
        if n <= ALL_SOURCES:
            cell["all sources s"] = duration(time.perf_counter, maximum_flow_all, graph)
        numba.set_num_threads(1)
        try:
            for name in opponents:
                if n <= LIMITS.get(name, n):
                    rows.append(cell | against(name, kind, graph, source, seconds))
        finally:
            numba.set_num_threads(threads)
    return pd.DataFrame(rows)


def against(name: str, kind: str, graph: NDArray, source: int, seconds: float) -> dict:
    """One opponent's rounds on one graph, layer by layer: only one of its graphs exists at a time."""
    depth, n = graph.shape[:2]
    rng, ours, theirs = np.random.default_rng(0), [], []
    for layer in range(1, depth + 1):
        solve, rounds, end = OPPONENTS[name](graph[:layer]), [], time.perf_counter() + seconds / depth
        while not rounds or time.perf_counter() < end:
            rounds.append(duration(time.process_time, solve, layer * n + source, int(rng.integers(n))))
        theirs.append(median(rounds))
        ours.append(duration(time.process_time, maximum_flow, graph, source) / (depth * n))
    ratio = sum(theirs) / depth / median(ours)
    least = TARGETS.get((kind, n), {}).get(name, np.nan) if depth == 6 else np.nan
    return {
        "opponent": name,
        "ours µs": median(ours) * 1e6,
        "theirs µs": sum(theirs) / depth * 1e6,
        "ratio": ratio,
        "target": least,
        "reached": "" if np.isnan(least) else "yes" if ratio >= least else "no",
    }


def error_table(graphs: int = 1200) -> pd.DataFrame:
    """Largest and mean error per kind of graph, over at least `graphs` random graphs with three pairs each."""
    kinds = ("dense", "near_one_hot", "sparse", "causal", "ties", "one_hot", "unnormalised", "uniform")
    rows = []
    for kind in kinds:
        errors = {"OR-tools": [], "networkx": []}
        each = -(-graphs // len(kinds))
        for seed in range(each):
            rng = np.random.default_rng(seed)
            depth, n = int(rng.integers(2, 9)), int(rng.integers(1, 41))
            graph = error_graph(kind, depth, n, seed)
            source = int(rng.integers(n))
            flow = maximum_flow(graph, source)
            for layer, sink in zip(rng.integers(1, depth + 1, 3), rng.integers(n, size=3), strict=True):
                value, ends = flow[layer - 1, sink], (int(layer * n + source), int(sink))
                errors["OR-tools"].append(abs(value - ortools_solver(graph[:layer])(*ends)))
                if n * n * layer <= 300:
                    exact = networkx_solver(graph[:layer], preflow_push, Fraction)(*ends)
                    errors["networkx"].append(float(abs(Fraction(float(value)) - exact)))
        rows += [
            {"kind": kind, "oracle": name, "graphs": each, "pairs": len(found), "largest error": max(found)}
            | {"mean error": float(np.mean(found))}
            for name, found in errors.items()
        ]
    return pd.DataFrame(rows)


def error_graph(kind: str, layers: int, n: int, seed: int) -> NDArray:
    """Graphs of every kind that has ever broken a flow solver."""
    graph = mixing(kind, layers, n, seed)
    assert graph is not None
    if kind == "ties":
        graph = np.round(graph * 8) / 8
    if kind == "one_hot":
        graph = np.eye(n)[graph.argsort(-1)[..., max(n - 2, 0)]]
    if kind == "unnormalised":
        graph = graph * np.random.default_rng(seed).uniform(0, 2, graph.shape)
    if kind == "uniform":
        graph = np.full_like(graph, 1 / n)
    return graph


def printed(frame: pd.DataFrame, title: str) -> Table:
    """The frame as one table."""
    table = Table(title=title)
    for column in frame:
        table.add_column(str(column), justify="right" if frame[column].dtype.kind in "fi" else "left")
    for row in frame.itertuples(index=False):
        table.add_row(
            *("" if cell != cell else f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row)
        )
    return table


def main() -> None:
    """Print one of the two tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("table", nargs="?", choices=["speed", "exactness"], default="speed")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--layers", nargs="+", type=int, default=(6, 12))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--opponents", nargs="+", choices=list(OPPONENTS), default=tuple(OPPONENTS))
    parser.add_argument("--seconds", type=float, default=1.0, help="least time for each opponent")
    chosen = parser.parse_args()
    if chosen.table == "exactness":
        rich.print(printed(error_table(), "Error of the flow (rational networkx is exact, OR-tools to 3e-10)"))
        return
    frame = flow_table(chosen.sizes, chosen.layers, chosen.kinds, chosen.opponents, chosen.seconds)
    title = (
        "Maximum flow, one source: µs a pair on one thread; `real` with more than 6 layers stacks several texts' layers"
    )
    rich.print(printed(frame, title))


if __name__ == "__main__":
    main()
