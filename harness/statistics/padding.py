"""Rows of different lengths side by side."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray


def padded(rows: Iterable[Sequence[float] | NDArray], width: int) -> NDArray[np.float64]:
    """`[row, token]`, zero after a row's own tokens."""
    rows = list(rows)
    table = np.zeros((len(rows), width))
    for index, row in enumerate(rows):
        table[index, : len(row)] = row
    return table
