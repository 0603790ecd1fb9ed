"""Rank correlation with one reference by layer: a line per explainer, with floors and other references."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.report.figures.drawing import (
    DASHES,
    GREY,
    INK,
    LIGHT,
    entitle,
    finished,
    layer_axis,
    look,
    spread,
    styled,
)
from harness.report.figures.lettering import SMALL, examples, sentence, widest
from harness.report.figures.rho_panels import HIGH, legend_columns, rho_panels

_MOST = 7  # lines in one panel that can still be distinguished
_REFERENCE_DASHES = ((0, (7, 1.5)), (0, (2.5, 1)), (0, (7, 1, 1, 1)))


@styled
def rho_by_layer(
    board: pd.DataFrame,
    *,
    title: str = "",
    reference: str = "",
    order: Sequence[str] = (),
    relative: bool = False,
    measure: str = "",
) -> Figure | None:
    """Mean rank correlation by layer, with the 95% interval of the mean; None without a defined mean.

    Explainers with layers are lines, at most seven per panel; those without have a separate panel. Floors are
    thin grey lines, other references thick black ones, named at the right. An undefined mean leaves a gap.

    Args:
        board: one task, model and reference: columns explainer, head, layer (0: no layers), mean, low, high, n and
            kind (`explainer`, `floor` or `reference`). Single heads are left out.
        title: task and model, e.g. `sst2, distilbert`; n is added.
        reference: the name of the reference, for the axis.
        order: all explainers of a report, so that one looks the same in each of its figures.
        relative: whether the axis is layer / number of layers, so that models of different depth can be compared.
        measure: for the axis, where the means are not those of rank correlations.
    """
    board = board[board["head"] == 0]
    if board["mean"].isna().all():  # so is an empty column
        return None
    # A cell that failed is a row of layer 0, even of a method with layers
    layered = {name for name, cells in board.groupby("explainer", sort=False) if cells["layer"].max() > 0}
    names = board["explainer"].drop_duplicates().tolist()
    kinds = dict(zip(board["explainer"], board["kind"], strict=True))
    curves = {name: _curve(board[board["explainer"] == name], name in layered) for name in names}
    explainers = [name for name in names if kinds[name] == "explainer"]
    places = {name: index for index, name in enumerate(dict.fromkeys([*order, *explainers]))}
    lines = [name for name in explainers if name in layered]
    points = [name for name in explainers if name not in layered]
    sides = [name for name in names if kinds[name] != "explainer"]

    count = -(-len(lines) // _MOST)
    if not count and any(name in layered for name in sides):
        count = 1  # floors by layer with no explainer beside them
    size = -(-len(lines) // max(count, 1))
    groups = [lines[start * size : (start + 1) * size] for start in range(count)]
    margin = widest([_side_label(name, kinds[name]) for name in sides]) + (0.25 if sides else 0.1)
    title = sentence(title, examples(board["n"]))
    legends = [[_named(name, curves[name]) for name in group] for group in groups]
    figure, panels = rho_panels(title, legends, [_named(name, curves[name]) for name in points], margin)

    values = np.concatenate([curve.ravel() for curve in curves.values()])
    low, high = np.nanmin(values), np.nanmax(values)
    pad = max(0.04 * (high - low), 0.02)
    depth = int(board["layer"].max())
    for panel in panels:
        axes = panel.axes
        axes.set_ylim(low - pad, high + pad)
        axes.grid(axis="y", color=LIGHT, linewidth=0.5)
        axes.axhline(0, color="#B0B0B0", linewidth=0.7, zorder=1)
        axes.set_axisbelow(True)
        for index, name in enumerate(sides):
            _draw_side(axes, curves[name], kinds[name], index, name in layered, panel.layers)
        if panel.layers:
            members = groups[panel.group]
            for name in members:
                _draw_line(axes, curves[name], name, places[name])
            axes.set_xlim(*((0, 1.03 * depth) if relative else (0.6, depth + 0.4)))
            layer_axis(axes, depth, int(panel.width / 0.2), relative)
            if members:
                shift = -0.1 / panel.width
                across = legend_columns(panel.width, legends[panel.group])
                axes.legend(loc="upper left", bbox_to_anchor=(shift, 0), borderaxespad=3.6, ncols=across)
        else:
            for place, name in enumerate(points):
                _draw_point(axes, curves[name], place, places[name])
            axes.set_xlim(-0.7, len(points) - 0.3)
            axes.set_xticks(range(len(points)), [_named(name, curves[name]) for name in points], rotation=90)
            axes.set_title("no layers", fontsize=SMALL, pad=2)
        if panel.first:
            rho = f"mean Spearman's ρ with\n{reference or 'the reference'} (95% interval)"
            axes.set_ylabel(measure or rho)
        else:
            axes.tick_params(labelleft=False)
        if panel.last:
            shown = [name for name in sides if panel.layers or name not in layered]
            _name_sides(axes, {name: curves[name] for name in shown}, kinds, panel.width)
    entitle(figure, title)
    return finished(figure)


def _curve(cells: pd.DataFrame, layered: bool) -> np.ndarray:
    """Mean, low and high by layer, `[layer, 3]`; NaN where there is no row, one row for a method without layers."""
    curve = np.full((int(cells["layer"].max()) if layered else 1, 3), np.nan)
    values = cells[["mean", "low", "high"]].to_numpy(dtype=float)
    for layer, value in zip(cells["layer"], values, strict=True):
        if layered == (layer > 0):
            curve[max(layer - 1, 0)] = value
    return curve


def _named(name: str, curve: np.ndarray) -> str:
    return f"{name} (undefined)" if np.isnan(curve[:, 0]).all() else name


def _draw_line(axes: Axes, curve: np.ndarray, name: str, place: int) -> None:
    at = np.arange(1, len(curve) + 1)
    style = look(place)
    axes.plot(at, curve[:, 0], label=_named(name, curve), gid=name, zorder=3, markeredgewidth=0.6, **style)
    _band(axes, at, curve, style["color"])


def _band(axes: Axes, at: np.ndarray, curve: np.ndarray, colour: str) -> None:
    """The interval; a point with undefined neighbours, where no band can be seen, gets a bar."""
    axes.fill_between(at, curve[:, 1], curve[:, 2], color=colour, alpha=0.16, linewidth=0, zorder=2)
    known = np.pad(~np.isnan(curve).any(axis=1), 1)
    alone = known[1:-1] & ~known[:-2] & ~known[2:]
    axes.vlines(at[alone], curve[alone, 1], curve[alone, 2], color=colour, linewidth=0.9, zorder=2)


def _draw_point(axes: Axes, curve: np.ndarray, place: int, style: int) -> None:
    marker = {**look(style), "linestyle": "none"}
    mean, low, high = curve[0]
    if not np.isnan(mean):
        axes.plot([place], [mean], zorder=4, markeredgewidth=0.6, **marker)
        axes.vlines([place], low, high, color=marker["color"], linewidth=1.1, zorder=3)


def _draw_side(axes: Axes, curve: np.ndarray, kind: str, index: int, layered: bool, layers: bool) -> None:
    """A floor or another reference; one by layer is drawn among the layers alone."""
    reference = kind == "reference"
    style = {
        "color": INK if reference else GREY,
        "linestyle": _REFERENCE_DASHES[index % len(_REFERENCE_DASHES)] if reference else DASHES[index % len(DASHES)],
        "linewidth": 1.5 if reference else 0.8,
        "zorder": 5 if reference else 2,
    }
    if not layered and not np.isnan(curve[0, 0]):
        axes.axhline(curve[0, 0], **style)
        if not np.isnan(curve[0]).any():
            axes.axhspan(curve[0, 1], curve[0, 2], color=style["color"], alpha=0.1, linewidth=0, zorder=1)
    elif layered and layers:
        at = np.arange(1, len(curve) + 1)
        axes.plot(at, curve[:, 0], marker=".", markersize=2.5, **style)
        axes.fill_between(at, curve[:, 1], curve[:, 2], color=style["color"], alpha=0.1, linewidth=0, zorder=1)


def _side_label(name: str, kind: str) -> str:
    return f"{name} (reference)" if kind == "reference" else name


def _name_sides(axes: Axes, curves: dict[str, np.ndarray], kinds: dict[str, str], width: float) -> None:
    """Names right of the panel at the height where their lines end, moved apart, and a thin leader to each."""
    ends = {name: curve[~np.isnan(curve[:, 0]), 0] for name, curve in curves.items()}
    ends = {name: float(end[-1]) for name, end in ends.items() if len(end)}
    low, high = axes.get_ylim()
    unit = (high - low) / HIGH  # of the axis in one inch
    places = spread(list(ends.values()), 0.125 * unit, low + 0.05 * unit, high - 0.05 * unit)
    across = axes.get_yaxis_transform()  # x in parts of the panel's width
    for (name, end), place in zip(ends.items(), places, strict=True):
        colour = INK if kinds[name] == "reference" else "#555555"
        leader = [1 + 0.01 / width, 1 + 0.13 / width]
        axes.plot(leader, [end, place], color=colour, linewidth=0.5, clip_on=False, transform=across, gid="leader")
        text = _side_label(name, kinds[name])
        axes.text(1 + 0.16 / width, place, text, color=colour, fontsize=SMALL, va="center", transform=across)
