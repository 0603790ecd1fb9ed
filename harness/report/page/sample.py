"""Which of a run's examples a page holds."""

from collections.abc import Collection

import numpy as np
import pandas as pd

ROOM = 3_500_000  # bytes of numbers by example and token, before they are compressed to about as many of base64


def kept_examples(examples: pd.DataFrame, numbers: int, values: int, always: Collection[str] = ()) -> list[int]:
    """The rows of the examples that a page keeps, in their order: all of them where they fit.

    Otherwise evenly spaced ones, and those that must stay.

    Args:
        examples: a run's table of examples.
        numbers: of the scores of one token: one for each method, layer and head.
        values: of one example: one for each cell of the leaderboard.
        always: ids that must stay.
    """
    sizes = 4 * (examples["tokens"].map(len).to_numpy() * numbers + values)
    total, n = int(sizes.sum()), len(examples)
    if total <= ROOM:
        return list(range(n))
    count = max(1, int(n * ROOM / total))
    spaced = np.linspace(0, n - 1, count).round().astype(int).tolist()
    own = [row for row, name in enumerate(examples["example"]) if name in set(always)]
    return sorted({*spaced, *own})


def first_that_fit(table: pd.DataFrame, sizes: pd.Series, room: int = ROOM) -> pd.DataFrame:
    """The rows of the first examples that fit together, of one at least.

    Args:
        table: with a column `example`.
        sizes: bytes of each row.
        room: bytes of all.
    """
    total = sizes.groupby(table["example"], sort=False).sum().cumsum()
    count = max(1, int((total <= room).sum()))
    return table[table["example"].isin(total.index[:count])]
