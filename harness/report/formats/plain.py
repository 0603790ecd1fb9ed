"""Cells as plain text, for all formats."""

import math

from harness.report.cells import (
    AtLayer,
    BestLayer,
    Cell,
    Count,
    Empty,
    Estimate,
    MeanStd,
    Number,
    PValue,
    Reliability,
    Same,
    Text,
    Undefined,
)
from harness.report.grid import Grid, layer_name

SAME = "≡"
UNDEFINED = "–"
NOT_ABOVE = "°"
SMALLEST_P = 1e-4  # that is printed as a number


def plain(cell: Cell, between: str = " ± ") -> str:
    """The text of a cell; `between` separates a mean from its standard deviation."""
    match cell:
        case Text(text):
            return text
        case AtLayer(layer):
            return layer_name(layer)
        case Number(value, form):
            return "" if math.isnan(value) else f"{value:{form}}"
        case MeanStd(mean, std, above):
            return f"{mean:z.2f}{between}{std:.2f}{_mark(above)}"
        case Estimate(mean, low, high, group, above, form):
            return _joined(f"{mean:{form}}", interval(low, high), group) + _mark(above)
        case Reliability(mean, low, high):
            return f"{_joined(f'{mean:z.2f}', interval(low, high))}, r {cell.of_all_draws:.2f}"
        case BestLayer(mean, group, layer):
            return _joined(f"{mean:z.3f}", group, layer_name(layer))
        case Count(low, high):
            return str(low) if low == high else f"{low}–{high}"
        case PValue(p):
            return "" if math.isnan(p) else "<.0001" if p < SMALLEST_P else f"{p:.4f}"
        case Same():
            return SAME
        case Undefined():
            return UNDEFINED
        case Empty():
            return ""


def plain_lines(grid: Grid) -> list[list[str]]:
    """The texts of a grid's cells, line by line."""
    return [[plain(cell) for cell in line] for line in grid.lines]


def interval(low: float, high: float) -> str:
    """An interval in brackets; nothing where there is none."""
    return "" if math.isnan(low) else f"[{low:z.2f}, {high:z.2f}]"


def _mark(above_floors: bool) -> str:
    return "" if above_floors else NOT_ABOVE


def _joined(*texts: str) -> str:
    return " ".join(text for text in texts if text)
