"""The text in a figure, and whether it is legible."""

from collections.abc import Iterator
from itertools import combinations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

LEAST = 7.0  # points


def texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """Every visible text, with its box in pixels."""
    figure.draw_without_rendering()  # axis labels are placed only then
    renderer = FigureCanvasAgg(figure).get_renderer()
    found = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    unseen = {id(text) for axes in figure.axes for text in _unseen(axes)}
    return [(text.get_text(), text.get_window_extent(renderer)) for text in found if id(text) not in unseen]


def _unseen(axes) -> Iterator[Text]:
    """Labels of ticks beyond the ends of their axis, or of axes that are off: matplotlib keeps them undrawn."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if not axes.axison or not low <= tick.get_loc() <= high:
                yield from (tick.label1, tick.label2)
        if not axes.axison:
            yield axis.offsetText


def check_readable(figure: Figure) -> None:
    """No text is cut off, overlaps another, or is smaller than seven points."""
    for text in figure.findobj(Text):
        assert float(text.get_fontsize()) >= LEAST, text
    boxes = texts(figure)
    assert boxes
    width, height = figure.get_size_inches() * figure.dpi
    for text, box in boxes:
        assert box.x0 >= -0.5, text
        assert box.y0 >= -0.5, text
        assert box.x1 <= width + 0.5, text
        assert box.y1 <= height + 0.5, text
    for (one, first), (other, second) in combinations(boxes, 2):
        apart = first.x1 <= second.x0 or second.x1 <= first.x0 or first.y1 <= second.y0 or second.y1 <= first.y0
        assert apart, f"{one!r} overlaps {other!r}"


def seen(figure: Figure | None) -> Figure:
    """The figure, which must exist."""
    assert figure is not None
    return figure
