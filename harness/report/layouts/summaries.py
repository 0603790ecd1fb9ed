"""Grids that sum a run up: the ranking, the agreement of references, metrics at a glance, referent agreement."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from harness.report.grid import KINDS, UNDEFINED, Grid, Lines, counts, header, interval, measure, named, span
from harness.statistics.leaderboard import TABLE
from harness.statistics.referent_agreement import CHANCE
from harness.statistics.tests import mean_interval

FURTHER = {
    "rho_all": "all tokens",
    "rho_content": "content",
    "partial": "given position",
    "tau": "tau-b",
    "top": "top quarter",
    "tied": "tied",
    "saturated": "saturated",
}


def ranking_grids(ranking: Any) -> list[Grid]:
    """Explainers by their best layer, which was chosen on other examples; one grid per table of a ranking."""
    result = []
    for (task, model, seed, reference), part in ranking.groupby(TABLE, sort=False):
        further = [name for name in FURTHER if part[name].notna().any()]
        lines = Lines()
        for line in part.itertuples():
            text = f"{line.mean:z.2f} {interval(line.low, line.high)}".rstrip()
            effect = "" if np.isnan(line.effect) else f"{line.effect:z.2f}"
            numbers = [_number(getattr(line, name)) for name in further]
            lines.add(
                [
                    named(line.explainer, line.head, line.kind) + (" (floor)" if line.kind == "floor" else ""),
                    header(line.layer),
                    text,
                    line.group,
                    effect,
                    *numbers,
                    str(line.n),
                ],
                [2] if _among_the_best(line.kind, line.group, part) else [],
            )
        floor = part["floor"].iloc[0]
        notes = [
            "the layer was chosen on a third of the examples and is reported on the others; in brackets the 95 % "
            "bootstrap interval of the mean; lines that share a letter cannot be told apart (paired sign-flip tests, "
            "Holm over the pairs); bold: the best explainer and those that share a letter with it"
        ]
        if floor:
            notes.append(f"d: mean of the paired differences from the best floor, {floor}, over their std")
        if further:
            notes.append(
                "all tokens, content, given position: Spearman's rho over these tokens, or with the token's position "
                "held fixed; top quarter: share of the reference's highest quarter found; tied, saturated: share of "
                "tokens with another's score, or at flow's upper bound"
            )
        columns = ["explainer", "layer", "mean", "group", "d", *(FURTHER[name] for name in further), "n"]
        title = f"{task}, {model}, seed {seed}: {measure(part, reference)}, ranked"
        result.append(lines.grid(str(task), title, columns, notes))
    return result


def reference_grids(board: Any) -> list[Grid]:
    """How far the references agree with each other, and those that draw by chance with themselves."""
    result = []
    for (task, model, seed), part in board.groupby(TABLE[:3], sort=False):
        held = part[part["kind"].isin(["reference", "reliability"])]
        names = [name for name in part["reference"].drop_duplicates() if name in set(held["reference"])]
        halves = held[held["kind"] == "reliability"]
        if not (held["kind"] == "reference").any() and halves.empty:
            continue
        references = [name for name in names if (part.loc[part["reference"] == name, "kind"] != "reliability").any()]
        lines = Lines()
        for name in dict.fromkeys([*references, *halves["explainer"]]):
            texts = []
            for other in references:
                of = held[(held["explainer"] == name) & (held["reference"] == other) & (held["kind"] == "reference")]
                texts.append(_agreement(of) if len(of) else "")
            if len(halves):
                own = halves[halves["explainer"] == name]
                texts.append(_agreement(own) if len(own) else "")
            lines.add([name, *texts])
        notes = [
            "mean of Spearman's rho over examples, its 95 % bootstrap interval; a yardstick, no bound: a perfect "
            "explainer could agree with two noisy references better than they do with each other"
        ]
        if len(halves):
            notes.append(
                "halves: two halves of the method's own draws, and r what Spearman and Brown's formula makes of it for "
                "all draws; of several layers the first"
            )
        title = f"{task}, {model}, seed {seed}: references against each other"
        result.append(
            lines.grid(str(task), title, ["", *references, "halves"] if len(halves) else ["", *references], notes)
        )
    return result


def _agreement(cells: Any) -> str:
    cell = cells.iloc[0]
    if cell["n"] == 0:
        return UNDEFINED
    whole = f", r {2 * cell['mean'] / (1 + cell['mean']):.2f}" if cell["kind"] == "reliability" else ""
    return f"{cell['mean']:z.2f} {interval(cell['low'], cell['high'])}{whole}"


def metrics_grid(rankings: Any, diagnosticity: Any) -> list[Grid]:
    """Metrics across, explainers down, each at the layer that was best on other examples."""
    result = []
    for (task, model, seed), part in rankings.groupby(TABLE[:3], sort=False):
        metrics = part["reference"].drop_duplicates().tolist()
        higher = part.drop_duplicates("reference").set_index("reference")["higher"]
        lines = Lines()
        for kind in KINDS:
            lines.rule()
            of_kind = part[part["kind"] == kind]
            for explainer in of_kind["explainer"].drop_duplicates():
                cells = of_kind[of_kind["explainer"] == explainer].set_index("reference")
                texts, bold = [], []
                for place, metric in enumerate(metrics, start=1):
                    if metric not in cells.index:
                        texts.append("")
                        continue
                    cell = cells.loc[metric]
                    rivals = part[part["reference"] == metric]
                    bold += [place] if _among_the_best(kind, cell["group"], rivals) else []
                    texts.append(f"{cell['mean']:z.3f} {cell['group']} {header(cell['layer'])}")
                lines.add([explainer, *texts], bold)
        if len(diagnosticity):
            lines.rule()
            shares = diagnosticity.set_index("metric")
            lines.add(
                ["diagnosticity", *(_share(shares.loc[metric]) if metric in shares.index else "" for metric in metrics)]
            )
        notes = [
            "each explainer at the layer that was best on a third of the examples, reported on the others; in one "
            "column, lines that share a letter cannot be told apart; bold: the best explainer and those that share a "
            "letter with it",
        ]
        if len(diagnosticity):
            notes.append(
                "diagnosticity: how often the metric prefers an explainer's scores to random ones, a tie a half, mean "
                "over explainers and layers; .50 tells nothing"
            )
        columns = ["explainer", *(f"{metric} {'↑' if higher[metric] else '↓'}" for metric in metrics)]
        result.append(lines.grid(str(task), f"{task}, {model}, seed {seed}: metrics", columns, notes))
    return result


def _among_the_best(kind: str, group: str, ranked: Any) -> bool:
    """Whether a line is an explainer that shares a letter with the best explainer of its table's ranking."""
    best = next((of for of in ranked.loc[ranked["kind"] == "explainer", "group"] if of), "")
    return kind == "explainer" and bool(set(group) & set(best))


def diagnosticity(rows: Any, examples: Any, random: str = "random") -> pd.DataFrame:
    """How often each metric prefers real scores to random ones: `metric`, `share`, `low`, `high`, `n` examples.

    A tie counts a half. Averaged over explainers and layers within an example, then over examples. Empty without the
    explainer `random`. Chan et al. 2022, https://arxiv.org/abs/2204.05514
    """
    ok = rows[rows["status"] == "ok"]
    clusters = examples.drop_duplicates("example").set_index("example")["cluster"]
    chance = ok[ok["explainer"] == random][["example", "reference", "rho"]].rename(columns={"rho": "chance"})
    held = ok[ok["kind"] == "explainer"].merge(chance, on=["example", "reference"])
    sign = np.where(held["higher"], 1.0, -1.0)
    held["preferred"] = (np.sign((held["rho"] - held["chance"]) * sign) + 1) / 2
    lines = []
    for metric, part in held.groupby("reference", sort=False):
        by_example = part.groupby("example")["preferred"].mean()
        values = by_example.to_numpy()[:, None]
        low, high = mean_interval(values, clusters.loc[by_example.index].to_numpy())[0]
        lines.append({"metric": metric, "share": values.mean(), "low": low, "high": high, "n": len(values)})
    return pd.DataFrame(lines, columns=["metric", "share", "low", "high", "n"])


def referent_grid(task: str, title: str, boards: Mapping[str, Any]) -> Grid | None:
    """Referent agreement, explainers down and layers across; None without any.

    `boards` are those of `referent_agreement` by model; a single model's name is not printed.
    """
    boards = {model: board for model, board in boards.items() if len(board)}  # a model's sentences may lack referents
    if not boards:
        return None
    layers = sorted({layer for board in boards.values() for layer in board["layer"]})
    several = len(boards) > 1
    lines = Lines()
    for model, board in boards.items():
        for (explainer, head), cells in board.groupby(["explainer", "head"], sort=False):
            by_layer = {cell.layer: cell for cell in cells.itertuples()}
            counted = [span(cells[count]) for count in counts(False)]
            shares = [_share_of(by_layer.get(at)) for at in layers]
            lines.add([*([model] if several else []), named(explainer, head), *shares, *counted])
    columns = [*(["model"] if several else []), "explainer", *map(header, layers), *counts(False)]
    notes = [
        f"the share of examples whose referent, the one whom the model's word means, has the higher mean score; chance "
        f"{CHANCE:.2f}; in brackets Wilson's 95 % interval; undefined: the model's word means neither"
    ]
    return lines.grid(task, f"{title}: referent agreement", columns, notes, 2 if several else 1)


def _share_of(cell: Any) -> str:
    if cell is None:
        return ""
    return UNDEFINED if cell.n == 0 else f"{cell.share:.2f} [{cell.low:.2f}, {cell.high:.2f}]"


def _share(cell: Any) -> str:
    return f"{cell['share']:.2f} {interval(cell['low'], cell['high'])}"


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:z.2f}"
