"""How well the explainers of a pair agree, by layer: a line per pair, single heads as small points."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.report.figures.drawing import (
    LIGHT,
    WIDTH,
    canvas,
    entitle,
    finished,
    layer_ticks,
    look,
    note_height,
    styled,
    title_height,
)
from harness.report.figures.lettering import LINE, SMALL, examples, sentence

MOST_PAIRS = 7  # that can still be distinguished in one figure
_LEFT, _RIGHT, _GAP, _HIGH = 0.5, 0.1, 0.2, 2.0  # inches
COEFFICIENT_SYMBOLS = {"rho": "Spearman's ρ", "pearson": "Pearson's r"}


@styled
def pair_by_layer(board: pd.DataFrame, *, title: str = "") -> Figure | None:
    """Mean correlation of each pair by layer, with the 95% interval of the mean; None without a defined mean.

    One panel for Spearman, one for Pearson. For a pair with heads, the line is the mean over heads, and each head's own
    mean is a small point. A pair without layers is drawn at `input`.

    Args:
        board: lines of at most seven pairs, columns as in `pair_board`.
        title: task and model; n is added.
    """
    if board["rho"].isna().all():  # so is an empty column
        return None
    pairs = list(board.groupby(["first", "second"], sort=False))
    heads = bool((board["head"] > 0).any())
    note = "Band: 95% bootstrap interval of the mean over examples."
    note += " Small points: single heads; line: their mean." if heads else ""
    title = sentence(title, examples(board.loc[board["head"] == 0, "n"]))
    figure, panels = two_panels(title, note, len(pairs))
    layers = sorted(board["layer"].unique())
    for axes, name in zip(panels, COEFFICIENT_SYMBOLS, strict=True):
        for place, ((first, second), cells) in enumerate(pairs):
            label = f"{first} vs. {second}"
            shift = (place - (len(pairs) - 1) / 2) * 0.5 / len(pairs)  # so that heads of two pairs are side by side
            _draw(axes, cells, name, label, place, shift)
        axes.axhline(0, color="#B0B0B0", linewidth=0.7, zorder=1)
        axes.set_xlim(layers[0] - 0.5, layers[-1] + 0.5)
        ticks = layer_ticks(layers[-1], 12) if layers[-1] else []
        axes.set_xticks([*([0] if layers[0] == 0 else []), *ticks])
        axes.set_xticklabels([*(["input"] if layers[0] == 0 else []), *map(str, ticks)])
        axes.set_xlabel("layer", labelpad=2)
        axes.set_title(COEFFICIENT_SYMBOLS[name], pad=4)
    limits(
        panels,
        board,
        [*COEFFICIENT_SYMBOLS, *(f"{name}{end}" for name in COEFFICIENT_SYMBOLS for end in ("_low", "_high"))],
    )
    panels[0].set_ylabel("mean correlation")
    legend(figure, panels[0], columns=1)
    entitle(figure, title, note)
    return finished(figure)


def _draw(axes: Axes, cells: pd.DataFrame, name: str, label: str, place: int, shift: float) -> None:
    style = look(place)
    line = cells[cells["head"] == 0].sort_values("layer")
    at, mean, low, high = (line[column].to_numpy() for column in ("layer", name, f"{name}_low", f"{name}_high"))
    axes.plot(at, mean, label=label, gid=label, zorder=4, markeredgewidth=0.6, **style)
    if len(at) > 1:
        axes.fill_between(at, low, high, color=style["color"], alpha=0.22, linewidth=0, zorder=2)
    else:
        axes.vlines(at, low, high, color=style["color"], linewidth=1.1, zorder=3)
    single = cells[cells["head"] > 0]
    axes.plot(
        single["layer"] + shift,
        single[name],
        linestyle="none",
        marker=style["marker"],
        markersize=2,
        markerfacecolor="none",
        markeredgewidth=0.5,
        color=style["color"],
        alpha=0.7,
        zorder=3,
        gid=f"heads of {label}",
    )


def two_panels(title: str, note: str, lines: int) -> tuple[Figure, list[Axes]]:
    """A figure of two panels side by side, placed in inches, with room below for a legend of `lines` lines."""
    above = title_height(title, WIDTH) + 0.2
    below = 0.4 + LINE * lines + note_height(note, WIDTH)
    tall = above + _HIGH + below
    figure = canvas(WIDTH, tall, by_hand=True)
    wide = (WIDTH - _LEFT - _RIGHT - _GAP) / 2
    panels = [
        figure.add_axes(((_LEFT + place * (wide + _GAP)) / WIDTH, below / tall, wide / WIDTH, _HIGH / tall))
        for place in range(2)
    ]
    panels[1].tick_params(labelleft=False)
    return figure, panels


def legend(figure: Figure, axes: Axes, columns: int) -> None:
    """The names of the lines, from the left end of the panels, under the labels of their axes."""
    wide, tall = figure.get_size_inches()
    corner = (_LEFT / wide, axes.get_position().y0 - 0.37 / tall)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper left", bbox_to_anchor=corner, borderaxespad=0, borderpad=0, ncols=columns)


def limits(panels: list[Axes], table: pd.DataFrame, columns: list[str]) -> None:
    """One scale for both panels, with room around all the values; grid lines behind them."""
    values = table[columns].to_numpy(dtype=float)
    low, high = np.nanmin(values), np.nanmax(values)
    pad = max(0.04 * (high - low), 0.02)
    for axes in panels:
        axes.set_ylim(low - pad, high + pad)
        axes.grid(axis="y", color=LIGHT, linewidth=0.5)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=SMALL)
