"""The figures of a run, drawn from its tables alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from harness.report.run_tables import RunTables
from harness.statistics.explainer_agreement import explainer_agreement, reference_agreement
from harness.statistics.pairs import PAIR
from harness.statistics.ranking import tied_groups

PLACE = "figures"  # the folder, inside that of the tables


def draw(run: RunTables, out: Path, pictured: int) -> int:
    """Write every figure as SVG, PDF and PNG into `out`/figures, and count them.

    `pictured` of the first examples are drawn one by one.
    """
    from harness.report.figures.drawing import save  # matplotlib takes longer to load than a small report takes to make

    count = 0
    for name, figure in _figures(run, pictured):
        if figure is not None:
            save(figure, out / PLACE, name)
            count += 1
    return count


def _figures(run: RunTables, pictured: int) -> Iterator[tuple[str, Any]]:
    from harness.report.figures import critical_difference, rho_by_layer
    from harness.report.figures import explainer_agreement as matrix

    manifest, board, ranking = run.manifest, run.board, run.ranking
    title = f"{manifest['task']}, {manifest['model_name']}"
    correlations = board[board["higher"].isna()]
    order = correlations["explainer"].drop_duplicates().tolist()
    for reference, lines in correlations[correlations["kind"] != "reliability"].groupby("reference", sort=False):
        yield (
            f"rho_by_layer_{reference}",
            rho_by_layer.rho_by_layer(lines, title=title, reference=str(reference), order=order),
        )
        ranked = ranking[ranking["reference"] == reference]
        if len(ranked):
            groups = tied_groups(ranked)
            competing = ranked.dropna(subset="mean_rank")
            table = competing[["explainer", "mean_rank"]].assign(groups=[groups] * len(competing))
            n = f"{title}, {reference}, n {competing['n'].max()}"
            yield f"critical_difference_{reference}", critical_difference.critical_difference(table, title=n)
            agreement = explainer_agreement(run.examples, run.scores, ranked)
            yield (
                f"explainer_agreement_{reference}",
                matrix.explainer_agreement(agreement, title=f"{title}, layers that are best for {reference}"),
            )
    between = reference_agreement(correlations)
    if len(between) > 1:
        yield "reference_agreement", matrix.explainer_agreement(between, title=f"{title}, references")
    yield from _pairs(run, title)
    yield from _examples(run, title, pictured)


def _pairs(run: RunTables, title: str) -> Iterator[tuple[str, Any]]:
    from harness.report.figures.pair_by_layer import MOST, pair_by_layer
    from harness.report.figures.pair_by_length import pair_by_length

    parts = [part for _, part in run.pair_board.groupby(PAIR, sort=False)]
    for number, start in enumerate(range(0, len(parts), MOST), start=1):
        some = pd.concat(parts[start : start + MOST])
        yield f"pair_by_layer{f'_{number}' if number > 1 else ''}", pair_by_layer(some, title=title)
    for (first, second), lines in run.pair_lengths.groupby(PAIR, sort=False):
        figure = pair_by_length(
            lines, title=f"{title}, {first} against {second}", head_size=run.manifest.get("head_size")
        )
        yield f"pair_by_length_{first}_{second}", figure


def _examples(run: RunTables, title: str, pictured: int) -> Iterator[tuple[str, Any]]:
    from harness.report.figures import layer_graph, mask_to_referents, row_by_layer

    maps = run.folder.maps()
    scores = run.scores[run.scores["kind"] == "explainer"]
    for number, example in enumerate(run.examples.head(pictured).itertuples(index=False), start=1):
        tokens, position = list(example.tokens), int(example.position)
        of = scores[scores["example"] == example.example]
        named = f"{title}, example {number}"
        yield f"row_by_layer_{number}", row_by_layer.row_by_layer(tokens, of, position=position, title=named)
        referents = mask_to_referents.mask_to_referents(example._asdict(), of, run.manifest["classes"], title=title)
        yield f"mask_to_referents_{number}", referents
        if maps is not None:
            mapped = maps[maps["example"] == example.example]
            yield f"layer_graph_{number}", layer_graph.layer_graph(tokens, mapped, position=position, title=named)
