"""How many examples would tell two means apart: the sample size of a paired comparison."""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from harness.statistics.leaderboard import TABLE, of_measures, with_clusters
from harness.statistics.ranking import is_validation
from harness.statistics.tests import ALPHA

POWER = 0.8
IDENTIFYING = ["explainer", "layer", "head", "kind", *TABLE]  # of a line of a ranking, the most selective first
ROUNDING = 1e-9  # of the standard deviation: a mean difference below this share of it is none


@dataclass(frozen=True)
class SampleSize:
    """What a paired comparison has, and what it would need.

    Args:
        needed: clusters; NaN where it is undefined, infinite where the two means are the same.
        clusters: there are now; where no two examples depend on each other, as many as `examples`.
        examples: on which both sides are defined.
        difference: the mean over these examples, first minus second; NaN without any.
    """

    needed: float
    clusters: int
    examples: int
    difference: float


def sample_size(
    differences: NDArray, clusters: NDArray | None = None, alpha: float = ALPHA, power: float = POWER
) -> SampleSize:
    """The number of pairs at which a two-sided test finds the observed mean difference with probability `power`.

    n = ((z(1 - alpha / 2) + z(power)) * sd / mean)^2, rounded up (Cohen 1988, chapter 2, for paired samples), from
    differences, `[example]`, in which NaN is left out. The differences of a cluster, `[example]`, are added up, as in
    the sign-flip test, and n counts clusters.

    Its limits: it is a normal approximation, a few pairs short where n is below about 30; the test is a single one, and
    a correction for many pairs asks for more; it takes the observed difference for the true one, which is often
    smaller if the pair was chosen after looking.
    """
    defined = ~np.isnan(differences)
    kept = differences[defined].astype(float)
    names = np.arange(len(kept)) if clusters is None else clusters[defined]
    _, index = np.unique(names, return_inverse=True)
    sums = np.bincount(index, weights=kept) if len(kept) else kept  # [cluster]
    mean = float(kept.mean()) if len(kept) else math.nan
    return SampleSize(_needed(sums, alpha, power), len(sums), len(kept), mean)


def sample_size_of_lines(
    rows: pd.DataFrame, examples: pd.DataFrame, first: Mapping[Hashable, object], second: Mapping[Hashable, object]
) -> SampleSize:
    """The sample size of two lines of one table of a ranking, from the rows and examples of which that was made.

    On the examples on which the ranking reports, those outside the validation part.
    """
    rows = of_measures(rows)
    sides = [_reported(rows, examples, line) for line in (first, second)]
    both = sides[0].merge(sides[1], left_index=True, right_index=True, suffixes=("_first", "_second"))
    differences = (both["value_first"] - both["value_second"]).to_numpy(dtype=float)
    found = sample_size(differences, both["cluster_first"].to_numpy())
    return replace(found, examples=both.index.get_level_values("example").nunique())  # however many model seeds


def _reported(rows: pd.DataFrame, examples: pd.DataFrame, line: Mapping[Hashable, object]) -> pd.DataFrame:
    """Value and cluster of one line by example and model seed."""
    for name in IDENTIFYING:
        rows = rows[rows[name] == line[name]]
    own = with_clusters(rows[rows["status"] == "ok"], examples)
    own = own[~is_validation(own["cluster"].to_numpy())]
    return own.set_index(["example", "model_seed"])[["value", "cluster"]]


def _needed(differences: NDArray, alpha: float, power: float) -> float:
    """From independent differences, `[cluster]`."""
    if len(differences) < 2:
        return math.nan
    mean, spread = float(differences.mean()), float(differences.std(ddof=1))
    if abs(mean) <= ROUNDING * max(spread, float(np.abs(differences).max())):
        return math.inf
    z = float(ndtri(1 - alpha / 2) + ndtri(power))
    return max(2.0, float(math.ceil((z * spread / mean) ** 2)))
