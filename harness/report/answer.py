"""A run in a few sentences: who leads, what is as good, what beats the floors, what more examples would settle."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.report.formats.plain import interval
from harness.report.grid import layer_name, line_name
from harness.statistics.leaderboard import TABLE
from harness.statistics.ranking import COMPETING
from harness.statistics.sample_size import POWER, SampleSize, sample_size_of_lines

NAMED = 5  # explainers that a sentence names at most
OUT_OF_REACH = 1_000_000  # examples

Line = Mapping[Any, Any]  # of a ranking


@dataclass(frozen=True)
class Answer:
    """What one run, or the pooled runs of one model, say."""

    title: str
    sentences: Sequence[str]


def answers(ranking: pd.DataFrame, rows: pd.DataFrame, examples: pd.DataFrame) -> list[str]:
    """The sentences about the first reference of a ranking, which was made from these rows and examples."""
    tables = [part for _, part in ranking[ranking["higher"].isna()].groupby(TABLE, sort=False)]
    if not tables:
        return [
            "No explainer can be ranked: that takes defined values on the third of the examples that chooses layers, "
            "and on the others."
        ]
    lines = tables[0].dropna(subset="mean").to_dict("records")
    reference = tables[0]["measure"].iloc[0]
    explainers = [line for line in lines if line["kind"] == "explainer"]
    if not explainers:
        return [f"No explainer has a defined correlation with {reference}."]
    leader, *others = explainers
    tied = [line for line in lines if line["kind"] in COMPETING and line is not leader and _share(leader, line)]
    rivals = [line for line in tied if line["kind"] == "explainer"]
    return [
        _leader(leader, str(reference)),
        _tied(tied, bool(others)),
        _above_floors(explainers, [line for line in lines if line["kind"] == "floor"]),
        *(_settled(leader, rival, sample_size_of_lines(rows, examples, leader, rival)) for rival in rivals[:1]),
    ]


def _leader(leader: Line, reference: str) -> str:
    mean = f"{_mean(leader)} {interval(leader['low'], leader['high'])}".rstrip()
    layer = f" at {layer_name(leader['layer'])}" if leader["layer"] else ""
    return f"{_name(leader)}{layer} agrees best with {reference}: mean rho {mean}, n {leader['n']}."


def _tied(tied: Sequence[Line], others: bool) -> str:
    if tied:
        return f"Not significantly different from it: {_listed([_told(line) for line in tied])}."
    return "Every other explainer is significantly below it." if others else "It is the only explainer."


def _above_floors(explainers: Sequence[Line], floors: Sequence[Line]) -> str:
    if not floors:
        return "No floor was measured, so this does not show what is better than chance: add random or position."
    best = f"the best is {_name(floors[0])}, {_mean(floors[0])}"
    above = [line for line in explainers if all(_is_above(line, floor) for floor in floors)]
    if not above:
        return f"No explainer is significantly above every floor ({best})."
    if len(above) == len(explainers) > 1:
        return f"All {len(above)} explainers are significantly above every floor ({best})."
    return f"Significantly above every floor ({best}): {_listed([_name(line) for line in above])}."


def _settled(leader: Line, rival: Line, size: SampleSize) -> str:
    pair = f"{_name(leader)} from {_name(rival)}"
    if math.isnan(size.needed):
        return f"How many examples would tell {pair} cannot be said: they have too few in common."
    if size.needed > OUT_OF_REACH:
        return f"No number of examples is likely to tell {pair}: their means are almost the same."
    unit = "examples" if size.clusters == size.examples else "clusters of examples"
    if size.needed <= size.clusters:
        return (
            f"A test of this pair alone would tell {pair} with about {_round(size.needed)} {unit} ({size.clusters:,} "
            "now); the correction for all pairs of the ranking asks for more."
        )
    return (
        f"To tell {pair}, about {_round(size.needed)} {unit} are needed besides those that choose the layers "
        f"({size.clusters:,} now; {POWER:.0%} power)."
    )


def _share(first: Line, second: Line) -> bool:
    """Whether two lines do not differ significantly."""
    return bool({*first["group"]} & {*second["group"]})


def _is_above(line: Line, floor: Line) -> bool:
    known = line["group"] and floor["group"]  # there are 52 letters: without one, nothing is known of a line
    return bool(known) and line["mean"] > floor["mean"] and not _share(line, floor)


def _name(line: Line) -> str:
    return line_name(line["explainer"], line["head"])


def _told(line: Line) -> str:
    where = "floor" if line["kind"] == "floor" else layer_name(line["layer"]) if line["layer"] else ""
    return f"{_name(line)} ({', '.join(filter(None, [where, _mean(line)]))})"


def _mean(line: Line) -> str:
    return f"{line['mean']:z.2f}"


def _listed(texts: Sequence[str]) -> str:
    if len(texts) <= NAMED + 1:
        return ", ".join(texts)
    return f"{', '.join(texts[:NAMED])} and {len(texts) - NAMED} more"


def _round(count: float) -> str:
    """Two digits, rounded up."""
    step = 10 ** max(0, len(str(int(count))) - 2)
    return f"{math.ceil(count / step) * step:,}"
