"""The cells of one table on the same examples: which of them differ significantly, and which are above the floors."""

from dataclasses import dataclass
from functools import cached_property
from string import ascii_letters

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.statistics.tests import ALPHA, holm_of_pairs, indistinguishable, mean_interval, pairwise_sign_flip

NAME = ["kind", "explainer", "head", "layer"]  # of a cell in its table
COMPETING = ("explainer", "floor")  # a reference compared with another does not compete


@dataclass(frozen=True)
class Cells:
    """One table's values: explainers, floors and references, compared with one reference or measured by one metric.

    Args:
        names: a line per cell, columns `NAME`.
        values: `[example, cell]`, higher is better, NaN where undefined.
        clusters: `[example]`; examples of one cluster are not independent.
    """

    names: pd.DataFrame
    values: NDArray
    clusters: NDArray

    @cached_property
    def means(self) -> NDArray:
        """Over the defined examples, `[cell]`."""
        counts = (~np.isnan(self.values)).sum(axis=0)
        return np.where(counts, np.nansum(self.values, axis=0) / np.maximum(counts, 1), np.nan)

    @cached_property
    def intervals(self) -> NDArray:
        """95% bootstrap intervals of the means, `[cell, 2]`."""
        return mean_interval(self.values, self.clusters)

    @cached_property
    def p(self) -> NDArray:
        """Sign-flip p-values of all pairs of cells, Holm's correction over the table, `[cell, cell]`."""
        return holm_of_pairs(pairwise_sign_flip(self.values, self.clusters))

    def part(self, cells: NDArray | slice = slice(None), examples: NDArray | slice = slice(None)) -> "Cells":
        """Some cells on some examples."""
        names = self.names.iloc[cells].reset_index(drop=True)
        return Cells(names, self.values[examples][:, cells], self.clusters[examples])

    def best(self) -> NDArray:
        """Whether a cell is the best explainer's, or another explainer's that does not differ from it, `[cell]`.

        Floors and references do not compete.
        """
        means = np.where(self.names["kind"] == "explainer", self.means, np.nan)
        chosen = np.zeros(len(means), dtype=bool)
        if not np.isnan(means).all():
            top = int(np.nanargmax(means))
            chosen = (self.p[top] >= ALPHA) & ~np.isnan(means)
            chosen[top] = True
        return chosen

    def above_floors(self) -> NDArray:
        """Whether an explainer's cell is significantly above every floor of its layer or without layers, `[cell]`.

        True without floors; False for a floor itself. A floor that is defined nowhere does not count.
        """
        floor = (self.names["kind"] == "floor").to_numpy() & ~np.isnan(self.means)
        layer = self.names["layer"].to_numpy()
        below = (self.means[:, None] > self.means[None, :]) & (self.p < ALPHA)  # [cell, floor]
        concerns = floor[None, :] & ((layer[None, :] == 0) | (layer[None, :] == layer[:, None]))
        return (self.names["kind"] != "floor").to_numpy() & (below | ~concerns).all(axis=1)

    def letters(self, inside: NDArray) -> list[str]:
        """Letters for the cells `inside`: cells that share one do not differ significantly by the table's tests.

        The best group comes first. A cell without a mean has no letter, and neither have groups after the 52nd.
        """
        texts = [""] * len(inside)
        groups = indistinguishable(self.p[np.ix_(inside, inside)], self.means[inside])
        for letter, group in zip(ascii_letters, groups, strict=False):
            for cell in group:
                texts[cell] += letter
        return texts


def lower_is_better(rows: pd.DataFrame) -> bool:
    """Whether a table's rows hold a metric whose lower values are better."""
    higher = rows["higher"].iloc[0] if "higher" in rows else None
    return higher is not None and not higher


def the_references_own(rows: pd.DataFrame, names: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether all of a cell's defined scores are the reference's own, so that nothing is compared, `[cell]`."""
    if "same" not in rows:
        return np.zeros(len(names), dtype=bool)
    share = rows[rows["status"] == "ok"].groupby(NAME, sort=False)["same"].mean()
    return (share.reindex(pd.MultiIndex.from_frame(names)) == 1).to_numpy()


def cells(rows: pd.DataFrame) -> Cells:
    """The cells of rows of one task, model and measure, in the order of names and of the examples' ids.

    Rows have the columns `example`, `cluster`, `model_seed`, `status`, `value`, those of `NAME`, and for a metric
    `higher`, whether more is better. An example under another seed's model is another example of the same cluster.
    """
    value = rows["value"].where(rows["status"] == "ok")
    value = -value if lower_is_better(rows) else value
    wide = rows.assign(value=value).set_index(["cluster", "example", "model_seed", *NAME])["value"].unstack(NAME)
    wide = wide.sort_index(level=["example", "model_seed"]).sort_index(axis=1)
    names = wide.columns.to_frame(index=False)[NAME]
    return Cells(names, wide.to_numpy(dtype=float), wide.index.get_level_values("cluster").to_numpy())
