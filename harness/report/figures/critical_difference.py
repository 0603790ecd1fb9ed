"""Mean ranks on a line, with bars over those not significantly different (Demšar 2006, Figure 1)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from harness.report.figures.drawing import (
    COLOURS,
    INK,
    WIDTH,
    canvas,
    entitle,
    finished,
    note_height,
    styled,
    title_height,
)
from harness.report.figures.lettering import LINE, SMALL, widest

_BAR = 0.085  # inches between two bars
_INSET = 0.48  # inches from the names to the line of ranks, for the numbers


@styled
def critical_difference(table: pd.DataFrame, *, title: str = "") -> Figure | None:
    """Explainers by mean rank, with bars over groups; None with fewer than two mean ranks.

    A bar has a dot for each of its members: an explainer under it without a dot is not in the group. No test is done
    here.

    Args:
        table: columns explainer, mean_rank (1 is best), and groups: in each row a list of lists of names that are not
            significantly different, either all of them or those with the row's explainer. Groups of one are not drawn.
        title: task, model, reference and n.
    """
    known = table[table["mean_rank"].notna()].sort_values("mean_rank", kind="stable")
    if len(known) < 2:
        return None
    ranks = dict(zip(known["explainer"], known["mean_rank"], strict=True))
    missing = [str(name) for name in table["explainer"] if name not in ranks]
    bars = stacked(_groups(table["groups"], ranks), ranks)
    note = "Bars join explainers that are not significantly different; each dot on a bar is a member of its group."
    note += f" No mean rank: {', '.join(missing)}." if missing else ""
    left = -(-len(ranks) // 2)
    depth = 0.12 + _BAR * (max((row for row, _ in bars), default=-1) + 1)
    body = 0.35 + depth + LINE * (left + 0.5)
    figure = canvas(WIDTH, title_height(title, WIDTH) + note_height(note, WIDTH) + body + 0.1, by_hand=True)
    height = float(figure.get_size_inches()[1])
    top = title_height(title, WIDTH) + 0.35  # inches from the upper edge to the line of ranks
    names = [str(name) for name in ranks]
    start, stop = widest(names[:left]) + 0.12, WIDTH - widest(names[left:]) - 0.12  # where the lines to the names end
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(height - top, -top)  # both axes in inches, down from the line of ranks
    axes.axis("off")
    low, high = int(np.floor(min(ranks.values()))), int(np.ceil(max(ranks.values())))
    high = max(high, low + 1)

    def at(rank: float) -> float:
        return start + _INSET + (stop - start - 2 * _INSET) * (rank - low) / (high - low)

    axes.plot([at(low), at(high)], [0, 0], color=INK, linewidth=0.9)
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if (at(high) - at(low)) / (high - low) * step > 0.18)
    for rank in range(low, high + 1, step):
        axes.plot([at(rank)] * 2, [0, -0.06], color=INK, linewidth=0.8)
        axes.text(at(rank), -0.08, str(rank), ha="center", va="bottom", fontsize=SMALL)
    axes.text(at(low) - 0.12, -0.08, "mean rank (lower is better)", ha="right", va="bottom", fontsize=SMALL)
    for place, (name, rank) in enumerate(ranks.items()):
        leftwards = place < left
        down = depth + LINE * (0.5 + (place if leftwards else len(ranks) - 1 - place))
        end, side = (start, "right") if leftwards else (stop, "left")
        axes.plot([at(rank), at(rank), end], [0, down, down], color="#666666", linewidth=0.6, gid=f"rank {name}")
        shift = -0.04 if leftwards else 0.04
        axes.text(end + shift, down, str(name), ha=side, va="center", fontsize=SMALL)
        inner = 0.03 if leftwards else -0.03
        axes.text(
            end + inner, down - 0.01, f"{rank:.2f}", ha="left" if leftwards else "right", va="bottom", fontsize=SMALL
        )
    for row, group in bars:
        down = 0.1 + _BAR * row
        places = [at(ranks[name]) for name in group]
        axes.plot([min(places), max(places)], [down, down], color=COLOURS[0], linewidth=2.4, solid_capstyle="round")
        axes.plot(
            places, [down] * len(places), "o", color="white", markeredgecolor=COLOURS[0], markersize=2.8, gid="group"
        )
    entitle(figure, title, note)
    return finished(figure)


def _groups(cells: pd.Series, ranks: dict[str, float]) -> list[list[str]]:
    """Every group once, its members by rank; groups of one, or within another, are left out."""
    found = {frozenset(str(name) for name in group if name in ranks) for groups in cells for group in groups}
    found = [group for group in found if len(group) > 1 and not any(group < other for other in found)]
    ordered = [sorted(group, key=lambda name: (ranks[name], name)) for group in found]
    return sorted(ordered, key=lambda group: ([ranks[name] for name in group], group))


def stacked(groups: Sequence[Sequence[str]], ranks: dict[str, float]) -> list[tuple[int, Sequence[str]]]:
    """Each group with the first row in which its bar meets no other."""
    ends: list[float] = []
    gap = 0.03 * (max(ranks.values()) - min(ranks.values()))
    rows = []
    for group in groups:
        start, end = ranks[group[0]], ranks[group[-1]]
        row = next((row for row, reached in enumerate(ends) if reached + gap < start), len(ends))
        ends[row : row + 1] = [end]
        rows.append((row, group))
    return rows
