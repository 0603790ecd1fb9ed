"""Which of a run's examples a page holds, and whose maps, queries and keys."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Bytes of scores, values and maps before they are compressed. Numbers hardly get smaller by that, and a third larger as
# base64: with this room a page stays below 6 MB, and holds 500 sentences with 14 explainers at 6 layers whole.
ROOM = 4_200_000


def kept_maps(sizes: Mapping[str, int], share: float = 1 / 2) -> list[str]:
    """The examples whose maps, or queries and keys, a page keeps: the first ones, as many as the room holds.

    Args:
        sizes: bytes of those of each example.
        share: of the room that they may take.
    """
    total = np.cumsum(list(sizes.values()))  # [example]
    return [name for name, size in zip(sizes, total, strict=True) if size <= share * ROOM]


def kept_examples(examples: pd.DataFrame, numbers: int, values: int, mapped: Mapping[str, int]) -> list[int]:
    """The rows of the examples that a page keeps, in their order: all of them where they fit.

    Otherwise those with maps or queries and keys, and as many evenly spaced ones of the others as there is room for.

    Args:
        examples: a run's table of examples.
        numbers: of the scores of one token: one for each method, layer and head.
        values: of one example: one for each cell of the leaderboard.
        mapped: bytes of the maps, queries and keys of each example that has some.
    """
    sizes = 4 * (examples["tokens"].map(len).to_numpy() * numbers + values)  # [example]
    stays = examples["example"].isin(list(mapped)).to_numpy()  # [example]
    room = ROOM - sum(mapped.values()) - int(sizes[stays].sum())
    others = np.flatnonzero(~stays)
    return sorted([*np.flatnonzero(stays).tolist(), *_spaced(others, sizes, room).tolist()])


def _spaced(rows: NDArray, sizes: NDArray, room: int) -> NDArray:
    """Evenly spaced ones of the rows that fit into the room, at least one."""
    count = len(rows)
    while count > 1:
        chosen = rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]
        total = int(sizes[chosen].sum())
        if total <= room:
            return chosen
        count = max(1, min(count - 1, int(count * room / total)))
    return rows[:count]
