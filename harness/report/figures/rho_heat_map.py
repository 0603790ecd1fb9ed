"""Rank correlation with one reference as a heat map: explainers down, layers across."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from harness.report.figures.drawing import (
    INK,
    WIDTH,
    canvas,
    entitle,
    finished,
    layer_axis,
    note_height,
    styled,
    title_height,
    undefined_cells,
)
from harness.report.figures.lettering import SMALL, examples, sentence, widest
from harness.report.grid import LINE_KINDS, layer_name, line_name

_CELL, _INPUT, _GAP = 0.155, 0.28, 0.08  # inches: the height of a line, and the width of the cells without layers
_AXIS, _BAR = 0.42, 0.32  # inches below the cells for the axis of layers, and for the colour bar
_COLOURS = matplotlib.colormaps["viridis_r"]  # its lightness falls evenly, in grey too


@styled
def rho_heat_map(board: pd.DataFrame, *, title: str = "", reference: str = "", relative: bool = False) -> Figure | None:
    """Mean rank correlation of each explainer at each layer; None without layers or without a defined mean.

    Floors and then other references are below rules. Methods without layers have one cell in a column of their own. An
    undefined mean is hatched.

    Args:
        board: one task, model and reference, columns as in `rho_by_layer`. Single heads are left out.
        title: task and model; n is added.
        reference: the name of the reference.
        relative: whether the axis is layer / number of layers.
    """
    board = board[board["head"] == 0]
    depth = 0 if board.empty else int(board["layer"].max())
    if depth == 0 or board["mean"].isna().all():
        return None
    lines = [
        (str(name), kind, cells)
        for kind in LINE_KINDS
        for name, cells in board[board["kind"] == kind].groupby("explainer", sort=False)
    ]
    rows = [_row(cells, depth) for _, _, cells in lines]
    means, present = np.array([mean for mean, _ in rows]), np.array([there for _, there in rows])
    names = [line_name(name, 0, kind) for name, kind, _ in lines]
    rules = [row for row in range(1, len(lines)) if lines[row][1] != lines[row - 1][1]]
    inputs = bool(present[:, 0].any())

    left = widest(names) + 0.15
    first = left + (_INPUT + _GAP if inputs else 0)
    across, high = WIDTH - first - 0.12, _CELL * len(names)
    undefined = bool(np.isnan(means[present]).any())
    note = "Dark is high. Blank: the method has no such layer." + (" Hatched: undefined." if undefined else "")
    title = sentence(title, examples(board["n"]))
    top = title_height(title, WIDTH) + 0.02
    tall = top + high + _AXIS + _BAR + note_height(note, WIDTH)
    figure = canvas(WIDTH, tall, by_hand=True)
    bottom = 1 - (top + high) / tall
    scale = Normalize(*_range(means))
    if inputs:
        axes = figure.add_axes((left / WIDTH, bottom, _INPUT / WIDTH, high / tall))
        _draw(axes, means[:, :1], present[:, :1], scale, rules)
        axes.set_xticks([0.5], [layer_name(0)])
    axes = figure.add_axes((first / WIDTH, bottom, across / WIDTH, high / tall))
    _draw(axes, means[:, 1:], present[:, 1:], scale, rules)
    layer_axis(axes, depth, int(across / 0.2), relative, middle=-0.5)
    axes.tick_params(bottom=True)
    figure.axes[0].set_yticks(np.arange(len(names)) + 0.5, names)
    box = (0.2 / WIDTH, bottom - (_AXIS + 0.08) / tall, 1.5 / WIDTH, 0.08 / tall)
    _colour_bar(figure, box, scale, f"mean Spearman's ρ with {reference or 'the reference'}")
    entitle(figure, title, note)
    return finished(figure)


def _row(cells: pd.DataFrame, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Means by layer from 0, and which of them the board has, `[layer]`."""
    means, there = np.full(depth + 1, np.nan), np.zeros(depth + 1, dtype=bool)
    # A cell that failed is a row of layer 0, even of a method with layers
    cells = cells[cells["layer"] > 0] if (cells["layer"] > 0).any() else cells
    means[cells["layer"]], there[cells["layer"]] = cells["mean"], True
    return means, there


def _range(means: np.ndarray) -> tuple[float, float]:
    low, high = float(np.nanmin(means)), float(np.nanmax(means))
    return (low, high) if low < high else (low - 0.05, high + 0.05)


def _draw(axes: Axes, means: np.ndarray, present: np.ndarray, scale: Normalize, rules: list[int]) -> None:
    axes.pcolormesh(np.ma.masked_invalid(means), cmap=_COLOURS, norm=scale, edgecolors="white", linewidth=0.3)
    undefined_cells(axes, np.where(present, means, 0))
    for row in rules:
        axes.axhline(row, color=INK, linewidth=0.6)
    axes.set_xlim(0, means.shape[1])
    axes.set_ylim(len(means), 0)
    axes.set_yticks([])
    axes.tick_params(left=False, bottom=False, pad=2)
    axes.spines[:].set_visible(False)


def _colour_bar(figure: Figure, box: tuple[float, float, float, float], scale: Normalize, meaning: str) -> None:
    """A bar from low to high with numbers below, followed by what it means."""
    axes = figure.add_axes(box, gid="colour bar")
    steps = np.linspace(scale.vmin or 0, scale.vmax or 0, 65)
    axes.pcolormesh(steps, [0, 1], (steps[None, :-1] + steps[None, 1:]) / 2, cmap=_COLOURS, norm=scale)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_yticks([])
    axes.tick_params(pad=2)
    axes.spines[:].set(visible=True, linewidth=0.4)
    axes.text(1.05, 0.45, meaning, ha="left", va="center", fontsize=SMALL, transform=axes.transAxes)
