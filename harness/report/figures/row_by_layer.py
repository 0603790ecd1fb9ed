"""One example's scores for the explained position: tokens across, layers up (Abnar & Zuidema 2020, Figures 2, 3)."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure

from harness.report.figures.drawing import (
    ACCENT,
    INK,
    WIDTH,
    canvas,
    entitle,
    finished,
    layer_ticks,
    note_height,
    styled,
    title_height,
    undefined_cells,
)
from harness.report.figures.lettering import PLAIN, SMALL, label, sentence, widest

_CELL = 0.155  # inches: the narrowest and the usual height of a cell
_WIDEST = 0.42
_SPACE, _BAR = 0.08, 0.15  # inches between two panels, and for a colour bar
_NOTE = (
    "Rows are layers (–: an explainer without layers). For display, scores are divided by their row's largest "
    "magnitude: compare the pattern of rows, not their size."
)
_SIDES = " The rule separates the source from the target's prefix."
_HATCHED = " Hatched: undefined."
_DASHED = " A dash marks a negative score."


@styled
def row_by_layer(
    tokens: Sequence[str], scores: pd.DataFrame, *, position: int | None = None, title: str = "", source: int = 0
) -> Figure | None:
    """One panel per explainer, a cell for the score of each token at each layer; None without a defined score.

    Each row is divided by its largest magnitude. Panels with a negative score have a diverging colour map and a dash
    in each negative cell. An explainer without layers is a single row.

    Args:
        tokens: of the one example.
        scores: its columns method, layer (0: no layers), head and scores, a list over tokens. Heads are left out.
        position: the explained one, or None.
        title: task, model and example.
        source: how many of the tokens are a source, which a rule separates from the target's prefix.

    Raises:
        ValueError: scores that are not one for each token.
    """
    scores = scores[scores["head"] == 0]
    methods = scores["method"].drop_duplicates().tolist()
    shares = {method: _shares(scores[scores["method"] == method], len(tokens)) for method in methods}
    if all(np.isnan(share).all() for share, _ in shares.values()):
        return None
    signed = {method: bool((share < 0).any()) for method, (share, _) in shares.items()}
    texts = [label(token) for token in tokens]
    left = widest(methods, PLAIN) + 0.34
    cell = float(np.clip((WIDTH - left - 0.1) / len(tokens), _CELL, _WIDEST))
    note = _NOTE + (_DASHED if any(signed.values()) else "")
    note += _HATCHED if any(np.isnan(share).any() for share, _ in shares.values()) else ""
    note += _SIDES if source else ""
    title = sentence(title, "" if position is None else f"explained position: {texts[position]} ({position})")
    upright = widest(texts, bold=True) > cell - 0.04
    heights = [(_CELL if len(share) <= 12 else 0.095) * len(share) for share, _ in shares.values()]
    below = (widest(texts, bold=True) if upright else 0.1) + 0.12
    kinds = sorted(set(signed.values()))
    width = max(cell * len(tokens) + left + 0.1, 1.7 + widest([_meaning(kind) for kind in kinds]))
    top = title_height(title, width) + 0.02
    tall = top + sum(heights) + _SPACE * len(heights) + below + _BAR * len(kinds) + note_height(note, width)
    figure, across = canvas(width, tall, by_hand=True), cell * len(tokens)
    for method, height in zip(methods, heights, strict=True):
        share, layered = shares[method]
        box = (left / width, 1 - (top + height) / tall, across / width, height / tall)
        axes = figure.add_axes(box)
        _draw(axes, share, layered, signed[method])
        if source:
            axes.axvline(source, color=INK, linewidth=1.2, gid="source")
        axes.text(-0.26 / across, 0.5, method, ha="right", va="center", transform=axes.transAxes)
        axes.set_xticks([])
        top += height + _SPACE
    axes = figure.axes[-1]  # the lowest panel names the tokens
    axes.set_xticks(np.arange(len(tokens)) + 0.5, texts, rotation=90 if upright else 0)
    axes.tick_params(bottom=False, pad=2)
    if position is not None:
        axes.get_xticklabels()[position].set(fontweight="bold", color=ACCENT)
    for index, kind in enumerate(kinds):
        place = (0.28 / width, 1 - (top + below + _BAR * (index + 0.2)) / tall, 1.2 / width, 0.08 / tall)
        _colour_bar(figure, place, kind)
    entitle(figure, title, note)
    return finished(figure)


def _shares(cells: pd.DataFrame, n: int) -> tuple[np.ndarray, bool]:
    """Scores over the largest magnitude of their row, `[layer, token]`, and whether there are layers."""
    layered = bool(cells["layer"].max() > 0)
    shares = np.full((int(cells["layer"].max()) if layered else 1, n), np.nan)
    for cell in cells.to_dict("records"):
        layer, scores = cell["layer"], cell["scores"]
        if len(scores) != n:
            raise ValueError(f"expected scores of {n} tokens, got {len(scores)} of {cell['method']}, layer {layer}")
        if layered == (layer > 0):
            row = np.asarray(scores, dtype=float)
            row = np.where(np.isfinite(row), row, np.nan)
            largest = np.nanmax(np.abs(row)) if not np.isnan(row).all() else np.nan
            shares[max(layer - 1, 0)] = row / largest if largest > 0 else row  # all zero: uniform, not undefined
    return shares, layered


def _map(signed: bool) -> tuple[Colormap, Normalize]:
    """Dark is large, in grey too; for signed scores both ends are dark, and a dash distinguishes them."""
    return (
        (matplotlib.colormaps["PuOr"], Normalize(-1, 1)) if signed else (matplotlib.colormaps["Blues"], Normalize(0, 1))
    )


def _draw(axes: Axes, share: np.ndarray, layered: bool, signed: bool) -> None:
    colours, scale = _map(signed)
    axes.pcolormesh(np.ma.masked_invalid(share), cmap=colours, norm=scale, edgecolors="white", linewidth=0.4)
    undefined_cells(axes, share)
    negative = np.argwhere(share < 0)
    dark = share[share < 0] < -0.6
    for chosen, colour in ((dark, "white"), (~dark, "#222222")):
        places = negative[chosen]
        axes.plot(
            places[:, 1] + 0.5,
            places[:, 0] + 0.5,
            marker="_",
            linestyle="none",
            color=colour,
            markersize=3.5,
            markeredgewidth=0.7,
            gid="negative",
        )
    rows = len(share)
    ticks = layer_ticks(rows, max(1, rows if rows <= 12 else rows // 2)) if layered else [1]
    axes.set_yticks(np.asarray(ticks) - 0.5, [str(tick) for tick in ticks] if layered else ["–"])
    axes.tick_params(left=False, bottom=False, pad=2)
    axes.spines[:].set_visible(False)


def _meaning(signed: bool) -> str:
    return "1    score / its row's largest magnitude" + (", signed" if signed else "")


def _colour_bar(figure: Figure, place: tuple[float, float, float, float], signed: bool) -> None:
    """A bar at the bottom: low on the left, high on the right, followed by what it means."""
    axes = figure.add_axes(place, gid="colour bar")
    colours, scale = _map(signed)
    axes.pcolormesh(
        np.linspace(scale.vmin or 0, 1, 64)[None], cmap=colours, norm=scale, edgecolors="face", linewidth=0.2
    )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(visible=True, linewidth=0.4)
    axes.text(-0.05, 0.45, "−1" if signed else "0", ha="right", va="center", fontsize=SMALL, transform=axes.transAxes)
    axes.text(1.05, 0.45, _meaning(signed), ha="left", va="center", fontsize=SMALL, transform=axes.transAxes)
