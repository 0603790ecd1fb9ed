"""How similarly explainers, or references, rank the tokens: a matrix of mean rank correlations."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from harness.report.figures.drawing import canvas, entitle, finished, note_height, styled, title_height, undefined_cells
from harness.report.figures.lettering import SMALL, widest

_CELL = 0.27  # inches, in which "−.43" fits


@styled
def agreement_matrix(rho: pd.DataFrame, *, title: str = "", what: str = "Mean Spearman's ρ") -> Figure | None:
    """A square table of correlations as an annotated heat map; None without a defined value off the diagonal.

    Args:
        rho: a square table with the same names in rows and columns; NaN is hatched.
        title: task, model and n.
        what: the name of the number, for the note.

    Raises:
        ValueError: rows and columns do not have the same names.
    """
    if list(rho.index) != list(rho.columns):
        raise ValueError(f"expected the same names in rows and columns, got {list(rho.index)} and {list(rho.columns)}")
    values = np.asarray(rho, dtype=float)
    if len(values) < 2 or np.isnan(values[~np.eye(len(values), dtype=bool)]).all():
        return None
    names = [str(name) for name in rho.index]
    cell = max(_CELL, min(0.4, 1.4 / len(names)))
    beside = widest(names) + 0.2
    note = f"{what}; blue is positive, red negative." + (" Hatched: undefined." if np.isnan(values).any() else "")
    width = max(cell * len(names) + beside + 0.1, 2.5)
    above, side = title_height(title, width) + 0.05, cell * len(names)
    height = side + beside + above + note_height(note, width)
    figure = canvas(width, height, by_hand=True)
    axes = figure.add_axes((beside / width, 1 - (above + side) / height, side / width, side / height))
    colours, scale = matplotlib.colormaps["RdBu"], Normalize(-1, 1)
    axes.pcolormesh(np.ma.masked_invalid(values), cmap=colours, norm=scale, edgecolors="white", linewidth=0.6)
    undefined_cells(axes, values)
    for row, column in np.argwhere(~np.isnan(values)):
        value = float(values[row, column])
        ink = "white" if abs(value) > 0.6 else "#222222"
        axes.text(column + 0.5, row + 0.5, _short(value), ha="center", va="center", fontsize=SMALL, color=ink)
    axes.set_xticks(np.arange(len(names)) + 0.5, names, rotation=90)
    axes.set_yticks(np.arange(len(names)) + 0.5, names)
    axes.set_ylim(len(names), 0)
    axes.tick_params(left=False, bottom=False, pad=2)
    axes.spines[:].set_visible(False)
    entitle(figure, title, note)
    return finished(figure)


def _short(value: float) -> str:
    """Two decimals without the leading zero, and a minus that is as wide as it is read."""
    text = f"{value:z.2f}".replace("-", "−")
    return text.replace("0.", ".", 1) if abs(value) < 0.995 else text[: -len(".00")]
