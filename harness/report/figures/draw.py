"""All figures of a run, from its tables alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.report.grid import layer_name, line_name
from harness.statistics.alignment_board import pair_matrices, proposed
from harness.statistics.explainer_agreement import explainer_agreement, reference_agreement
from harness.statistics.pairs import PAIR
from harness.statistics.ranking import tied_groups
from harness.statistics.source_shares import source_shares

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from harness.report.run_tables import RunTables

NAMES = ("explainer", "measure", "method", *PAIR)
FIGURES = "figures"  # the folder, inside that of the tables
MANY_LAYERS = 13  # from which a heat map is drawn: the leaderboard of fewer stands in one piece, with numbers


def write_figures(run: RunTables, out: Path, pictured: int, relative: bool = False) -> int:
    """Write every figure as SVG, PDF and PNG into `out`/figures, and count them.

    `pictured` is the number of first examples to draw individually; `relative` puts the layers of the figures of rank
    correlations at their relative depth.
    """
    with _no_backend():
        from harness.report.figures.drawing import save  # matplotlib takes longer to load than a small report to make

    count = 0
    for name, figure in _figures(run, pictured, relative):
        if figure is not None:
            save(figure, out / FIGURES, name)
            count += 1
    return count


@contextmanager
def _no_backend() -> Iterator[None]:
    """Without the backend of a notebook, which need not be installed here: figures go to files."""
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        yield
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


def _figures(run: RunTables, pictured: int, relative: bool) -> Iterator[tuple[str, Figure | None]]:
    title = lettered(f"{run.manifest.task}, {run.manifest.model_name}")
    yield from _references(run, title, relative)
    yield from _two_sided(run, title, pictured, relative)
    yield from _pairs(run, title)
    yield from _examples(run, title, pictured)


def _references(run: RunTables, title: str, relative: bool) -> Iterator[tuple[str, Figure | None]]:
    from harness.report.figures.agreement_matrix import agreement_matrix
    from harness.report.figures.critical_difference import critical_difference
    from harness.report.figures.rho_by_layer import rho_by_layer
    from harness.report.figures.rho_heat_map import rho_heat_map

    board, ranking, scores = (_lettered(table) for table in (run.board, run.ranking, run.scores))
    board = board[board["higher"].isna()]
    order = board["explainer"].drop_duplicates().tolist()
    for name, lines in board[board["kind"] != "reliability"].groupby("measure", sort=False):
        reference = str(name)
        figure = rho_by_layer(lines, title=title, reference=reference, order=order, relative=relative)
        yield f"rho_by_layer_{reference}", figure
        if lines["layer"].max() >= MANY_LAYERS:
            figure = rho_heat_map(lines, title=title, reference=reference, relative=relative)
            yield f"rho_heat_map_{reference}", figure
        ranked = ranking[ranking["measure"] == reference]
        if len(ranked):
            groups = tied_groups(ranked)
            competing = ranked.dropna(subset="mean_rank")
            table = competing[["explainer", "mean_rank"]].assign(
                groups=pd.Series([groups] * len(competing), index=competing.index)
            )
            n = f"{title}, {reference}, n = {competing['n'].max()} examples"
            yield f"critical_difference_{reference}", critical_difference(table, title=n)
            agreement = explainer_agreement(run.examples, scores, ranked)
            best = f"{title}, layers that are best for {reference}"
            yield f"explainer_agreement_{reference}", agreement_matrix(agreement, title=best)
    between = reference_agreement(board)
    if len(between) > 1:
        yield "reference_agreement", agreement_matrix(between, title=f"{title}, references")


def _two_sided(run: RunTables, title: str, pictured: int, relative: bool) -> Iterator[tuple[str, Figure | None]]:
    """Of an encoder-decoder: shares of the source, and sentence pairs aligned by what has the lowest error rate."""
    from harness.report.figures.alignment_matrix import alignment_matrix
    from harness.report.figures.rho_by_layer import rho_by_layer

    if (run.examples["source"] > 0).any():
        measure = "source's share of |scores|,\nthe rest is the prefix's (95% interval)"
        shares = _lettered(source_shares(run.examples, run.scores, run.floors))
        yield "source_share_by_layer", rho_by_layer(shares, title=title, measure=measure, relative=relative)
    board = run.alignments
    rated = board[(board["kind"] == "explainer") & (board["links"] == "argmax") & board["aer"].notna()]
    if rated.empty or not pictured:
        return
    best: Any = next(rated.loc[[rated["aer"].idxmin()]].itertuples())
    scores = run.scores[(run.scores["kind"] == "explainer") & (run.scores["method"] == best.explainer)]
    held = scores[(scores["layer"] == best.layer) & (scores["head"] == best.head)]
    line = f"{line_name(lettered(best.explainer), best.head)}, {layer_name(best.layer)}, row of the {best.row}"
    for number, (pair, matrix) in enumerate(pair_matrices(run.examples, held, best.row, pictured), start=1):
        source, target = ([lettered(word) for word in words] for words in pair.names)
        found, _ = proposed(matrix, "argmax")
        sure, allowed = pair.linked(pair.gold.sure), pair.linked(pair.gold.allowed)
        named = f"{title}, {lettered(pair.name)}: {line}"
        figure = alignment_matrix(source, target, matrix, sure=sure, possible=allowed & ~sure, links=found, title=named)
        yield f"alignment_matrix_{number}", figure


def _pairs(run: RunTables, title: str) -> Iterator[tuple[str, Figure | None]]:
    from harness.report.figures.pair_by_layer import MOST_PAIRS, pair_by_layer
    from harness.report.figures.pair_by_length import pair_by_length

    parts = [part for _, part in _lettered(run.pair_board).groupby(PAIR, sort=False)]
    for number, start in enumerate(range(0, len(parts), MOST_PAIRS), start=1):
        some = pd.concat(parts[start : start + MOST_PAIRS])
        yield f"pair_by_layer{f'_{number}' if number > 1 else ''}", pair_by_layer(some, title=title)
    for (first, second), lines in _lettered(run.pair_lengths).groupby(PAIR, sort=False):
        figure = pair_by_length(lines, title=f"{title}, {first} vs. {second}", head_size=run.manifest.head_size)
        yield f"pair_by_length_{first}_{second}", figure


def _examples(run: RunTables, title: str, pictured: int) -> Iterator[tuple[str, Figure | None]]:
    from harness.report.figures.layer_graph import layer_graph
    from harness.report.figures.mask_to_referents import mask_to_referents
    from harness.report.figures.row_by_layer import row_by_layer

    maps = run.folder.maps()
    maps = None if maps is None else _lettered(maps)
    scores = _lettered(run.scores[run.scores["kind"] == "explainer"])
    for number, (_, example) in enumerate(run.examples.head(pictured).iterrows(), start=1):
        tokens, position = [lettered(token) for token in example["tokens"]], int(example["position"])
        own = scores[scores["example"] == example["example"]]
        named, source = f"{title}, example {number}", int(example["source"])
        yield f"row_by_layer_{number}", row_by_layer(tokens, own, position=position, title=named, source=source)
        classes = [lettered(name) for name in run.manifest.classes]
        shown = example.copy()
        shown["tokens"] = tokens
        referents = mask_to_referents(shown, own, classes, title=title)
        yield f"mask_to_referents_{number}", referents
        if maps is not None:
            mapped = maps[maps["example"] == example["example"]]
            yield f"layer_graph_{number}", layer_graph(tokens, mapped, position=position, title=named, source=source)


def _lettered(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose names can be set in one line of a figure."""
    names = [name for name in NAMES if name in table]
    return table.assign(**{name: table[name].map(lettered) for name in names})


def lettered(text: str) -> str:
    """A text as it can be set in one line of a figure."""
    from harness.report.figures.lettering import label

    return label(text, 60)
