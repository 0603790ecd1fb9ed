"""The panels of the figure of rank correlations by layer, placed in inches."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.report.figures.drawing import WIDTH, canvas, title_height
from harness.report.figures.lettering import LINE, widest

HIGH = 2.0  # inches, of every panel
_LEFT, _GAP, _NARROW = 0.76, 0.14, 1.9  # inches; a panel of layers is at least _NARROW wide
_COLUMN = 0.19  # inches for an explainer without layers


@dataclass(frozen=True)
class RhoPanel:
    """Axes, whether layers are drawn there, the group of lines, the width in inches, and the position in its row."""

    axes: Axes
    layers: bool
    group: int
    width: float
    first: bool
    last: bool


def legend_columns(width: float, members: list[str]) -> int:
    """Number of columns of the legend under a panel of the given width in inches."""
    return max(1, min(len(members), int((width + 0.3) / (widest(members) + 0.6))))


def rho_panels(title: str, groups: list[list[str]], points: list[str], margin: float) -> tuple[Figure, list[RhoPanel]]:
    """The figure and its panels, placed in inches: two of layers in a row, and where there is room those without."""
    spare = WIDTH - _LEFT - margin
    column = 0.3 + _COLUMN * len(points)
    numbers = list(range(len(groups)))
    rows = [numbers[start : start + 2] for start in range(0, len(numbers), 2)]
    beside = bool(points and rows) and len(rows[-1]) == 1 and column + _GAP + _NARROW <= spare
    if beside:
        rows[-1] = [-1, *rows[-1]]  # -1: the panel of those without layers
    elif points:
        rows.append([-1])
    ticks = widest(points) + 0.1
    widths, heights = [], []
    for row in rows:
        rest = spare - _GAP * (len(row) - 1) - (column if beside and -1 in row else 0)
        share = rest / max(1, len(row) - (beside and -1 in row))
        widths.append([column if number < 0 and beside else share for number in row])
        legends = [
            -(-len(groups[number]) // legend_columns(wide, groups[number]))
            for number, wide in zip(row, widths[-1], strict=True)
            if number >= 0
        ]
        below = max([0.45 + LINE * lines for lines in legends] + ([ticks] if -1 in row else []))
        heights.append(0.17 + HIGH + below)
    top = title_height(title, WIDTH)
    tall = top + sum(heights) + 0.05
    figure = canvas(WIDTH, tall, by_hand=True)
    panels = []
    for row, sizes, height in zip(rows, widths, heights, strict=True):
        across = _LEFT
        for place, (number, wide) in enumerate(zip(row, sizes, strict=True)):
            box = (across / WIDTH, 1 - (top + 0.17 + HIGH) / tall, wide / WIDTH, HIGH / tall)
            axes = figure.add_axes(box)
            panels.append(RhoPanel(axes, number >= 0, number, wide, place == 0, place == len(row) - 1))
            across += wide + _GAP
        top += height
    return figure, panels
