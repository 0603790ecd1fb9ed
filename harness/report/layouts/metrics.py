"""Metrics at a glance: metrics across, explainers down, each at the layer that was best on other examples."""

import pandas as pd

from harness.report.cells import BestLayer, Cell, Empty, Estimate, Text
from harness.report.grid import LINE_KINDS, Column, Grid, GridLines, name_columns
from harness.report.layouts.ranking import among_the_best
from harness.statistics.leaderboard import TABLE


def metric_grids(rankings: pd.DataFrame, diagnosticity: pd.DataFrame) -> list[Grid]:
    """One grid per task, model and seed of the rankings by metrics; `diagnosticity` may be empty."""
    result = []
    for (task, model, seed), part in rankings.groupby(TABLE[:3], sort=False):
        metrics = part["measure"].drop_duplicates().tolist()
        lines = GridLines()
        for kind in LINE_KINDS:
            lines.rule()
            of_kind = part[part["kind"] == kind]
            for explainer in of_kind["explainer"].drop_duplicates():
                _add_line(lines, explainer, of_kind[of_kind["explainer"] == explainer], metrics, part)
        if len(diagnosticity):
            lines.rule()
            shares = [_share(diagnosticity[diagnosticity["metric"] == metric]) for metric in metrics]
            lines.add([Text("diagnosticity"), *shares])
        higher = dict(zip(part["measure"], part["higher"], strict=True))
        arrows = [Column(f"{metric} {'↑' if higher[metric] else '↓'}") for metric in metrics]
        columns = [*name_columns("explainer"), *arrows]
        title = f"{task}, {model}, seed {seed}: metrics"
        result.append(lines.grid(str(task), title, columns, _notes(bool(len(diagnosticity)))))
    return result


def _add_line(lines: GridLines, explainer: str, cells: pd.DataFrame, metrics: list[str], ranking: pd.DataFrame) -> None:
    by_metric = {cell["measure"]: cell for cell in cells.to_dict("records")}
    values: list[Cell] = []
    bold = []
    for column, metric in enumerate(metrics, start=1):
        if metric not in by_metric:
            values.append(Empty())
            continue
        cell = by_metric[metric]
        values.append(BestLayer(cell["mean"], cell["group"], cell["layer"]))
        if among_the_best(cell["kind"], cell["group"], ranking[ranking["measure"] == metric]):
            bold.append(column)
    lines.add([Text(explainer), *values], bold)


def _notes(diagnosticity: bool) -> list[str]:
    notes = [
        "each explainer at the layer that was best on a third of the examples, with the numbers from the others; in "
        "one column, lines that share a letter are not significantly different; bold: the best explainer and those "
        "that share a letter with it"
    ]
    if diagnosticity:
        notes.append(
            "diagnosticity: how often the metric prefers an explainer's scores to random ones (ties count half), "
            "averaged over explainers and layers; at 0.50 it does not distinguish them"
        )
    return notes


def _share(cells: pd.DataFrame) -> Cell:
    for cell in cells.to_dict("records"):
        return Estimate(cell["share"], cell["low"], cell["high"])
    return Empty()
