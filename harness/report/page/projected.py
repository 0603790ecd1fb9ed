"""Queries and keys of a run's heads, each in its plane, as a page holds them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.report.page.packing import Content

SIDES = ("query", "key")


def projected(
    points: pd.DataFrame, planes: pd.DataFrame, numbers: Mapping[str, int]
) -> tuple[Content, NDArray[np.float32]]:
    """The planes, the points that the heads of one attention share, and where each head puts them, `[place, 2]`.

    Args:
        points: `PROJECTIONS`.
        planes: `PLANES`.
        numbers: of the page's examples, by id.
    """
    lists, shared, blocks, start = [], {}, [], 0
    places = dict(list(points.groupby(["attention", "layer", "head"], sort=False)))
    for plane in planes.to_dict("records"):
        own = places.get((plane["attention"], plane["layer"], plane["head"]))
        if own is None:
            continue
        shared.setdefault(
            str(plane["attention"]),
            {
                "example": own["example"].map(numbers).tolist(),
                "side": own["side"].map(SIDES.index).tolist(),
                "token": own["token"].tolist(),
            },
        )
        lists.append(
            {name: plane[name] for name in ("attention", "layer", "head", "explained", "agreement", "left_out")}
            | {"by_query": plane["agreement_by_query"], "start": start}
        )
        blocks.append(own[["x", "y"]].to_numpy(np.float32))
        start += len(own)
    return {"planes": lists, "points": shared}, shortened(
        np.concatenate(blocks) if blocks else np.empty((0, 2), np.float32)
    )


def shortened(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Numbers rounded to 11 binary places of their fraction, about 3.5 digits, so that they compress well."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    short = ((bits + np.uint32(1 << 11)) & np.uint32(0xFFFFF000)).view(np.float32)
    return np.where(np.isfinite(values), short, values)  # the bits of some NaN would become those of zero
