"""A sentence pair's scores by word, with its gold links: target words down, source words across."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from harness.report.figures.drawing import (
    ACCENT,
    INK,
    WIDTH,
    canvas,
    entitle,
    finished,
    note_height,
    styled,
    title_height,
    undefined_cells,
)
from harness.report.figures.lettering import SMALL, label, widest

_CELL, _WIDEST = 0.165, 0.3  # inches
_LEAST = 2.6  # inches, of the whole figure
_BAR = 0.15  # inches, for the colour bar
_COLOURS = matplotlib.colormaps["Blues"]  # dark is high, in grey too
_INSET = 0.12  # of a frame, in cells
_NOTE = "Rows are target words, columns source words. Dot: the link by argmax. Frame: a gold link"
_SCALE = "1    from a row's lowest score to its highest"


@styled
def alignment_matrix(
    source: Sequence[str],
    target: Sequence[str],
    scores: np.ndarray,
    *,
    sure: np.ndarray,
    possible: np.ndarray,
    links: np.ndarray,
    title: str = "",
) -> Figure | None:
    """The scores of each target word's row on a scale from its lowest to its highest; None without a defined score.

    A gold link has a frame around its cell, solid where it is sure and dashed where it is possible, and a proposed link
    a dot. An undefined row is hatched.

    Args:
        source: words, as columns.
        target: words, as rows.
        scores: `[target word, source word]`.
        sure: whether words are linked, of the same shape.
        possible: whether they have a link that is neither right nor wrong.
        links: those that the scores propose.
        title: task, model, explainer and layer.

    Raises:
        ValueError: scores that are not one for each pair of words.
    """
    scores = np.asarray(scores, dtype=float)
    if scores.shape != (len(target), len(source)):
        raise ValueError(
            f"expected scores of {len(target)} target words and {len(source)} source words, got {scores.shape}"
        )
    share = _shares(scores)
    if np.isnan(share).all():
        return None
    columns, rows = [label(word) for word in source], [label(word) for word in target]
    left = widest(rows) + 0.15
    cell = float(np.clip((WIDTH - left - 0.1) / len(columns), _CELL, _WIDEST))
    upright = widest(columns) > cell - 0.04
    below = (widest(columns) if upright else 0.1) + 0.12
    across, down = cell * len(columns), cell * len(rows)
    note = _NOTE + (", sure (solid) or possible (dashed)." if possible.any() else ".")
    note += " Hatched: undefined." if np.isnan(share).any() else ""
    width = max(left + across + 0.1, _LEAST, 1.75 + widest([_SCALE]))
    above = title_height(title, width) + 0.04
    tall = above + down + below + _BAR + note_height(note, width)
    figure = canvas(width, tall, by_hand=True)
    axes = figure.add_axes((left / width, 1 - (above + down) / tall, across / width, down / tall))
    scale = Normalize(0, 1)
    axes.pcolormesh(np.ma.masked_invalid(share), cmap=_COLOURS, norm=scale, edgecolors="white", linewidth=0.4)
    undefined_cells(axes, share)
    for kind, places, dashes in (("sure", sure, "-"), ("possible", possible, (0, (1.6, 1.1)))):
        for row, column in np.argwhere(places):
            _frame(axes, row, column, kind, dashes)
    for row, column in np.argwhere(links):
        axes.plot(
            [column + 0.5],
            [row + 0.5],
            "o",
            color="white",
            markeredgecolor=INK,
            markeredgewidth=0.6,
            markersize=2.9,
            gid="link",
        )
    axes.set_xlim(0, len(columns))
    axes.set_ylim(len(rows), 0)
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=90 if upright else 0)
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axes.tick_params(left=False, bottom=False, pad=2)
    axes.spines[:].set_visible(False)
    _colour_bar(figure, (0.2 / width, (note_height(note, width) + 0.05) / tall, 1.2 / width, 0.08 / tall), scale)
    entitle(figure, title, note)
    return finished(figure)


def _shares(scores: np.ndarray) -> np.ndarray:
    """Each row from 0, its lowest score, to 1, its highest; NaN where it is not finite, 0 where it is constant."""
    known = np.isfinite(scores).all(axis=1, keepdims=True)
    values = np.where(known, scores, 0.0)
    low = values.min(axis=1, keepdims=True)
    spread = values.max(axis=1, keepdims=True) - low
    return np.where(known, (values - low) / np.where(spread > 0, spread, 1.0), np.nan)


def _frame(axes: Axes, row: int, column: int, kind: str, dashes: object) -> None:
    """A frame within a cell, with a white edge, so that it stands out from light and from dark."""
    side = 1 - 2 * _INSET
    axes.add_patch(
        Rectangle(
            (column + _INSET, row + _INSET),
            side,
            side,
            fill=False,
            edgecolor=ACCENT,
            linewidth=1.2,
            linestyle=dashes,  # pyright: ignore[reportArgumentType]
            path_effects=[withStroke(linewidth=2.4, foreground="white")],
            gid=kind,
        )
    )


def _colour_bar(figure: Figure, place: tuple[float, float, float, float], scale: Normalize) -> None:
    """A bar from low to high, followed by what it means."""
    axes = figure.add_axes(place, gid="colour bar")
    axes.pcolormesh(np.linspace(0, 1, 64)[None], cmap=_COLOURS, norm=scale, edgecolors="face", linewidth=0.2)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(visible=True, linewidth=0.4)
    axes.text(-0.05, 0.45, "0", ha="right", va="center", fontsize=SMALL, transform=axes.transAxes)
    axes.text(1.05, 0.45, _SCALE, ha="left", va="center", fontsize=SMALL, transform=axes.transAxes)
