"""What all figures share: style, palette, labels, and files that are the same bytes every time."""

import functools
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path
from scipy.optimize import isotonic_regression

from harness.results.run_folder import write_atomically

WIDTH = 6.3  # inches: both columns of a conference paper
SMALL, PLAIN, LARGE = 7.0, 7.5, 8.5  # points
LINE = 0.15  # inches between two lines of small text
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
    "legend.handlelength": 3.2,  # long enough to tell the dashes
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
    """Draw in the house style whatever the settings around, which stay as they are."""

    @functools.wraps(draw)
    def in_style(*arguments: Arguments.args, **settings: Arguments.kwargs) -> Drawn:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(STYLE)
            return draw(*arguments, **settings)

    return in_style


def canvas(width: float, height: float, by_hand: bool = False) -> Figure:
    """An empty figure, in inches, that pyplot does not know of: it is freed when the caller drops it.

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
    paths = []
    for kind, options in FORMATS.items():
        content = io.BytesIO()
        figure.savefig(content, format=kind, **options)
        paths.append(folder / f"{name}.{kind}")
        write_atomically(paths[-1], content.getvalue())
    return paths


def look(index: int) -> dict[str, Any]:
    """Colour, marker and dashes of line `index`; markers and dashes alone tell 40 lines apart."""
    colour = COLOURS[index % len(COLOURS)]
    hollow = index // 20 % 2 == 1
    return {
        "color": colour,
        "linestyle": DASHES[index % len(DASHES)],
        "marker": MARKERS[index % len(MARKERS)],
        "markeredgecolor": colour,
        "markerfacecolor": "white" if hollow else colour,
    }


def label(text: str, most: int = 24) -> str:
    """A token as it can be printed: a box for what the font lacks, cut off behind `most` characters."""
    shown = "".join(character if _has_glyph(character) else "□" for character in text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


@functools.cache
def _has_glyph(character: str) -> bool:
    return (
        character.isprintable()
        and get_font(findfont(FontProperties(family="DejaVu Sans"))).get_char_index(ord(character)) != 0
    )


@functools.lru_cache(maxsize=4096)
def text_width(text: str, size: float = SMALL, bold: bool = False) -> float:
    """The width of a line of text in inches."""
    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal", size=size)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]) / 72


def widest(texts: Sequence[str], size: float = SMALL, bold: bool = False) -> float:
    """The width of the widest text in inches; 0 for none."""
    return max((text_width(text, size, bold) for text in texts), default=0.0)


def wrapped(text: str, width: float, size: float = SMALL) -> str:
    """Text broken into lines of at most `width` inches; a longer word stays whole."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        words = paragraph.split(" ")
        lines.append(words[0])
        for word in words[1:]:
            longer = f"{lines[-1]} {word}"
            if text_width(longer, size) <= width:
                lines[-1] = longer
            else:
                lines.append(word)
    return "\n".join(lines)


def entitle(figure: Figure, title: str, note: str = "") -> None:
    """A title on top and a note at the foot, both from the left margin and broken at the right one.

    The figure's layout, if it has one, keeps to what is between.
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
    """Inches that a title takes of a figure's height."""
    return 0.1 + 0.145 * (wrapped(title, width - 0.12, LARGE).count("\n") + 1) if title else 0.0


def note_height(note: str, width: float) -> float:
    """Inches that a note takes of a figure's height."""
    return 0.1 + 0.125 * (wrapped(note, width - 0.12, SMALL).count("\n") + 1) if note else 0.0


def layer_ticks(layers: int, room: int) -> list[int]:
    """At most `room` layers of 1 to `layers` to print, evenly apart, the last one among them where it can be."""
    steps = [step for step in range(1, layers + 1) if layers // step <= max(1, room)]
    step = next((step for step in steps if layers % step == 0 and step <= 2 * steps[0]), steps[0])
    return list(range(step, layers + 1, step))


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places in [low, high], at least `gap` apart and as near as can be to the given ones (least squares)."""
    if not places:
        return []
    order = np.argsort(places, kind="stable")
    steps = np.arange(len(places)) * gap
    moved = isotonic_regression(np.asarray(places, dtype=float)[order] - steps).x
    result = np.empty(len(places))
    result[order] = np.clip(moved, low, max(low, high - steps[-1])) + steps
    return result.tolist()


def undefined_cells(axes: Axes, values: np.ndarray) -> None:
    """Hatch the cells of a matrix that hold NaN, `[row, column]`, a cell each one wide and high from 0."""
    for row, column in np.argwhere(np.isnan(values)):
        axes.add_patch(
            Rectangle((column, row), 1, 1, facecolor="#F4F4F4", edgecolor="#B0B0B0", hatch="/////", linewidth=0)
        )


def examples(counts: Any) -> str:
    """How many examples a figure rests on: `n = 57–60 examples`."""
    known = [int(count) for count in counts if count == count and count > 0]
    if not known:
        return ""
    low, high = min(known), max(known)
    return f"n = {low}" + (f"–{high}" if high > low else "") + (" examples" if high > 1 else " example")


def sentence(title: str, *more: str) -> str:
    """A title and what belongs behind it, by commas; empty parts are left out."""
    return ", ".join(part for part in (title, *more) if part)
