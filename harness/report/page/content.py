"""What a page holds of a run: the tables whole, and the examples with their values, scores and maps."""

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.report.page.definitions import DEFINITIONS
from harness.report.page.packing import Arrays, Content
from harness.report.page.projected import projected, shortened
from harness.report.page.sample import kept_examples, kept_maps
from harness.report.run_tables import RunTables
from harness.statistics.explainer_agreement import explainer_agreement, reference_agreement
from harness.tables import KINDS, METHOD_GROUPS

CELL = ["measure", "kind", "explainer", "head", "layer"]
SCORED = ["kind", "method", "layer", "head"]
OF_EXAMPLE = (
    *("example", "cluster", "tokens", "ranked", "position", "gold", "predicted", "probabilities", "planted"),
    *("referents", "points_to", "tags", "source", "target_length", "words", "next_word", "links"),
)

# columns of pairs: where the name stands, and what is named
PAIRED = {"planted": ("name", "indices"), "points_to": ("class", "name"), "tags": ("name", "value")}


def run_content(run: RunTables) -> tuple[Content, Arrays]:
    """The content of a run's page, as `packed` takes it.

    Arrays: `values`, `[cell, example]`, for the lines of `cells`; `scores`, `[line, token]`, for the lines of `scored`,
    the tokens of all kept examples one after another; `maps`, one after another as `maps` of the content says. NaN
    where there is none. `projections` as `projected` says.
    """
    manifest, examples = run.manifest, run.examples
    measured, scores = run.measured, run.scores
    maps, points, planes = run.folder.maps(), run.folder.projections(), run.folder.planes()
    cells = measured[CELL].drop_duplicates().reset_index(drop=True)
    scored = scores[SCORED].drop_duplicates().reset_index(drop=True)
    sizes = {} if maps is None else _map_sizes(maps)
    mapped = {name: sizes[name] for name in kept_maps(sizes)}
    point_sizes = {} if points is None else {str(name): 8 * n for name, n in Counter(points["example"]).items()}
    placed = {name: point_sizes[name] for name in kept_maps(point_sizes, 1 / 4)}
    rows = kept_examples(examples, len(scored), len(cells), Counter(mapped) + Counter(placed))
    kept = examples.iloc[rows].reset_index(drop=True)
    numbers = {name: row for row, name in enumerate(kept["example"])}
    held = measured[measured["example"].isin(numbers)]
    content = {
        "kind": "run",
        "title": run.title,
        "folder": run.folder.path.name,
        "answer": run.answer,
        "notes": run.notes,
        "manifest": manifest.stored(),
        "classes": list(manifest.classes),
        "measures": _measures(measured),
        "explainers": _explainers(run),
        "board": columns(run.board),
        "ranking": columns(run.ranking),
        "alignment": columns(run.alignments),
        "agreement": _agreement(run),
        "references": _square(reference_agreement(run.board)),
        "costs": _costs(run),
        "definitions": DEFINITIONS,
        "examples": [_example(line) for line in kept.to_dict("records")],
        "sample": {"kept": len(kept), "of": len(examples), "maps": len(mapped), "maps_of": len(sizes)},
        "cells": columns(cells),
        "scored": columns(scored),
    }
    arrays = {"values": _values(held, cells, numbers), "scores": _scores(scores, scored, kept, numbers)}
    if maps is not None:
        content["maps"], arrays["maps"] = _maps(maps[maps["example"].isin(mapped)], numbers)
    if points is not None and planes is not None and placed:
        found, arrays["projections"] = projected(points[points["example"].isin(placed)], planes, numbers)
        content["projections"] = {**found, "method": manifest.config["projection"], "of": len(point_sizes)}
    return content, arrays


def columns(table: pd.DataFrame) -> Content:
    """A table column by column."""
    return {str(name): table[name].astype(object).where(table[name].notna(), None).tolist() for name in table}


def direction(higher: bool | None) -> bool | None:
    """Whether more is better, from a table's column; None for a reference."""
    return None if higher is None or pd.isna(higher) else bool(higher)


def _measures(measured: pd.DataFrame) -> list[Content]:
    """References and metrics, in their order; `higher` is None for a reference."""
    first = measured[["measure", "higher"]].drop_duplicates("measure")
    return [{"name": name, "higher": direction(higher)} for name, higher in first.itertuples(index=False, name=None)]


def _explainers(run: RunTables) -> list[Content]:
    """Whatever has lines in the leaderboard, in its order, with what the manifest says of it."""
    board, manifest = run.board, run.manifest
    known = {name: method for group in METHOD_GROUPS for name, method in getattr(manifest, group).items()}
    lines = board[["kind", "explainer"]].drop_duplicates().itertuples(index=False, name=None)
    found = []
    for kind, name in lines:
        own = board[(board["kind"] == kind) & (board["explainer"] == name)]
        method = known.get(name)
        found.append(
            {"name": name, "kind": kind, "layers": sorted(own["layer"].unique()), "heads": int(own["head"].max())}
            | {"description": method.description if method else "", "source": method.source if method else ""}
        )
    return found


def _agreement(run: RunTables) -> dict[str, Content]:
    """Of each measure, how far its explainers agree with each other at their best layers."""
    return {
        str(measure): _square(explainer_agreement(run.examples, run.scores, lines))
        for measure, lines in run.ranking.groupby("measure", sort=False)
    }


def _square(table: pd.DataFrame) -> Content:
    return {"names": table.index.tolist(), "values": table.to_numpy()}


def _costs(run: RunTables) -> list[Content]:
    """Seconds and passes of each phase and method, of one example."""
    n = max(1, run.examples["example"].nunique())
    return [
        {"kind": kind, "name": name, "seconds": cost.seconds / n}
        | {"forward": cost.forward / n, "backward": cost.backward / n}
        for kind in KINDS
        for name, cost in run.costs.of(kind).items()
    ]


def _example(line: Mapping) -> Content:
    """What is known of an example; what is stored as a list of pairs, by name."""
    return {name: _by_name(line[name], *PAIRED[name]) if name in PAIRED else line[name] for name in OF_EXAMPLE}


def _by_name(stored: Iterable[Mapping], name: str, value: str) -> Content:
    return {str(pair[name]): pair[value] for pair in stored}


def _values(held: pd.DataFrame, cells: pd.DataFrame, numbers: Mapping[str, int]) -> NDArray[np.float32]:
    """`[cell, example]`: rho, or the metric's value; NaN where it is undefined."""
    values = np.full((len(cells), len(numbers)), np.nan, np.float32)
    lines = held[CELL].merge(cells.assign(line=np.arange(len(cells))), on=CELL, how="left")["line"].to_numpy()
    values[lines, held["example"].map(numbers).to_numpy()] = held["value"].to_numpy()
    return values


def _scores(
    scores: pd.DataFrame, scored: pd.DataFrame, kept: pd.DataFrame, numbers: Mapping[str, int]
) -> NDArray[np.float32]:
    """`[line, token]`: the scores of every token of the kept examples, one example after another."""
    lengths = kept["tokens"].map(len).to_numpy()
    starts = np.concatenate([[0], np.cumsum(lengths)])
    values = np.full((len(scored), int(starts[-1])), np.nan, np.float32)
    own = scores[scores["example"].isin(numbers)]
    lines = own[SCORED].merge(scored.assign(line=np.arange(len(scored))), on=SCORED, how="left")["line"].to_numpy()
    for line, example, row in zip(lines, own["example"].map(numbers), own["scores"], strict=True):
        values[line, starts[example] : starts[example] + len(row)] = row
    return values


def _map_sizes(maps: pd.DataFrame) -> dict[str, int]:
    """Bytes of each example's maps, in the order of the examples; those of single heads take less, since rounded."""
    sizes = maps["scores"].map(len) * np.where(maps["head"] > 0, 3, 4)
    sizes = sizes.groupby(maps["example"], sort=False).sum()
    return {str(name): int(size) for name, size in sizes.items()}


def _maps(maps: pd.DataFrame, numbers: Mapping[str, int]) -> tuple[list[Content], NDArray[np.float32]]:
    """Of each example, method, layer and head: where its rows begin in the array, and their queries.

    The array holds row after row, each with one score for each token of the example.
    """
    by = ["example", "method", "layer", "head"]
    lists, blocks, start = [], [], 0
    for key, part in maps.groupby(by, sort=False):
        block = np.concatenate([np.asarray(row, np.float32) for row in part["scores"]])
        block = shortened(block) if key[3] else block  # of single heads there are many
        lists.append(
            {"example": numbers[str(key[0])], "method": key[1], "layer": key[2], "head": key[3]}
            | {"start": start, "queries": part["query"].tolist()}
        )
        blocks.append(block)
        start += len(block)
    return lists, np.concatenate(blocks) if blocks else np.empty(0, np.float32)
