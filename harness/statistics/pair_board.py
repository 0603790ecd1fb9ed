"""Rows of pairs to means and intervals, by layer and head, and by number of tokens."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from harness.statistics.pairs import COEFFICIENTS, PAIR
from harness.statistics.tests import mean_interval

MEANS = ["n", "undefined", *(f"{name}{end}" for name in COEFFICIENTS for end in ("", "_low", "_high"))]
BY_LAYER = [*PAIR, "layer", "head", *MEANS]
BY_LENGTH = [*PAIR, "layer", "shortest", "longest", "tokens", *MEANS]
BINS = 10  # of sentence lengths, at most
IN_A_BIN = 8  # examples on average, at least


def pair_board(rows: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
    """Rows to one line per pair, layer and head: mean, 95% bootstrap interval, `n` defined examples, `undefined`.

    Head 0 of a pair with heads is the mean over heads: first within an example, over those that are defined. Clusters
    of examples are resampled together; an example without a row, because an explainer failed there, counts as
    undefined.
    """
    tables = [_lines(pair, part, examples) for pair, part in rows.groupby(PAIR, sort=False)]
    return pd.concat(tables, ignore_index=True).reindex(columns=BY_LAYER) if tables else pd.DataFrame(columns=BY_LAYER)


def pair_lengths(rows: pd.DataFrame, examples: pd.DataFrame, head_size: int | None = None) -> pd.DataFrame:
    """Rows to one line per pair, layer and bin of sentence lengths, in tokens, special ones counted.

    At most ten bins, `shortest` to `longest`, fewer where there are few examples, all of one width; one of them ends
    at the head's dimension if it is known. `tokens` is the mean length of a bin's examples. For a pair with heads, the
    mean over heads.
    """
    lengths = examples.drop_duplicates("example").set_index("example")["ranked"].map(len)
    most = min(BINS, max(4, len(lengths) // IN_A_BIN))
    tables = []
    for pair, part in rows.groupby(PAIR, sort=False):
        for shortest, longest in bins(int(lengths.min()), int(lengths.max()), head_size or 0, most):
            inside = lengths.index[lengths.between(shortest, longest)]
            of = part[part["example"].isin(inside)]
            if len(of):
                lines = _lines(pair, of, examples[examples["example"].isin(inside)])
                bin_of = {"shortest": shortest, "longest": longest, "tokens": lengths[inside].mean()}
                tables.append(lines[lines["head"] == 0].assign(**bin_of))
    return (
        pd.concat(tables, ignore_index=True).reindex(columns=BY_LENGTH) if tables else pd.DataFrame(columns=BY_LENGTH)
    )


def bins(low: int, high: int, end: int, most: int) -> list[tuple[int, int]]:
    """First and last length of `most` bins or fewer, of one width, that hold all from low to high; `end` ends one."""
    width = 1
    while (high - end - 1) // width - (low - end - 1) // width >= most:
        width += 1
    numbers = range((low - end - 1) // width, (high - end - 1) // width + 1)
    return [(end + number * width + 1, end + (number + 1) * width) for number in numbers]


def _lines(pair: tuple[Hashable, ...], rows: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
    """The lines of one pair over the given examples, by layer and head."""
    clusters = examples.drop_duplicates("example").set_index("example")["cluster"]
    if (rows["head"] > 0).any():
        means = rows.groupby(["example", "layer"], sort=False)[list(COEFFICIENTS)].mean().reset_index()
        rows = pd.concat([means.assign(head=0), rows])
    wide = {name: rows.pivot(index="example", columns=["layer", "head"], values=name) for name in COEFFICIENTS}
    wide = {name: table.reindex(clusters.index).sort_index(axis=1) for name, table in wide.items()}
    lines = wide[COEFFICIENTS[0]].columns.to_frame(index=False)
    for name, table in wide.items():
        values = table.to_numpy(dtype=float)  # [example, cell]
        n = (~np.isnan(values)).sum(axis=0)  # the same of both coefficients
        lines["n"], lines["undefined"] = n, len(values) - n
        lines[name] = np.where(n, np.nansum(values, axis=0) / np.maximum(n, 1), np.nan)
        lines[f"{name}_low"], lines[f"{name}_high"] = mean_interval(values, clusters.to_numpy()).T
    names: dict[str, Any] = dict(zip(PAIR, pair, strict=True))
    return lines.assign(**names)
