"""How well the explainers of a pair agree, by the number of tokens: a line per layer."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from harness.report.figures.drawing import DASHES, GREY, MARKERS, entitle, finished, styled
from harness.report.figures.lettering import examples, sentence
from harness.report.figures.pair_by_layer import COEFFICIENT_SYMBOLS, legend, limits, two_panels

_MOST = 7  # layers that can still be distinguished
_FEWEST = 5  # examples in a bin for a meaningful mean
_COLUMNS = ["", "_low", "_high"]


@styled
def pair_by_length(lengths: pd.DataFrame, *, title: str = "", head_size: int | None = None) -> Figure | None:
    """Mean correlation in bins of sentence lengths with its 95% interval; the later the layer, the darker its line.

    Bins of fewer than five examples are left out; None where fewer than two remain. A dotted line marks the dimension
    of a head, and lines are interrupted there, because a line from bin to bin would hide a step.

    Args:
        lengths: lines of one pair, columns as in `pair_lengths`; at most seven layers of them are drawn.
        title: task, model and pair; n is added.
        head_size: dimensions of a head's values; None where it is not known.
    """
    lengths = lengths[lengths["n"] >= _FEWEST]
    if lengths["shortest"].nunique() < 2:
        return None
    chosen = evenly_spaced(sorted(lengths["layer"].unique()), _MOST)
    lengths = lengths[lengths["layer"].isin(chosen)]
    note = (
        f"Points: means over the examples in each bin of lengths (at least {_FEWEST}); bars: 95% bootstrap intervals. "
    )
    note += _head_size_note(head_size, lengths["shortest"].min(), lengths["longest"].max())
    title = sentence(title, examples(lengths.groupby("layer")["n"].sum()))
    figure, panels = two_panels(title, note, 1)
    colours = matplotlib.colormaps["viridis"](np.linspace(0.9, 0.0, len(chosen)))
    first, last = lengths["tokens"].min(), lengths["tokens"].max()
    room = 0.04 * (last - first)
    for axes, name in zip(panels, COEFFICIENT_SYMBOLS, strict=True):
        for place, layer in enumerate(chosen):
            shift = (
                (place - (len(chosen) - 1) / 2) * 0.002 * (last - first)
            )  # bars side by side, not on top of each other
            of_layer = lengths[lengths["layer"] == layer].sort_values("tokens")
            steps = [] if head_size is None else np.flatnonzero(np.diff(of_layer["longest"] > head_size)) + 1
            _draw(axes, of_layer, name, layer, place, colours[place], shift, steps)
        axes.set_xlim(first - room, last + room)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("number of tokens", labelpad=2)
        axes.set_title(COEFFICIENT_SYMBOLS[name], pad=4)
        if head_size is not None and first < head_size < last:
            at = head_size + 0.5
            axes.axvline(at, color=GREY, linewidth=0.9, linestyle=(0, (1, 1.5)), zorder=1, gid="head size")
    limits(panels, lengths, [f"{name}{end}" for name in COEFFICIENT_SYMBOLS for end in _COLUMNS])
    panels[0].set_ylabel("mean correlation")
    legend(figure, panels[0], columns=len(chosen))
    entitle(figure, title, note)
    return finished(figure)


def _head_size_note(head_size: int | None, shortest: int, longest: int) -> str:
    """Where the head dimension lies among the lengths that are drawn; nothing where it is not known."""
    if head_size is None:
        return ""
    if head_size < shortest:
        return f"All sentences have more tokens than a head has dimensions ({head_size})."
    if head_size >= longest:
        return f"No sentence has more tokens than a head has dimensions ({head_size})."
    return f"Left of the dotted line, no sentence has more tokens than a head has dimensions ({head_size})."


def evenly_spaced(layers: Sequence[int], most: int) -> list[int]:
    """At most `most` layers, evenly spaced, with the first and the last."""
    if len(layers) <= most:
        return list(layers)
    return [layers[round(place * (len(layers) - 1) / (most - 1))] for place in range(most)]


def _draw(
    axes: Axes,
    lines: pd.DataFrame,
    name: str,
    layer: int,
    place: int,
    colour: NDArray,
    shift: float,
    steps: Sequence[int] | NDArray,
) -> None:
    at = (lines["tokens"] + shift).to_numpy()
    label = f"L{layer}" if layer else "input"
    axes.plot(
        np.insert(at, steps, np.nan),
        np.insert(lines[name].to_numpy(), steps, np.nan),
        color=colour,
        marker=MARKERS[place],
        linestyle=DASHES[place % len(DASHES)],
        label=label,
        gid=label,
        zorder=3,
        markeredgewidth=0.6,
    )
    axes.vlines(at, lines[f"{name}_low"], lines[f"{name}_high"], color=colour, linewidth=0.8, zorder=2)
