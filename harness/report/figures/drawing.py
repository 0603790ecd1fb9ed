"""Style, palette, labels and reproducible files for all figures."""

import functools
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.optimize import isotonic_regression

from harness.report.figures.lettering import LARGE, PLAIN, SMALL, wrapped
from harness.results.files import write_atomically

UNSAFE = re.compile(r"[^\w .,=()\[\]+-]|^\.")  # in the name of a file, such as a slash in the name of an explainer
LONGEST = 150  # characters of such a name
WIDTH = 6.3  # inches: both columns of a conference paper
FORMATS: dict[str, dict[str, Any]] = {
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
    "png": {"dpi": 300},
}
STYLE: Any = {
    "axes.edgecolor": "#444444",
    "axes.labelsize": PLAIN,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": PLAIN,
    "figure.titlesize": LARGE,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that a figure is the same everywhere
    "font.size": PLAIN,
    "hatch.linewidth": 0.5,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "legend.handlelength": 3.2,  # long enough to distinguish the dashes
    "lines.linewidth": 1.1,
    "lines.markersize": 3.6,
    "pdf.fonttype": 42,
    "svg.hashsalt": "assay",
    "text.parse_math": False,  # a token may hold dollar signs
    "xtick.labelsize": SMALL,
    "xtick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.labelsize": SMALL,
    "ytick.major.size": 2.5,
    "ytick.major.width": 0.6,
}
# Okabe & Ito 2008, without their yellow, which is too light for a line, and black, which marks a reference
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B4B8A")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", ">", "*", "<")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.2)), (0, (1, 1)), (0, (5, 1.2, 1, 1.2)))
GREY, INK, ACCENT = "#7A7A7A", "#222222", "#D55E00"
LIGHT = "#E4E4E4"

Arguments = ParamSpec("Arguments")
Drawn = TypeVar("Drawn")


def styled(draw: Callable[Arguments, Drawn]) -> Callable[Arguments, Drawn]:
    """Draw in one style whatever matplotlib's settings are; they stay as they are."""

    @functools.wraps(draw)
    def in_style(*arguments: Arguments.args, **settings: Arguments.kwargs) -> Drawn:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(STYLE)
            return draw(*arguments, **settings)

    return in_style


def canvas(width: float, height: float, by_hand: bool = False) -> Figure:
    """An empty figure, in inches, outside pyplot: it is freed when the caller drops it.

    Its layout follows from the sizes of the texts, unless its axes are placed `by_hand`.
    """
    return Figure(figsize=(width, height), layout=None if by_hand else "constrained")


def finished(figure: Figure) -> Figure:
    """Lay the figure out once and for all, so that it looks the same in every format."""
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


@styled
def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write `name`.svg, .pdf and .png, each as a whole; the same figure gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    name = UNSAFE.sub("_", name)[:LONGEST]
    paths = []
    for kind, options in FORMATS.items():
        content = io.BytesIO()
        figure.savefig(content, format=kind, **options)
        paths.append(folder / f"{name}.{kind}")
        write_atomically(paths[-1], content.getvalue())
    return paths


def look(index: int) -> dict[str, Any]:
    """Colour, marker and dashes of line `index`; markers and dashes alone distinguish 40 lines."""
    colour = COLOURS[index % len(COLOURS)]
    hollow = index // 20 % 2 == 1
    return {
        "color": colour,
        "linestyle": DASHES[index % len(DASHES)],
        "marker": MARKERS[index % len(MARKERS)],
        "markeredgecolor": colour,
        "markerfacecolor": "white" if hollow else colour,
    }


def entitle(figure: Figure, title: str, note: str = "") -> None:
    """A title at the top and a note at the bottom, both from the left margin and broken at the right one.

    The figure's layout, if it has one, keeps to the space between them.
    """
    width, height = figure.get_size_inches()
    for text, size, place, side in ((title, LARGE, 1 - 0.05 / height, "top"), (note, SMALL, 0.05 / height, "bottom")):
        if text:
            lines = wrapped(text, width - 0.12, size)
            figure.text(0.06 / width, place, lines, fontsize=size, va=side, linespacing=1.15)
    if figure.get_layout_engine() is not None:
        above, below = title_height(title, width), note_height(note, width)
        rect = (0, below / height, 1, 1 - (above + below) / height)
        figure.get_layout_engine().set(rect=rect)  # pyright: ignore[reportOptionalMemberAccess, reportCallIssue]


def title_height(title: str, width: float) -> float:
    """The height of a title in inches."""
    return 0.1 + 0.145 * (wrapped(title, width - 0.12, LARGE).count("\n") + 1) if title else 0.0


def note_height(note: str, width: float) -> float:
    """The height of a note in inches."""
    return 0.1 + 0.125 * (wrapped(note, width - 0.12, SMALL).count("\n") + 1) if note else 0.0


def layer_ticks(layers: int, room: int) -> list[int]:
    """At most `room` layers of 1 to `layers` to print, evenly spaced, with the last one where possible."""
    steps = [step for step in range(1, layers + 1) if layers // step <= max(1, room)]
    step = next((step for step in steps if layers % step == 0 and step <= 2 * steps[0]), steps[0])
    return list(range(step, layers + 1, step))


def layer_axis(axes: Axes, layers: int, room: int, relative: bool, middle: float = 0.0) -> None:
    """Ticks and label of an axis across: at most `room` layers, each at its number + `middle`.

    A `relative` axis, which starts at 0, has ticks at shares of the depth instead, in the same places for every model.
    """
    if relative:
        axes.set_xticks([layers * share for share in (0.25, 0.5, 0.75, 1)], ["0.25", "0.5", "0.75", "1"])
        axes.set_xlabel(f"relative depth: layer / {layers}", labelpad=2)
    else:
        ticks = layer_ticks(layers, room)
        axes.set_xticks([tick + middle for tick in ticks], [str(tick) for tick in ticks])
        axes.set_xlabel("layer", labelpad=2)


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places in [low, high], at least `gap` apart and as close as possible to the given ones (least squares)."""
    if not places:
        return []
    order = np.argsort(places, kind="stable")
    steps = np.arange(len(places)) * gap
    moved = isotonic_regression(np.asarray(places, dtype=float)[order] - steps).x
    result = np.empty(len(places))
    result[order] = np.clip(moved, low, max(low, high - steps[-1])) + steps
    return result.tolist()


def undefined_cells(axes: Axes, values: np.ndarray) -> None:
    """Hatch the cells of a matrix that are NaN, `[row, column]`; each cell is one wide and high, from 0."""
    for row, column in np.argwhere(np.isnan(values)):
        axes.add_patch(
            Rectangle((column, row), 1, 1, facecolor="#F4F4F4", edgecolor="#B0B0B0", hatch="/////", linewidth=0)
        )
