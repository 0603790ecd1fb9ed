"""Intervals and tests over examples: how certain a mean is, and which means differ significantly."""

import math
from collections.abc import Iterator

import networkx as nx
import numba
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

LEVEL = 0.95
ALPHA = 0.05
DRAWS = 10_000
CHUNK = 2**22  # numbers in one block of random draws
RADEMACHER = 1 / (4 * ndtr(-math.sqrt(2)))  # 3.179, the constant of Bentkus & Dzindzalieta

Values = NDArray[np.float64]


def mean_interval(
    values: Values, clusters: NDArray | None = None, draws: int = DRAWS, level: float = LEVEL, seed: int = 0
) -> Values:
    """Percentile bootstrap interval of each column's mean over examples, `[example, cell] -> [cell, 2]`.

    NaN is left out of its cell's mean. All cells see the same draws. Examples of one cluster, `[example]`, are
    resampled together. A cell with defined values in fewer than two clusters has no interval: NaN. Efron & Tibshirani
    1993, chapter 13.
    """
    values = np.asarray(values, dtype=float)
    defined = ~np.isnan(values)
    sums, counts = _by_cluster(np.where(defined, values, 0.0), clusters), _by_cluster(defined.astype(float), clusters)
    return ratio_interval(sums, counts, draws, level, seed)


def ratio_interval(above: Values, below: Values, draws: int = DRAWS, level: float = LEVEL, seed: int = 0) -> Values:
    """Percentile bootstrap interval of each column's ratio of sums over clusters, `[cluster, cell] -> [cell, 2]`.

    As `mean_interval`; a cell whose denominator is above zero in fewer than two clusters has no interval: NaN.
    """
    n = len(below)
    if n == 0:
        return np.full((below.shape[1], 2), np.nan)
    generator = np.random.default_rng(seed)
    ratios = []
    step = max(1, CHUNK // max(n, 1))
    for start in range(0, draws, step):
        count = min(step, draws - start)
        weights = generator.multinomial(n, np.full(n, 1 / n), size=count).astype(float)  # [draw, cluster]
        with np.errstate(invalid="ignore"):  # a draw may hold none of a cell's defined values
            ratios.append((weights @ above) / (weights @ below))
    tail = (1 - level) / 2
    drawn = np.concatenate(ratios) if ratios else np.empty((0, below.shape[1]))
    enough = (below > 0).sum(axis=0) > 1
    ends = np.full((below.shape[1], 2), np.nan)
    if enough.any():
        quantile = np.nanquantile if np.isnan(drawn[:, enough]).any() else np.quantile
        ends[enough] = quantile(drawn[:, enough], [tail, 1 - tail], axis=0).T
    return ends


def share_interval(successes: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's interval of a share (1927); `successes` may count a tie as a half. NaN without trials."""
    if n == 0:
        return float("nan"), float("nan")
    z = ndtri((1 + level) / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))


def sign_flip(differences: Values, clusters: NDArray | None = None, draws: int = DRAWS, seed: int = 0) -> Values:
    """Two-sided p-values that columns of paired differences have mean zero, `[example, pair] -> [pair]`.

    See `pairwise_sign_flip`: a difference is one cell compared with a cell of zeros.
    """
    differences = np.asarray(differences, dtype=float)
    beside_zero = np.hstack([differences, np.zeros((len(differences), 1))])
    return pairwise_sign_flip(beside_zero, clusters, draws, seed)[:-1, -1]


def pairwise_sign_flip(values: Values, clusters: NDArray | None = None, draws: int = DRAWS, seed: int = 0) -> Values:
    """Two-sided p-values of the hypothesis that two cells have the same mean, for all pairs on their common examples.

    `[example, cell] -> [cell, cell]`, symmetric. The signs of the paired differences are flipped, those of a
    cluster, `[example]`, together: all sign patterns if there are no more than `draws`, else `draws` random ones and
    the observed one (Fisher 1935; Phipson & Smyth 2010). Random draws cannot resolve p-values below 1 / (draws + 1),
    which a correction for thousands of pairs needs; where the bound 2 * 3.18 * P(Z > z) on the exact p-value
    (Bentkus & Dzindzalieta 2015, https://arxiv.org/abs/1402.1414, z the observed sum over the root of the sum of
    squares) is below that, it is taken. NaN on the diagonal and where a pair has no common example.
    """
    values = np.asarray(values, dtype=float)
    cells = values.shape[1]
    p = np.full((cells, cells), np.nan)
    if values.size == 0:
        return p
    defined = ~np.isnan(values)
    filled = np.where(defined, values, 0.0)
    patterns, pattern = np.unique(defined, axis=1, return_inverse=True)  # cells that are defined on the same examples
    members = [np.flatnonzero(pattern.ravel() == index) for index in range(patterns.shape[1])]
    n = len(_by_cluster(filled[:, :1], clusters))
    exact = n <= math.log2(draws)
    if len(members) > max(2, cells / 2):
        return _pair_by_pair(values, clusters, exact, draws, seed)
    blocks = []
    for first in range(len(members)):
        for second in range(first, len(members)):
            common = (patterns[:, first] & patterns[:, second])[:, None]
            if common.any():
                ours, theirs = (_by_cluster(filled[:, members[at]] * common, clusters) for at in (first, second))
                blocks.append(_Block(members[first], members[second], ours, theirs, exact))
    for signs in _signs(n, draws, seed):  # [draw, cluster]
        for block in blocks:
            block.count(signs)
    for block in blocks:
        of_block = _p_value(block.reached, block.z, n, exact, draws)
        p[np.ix_(block.first, block.second)] = of_block
        p[np.ix_(block.second, block.first)] = of_block.T
    np.fill_diagonal(p, np.nan)
    return p


def _p_value(reached: Values, z: Values, n: int, exact: bool, draws: int) -> Values:
    if exact:
        return np.minimum(reached / 2**n, 1.0)
    bound = 2 * RADEMACHER * ndtr(-z)
    p = reached / (draws + 1)
    return np.minimum(np.where(bound < 1 / (draws + 1), bound, p), 1.0)


def _pair_by_pair(values: Values, clusters: NDArray | None, exact: bool, draws: int, seed: int) -> Values:
    """The same for cells that are mostly defined on different examples: the work grows with the number of pairs."""
    cells = values.shape[1]
    p = np.full((cells, cells), np.nan)
    upper = np.triu_indices(cells, k=1)
    step = max(1, CHUNK // max(1, len(values)))
    for start in range(0, len(upper[0]), step):
        first, second = upper[0][start : start + step], upper[1][start : start + step]
        differences = values[:, first] - values[:, second]  # [example, pair]
        common = ~np.isnan(differences)
        ours, theirs, flipped = (
            _by_cluster(np.where(common, side, 0.0), clusters)
            for side in (values[:, first], values[:, second], differences)
        )
        observed = np.abs(flipped.sum(axis=0))
        squares = (flipped**2).sum(axis=0)
        squares[squares <= 1e-9 * ((ours**2).sum(axis=0) + (theirs**2).sum(axis=0))] = np.inf  # as in `_Block`
        threshold = observed - 1e-12 * (np.abs(ours).sum(axis=0) + np.abs(theirs).sum(axis=0) + 1)
        reached = np.full(len(first), 0.0 if exact else 1.0)
        for signs in _signs(len(flipped), draws, seed):
            for part in np.array_split(signs, max(1, len(signs) * len(first) // CHUNK)):
                reached += (np.abs(part @ flipped) >= threshold).sum(axis=0)
        of_pairs = _p_value(reached, observed / np.sqrt(squares), len(flipped), exact, draws)
        p[first, second] = p[second, first] = np.where(common.any(axis=0), of_pairs, np.nan)
    return p


class _Block:
    """All pairs of two groups of cells, and how many of their flips reach the observed difference."""

    def __init__(self, first: NDArray, second: NDArray, ours: Values, theirs: Values, exact: bool):
        self.first, self.second = first, second
        self.ours, self.theirs = ours, theirs  # [cluster, cell]
        observed = np.abs(ours.sum(axis=0)[:, None] - theirs.sum(axis=0)[None, :])  # [cell, cell]
        whole = (ours**2).sum(axis=0)[:, None] + (theirs**2).sum(axis=0)[None, :]
        squares = whole - 2 * ours.T @ theirs
        squares[squares <= 1e-9 * whole] = np.inf  # what cancels this far is rounding, and would promise too much
        self.z = observed / np.sqrt(squares)
        scale = np.abs(ours).sum(axis=0)[:, None] + np.abs(theirs).sum(axis=0)[None, :]
        self.threshold = observed - 1e-12 * (scale + 1)  # a pattern that repeats the observed one must count
        self.reached = np.full(
            observed.shape, 0.0 if exact else 1.0
        )  # the observed pattern counts as one of the random ones

    def count(self, signs: Values) -> None:
        _count_reached(signs @ self.ours, signs @ self.theirs, self.threshold, self.reached)


@numba.njit(cache=True, nogil=True)
def _count_reached(ours: Values, theirs: Values, threshold: Values, reached: Values) -> None:
    for draw in range(ours.shape[0]):
        for first in range(ours.shape[1]):
            for second in range(theirs.shape[1]):
                reached[first, second] += abs(ours[draw, first] - theirs[draw, second]) >= threshold[first, second]


def _signs(n: int, draws: int, seed: int) -> Iterator[NDArray]:
    """Blocks of sign patterns, `[draw, cluster]`: all of them, or random ones."""
    if n <= math.log2(draws):
        yield 1.0 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
        return
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK // n)
    for start in range(0, draws, step):
        yield 1.0 - 2.0 * generator.integers(0, 2, size=(min(step, draws - start), n), dtype=np.int8)


def _by_cluster(values: Values, clusters: NDArray | None) -> Values:
    """Sums over the examples of each cluster, `[example, cell] -> [cluster, cell]`."""
    if clusters is None:
        return values
    _, index = np.unique(np.asarray(clusters), return_inverse=True)
    if index.max(initial=-1) + 1 == len(values):
        return values
    sums = np.zeros((index.max() + 1, values.shape[1]))
    np.add.at(sums, index, values)
    return sums


def holm(p: Values) -> Values:
    """P-values corrected for their number by Holm's step-down procedure (1979); NaN stays and does not count."""
    p = np.asarray(p, dtype=float)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known])]
    corrected = np.full(len(p), np.nan)
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps)) if len(order) else steps
    return corrected


def holm_of_pairs(p: Values) -> Values:
    """Holm's correction over the pairs of a symmetric matrix, `[cell, cell] -> [cell, cell]`."""
    corrected = np.full(p.shape, np.nan)
    upper = np.triu_indices(len(p), k=1)
    corrected[upper] = holm(p[upper])
    return np.fmax(corrected, corrected.T)


def indistinguishable(p: Values, means: Values) -> list[list[int]]:
    """The largest groups of cells in which no two differ significantly, best mean first.

    Args:
        p: corrected p-values, `[cell, cell]`; a pair that cannot be tested (NaN) counts as different.
        means: `[cell]`; a cell without one (NaN) is in no group.
    """
    graph = nx.Graph()
    cells = [cell for cell in np.argsort(-means, kind="stable").tolist() if not np.isnan(means[cell])]
    graph.add_nodes_from(cells)
    graph.add_edges_from(
        (first, second)
        for place, first in enumerate(cells)
        for second in cells[place + 1 :]
        if p[first, second] >= ALPHA
    )
    place = {cell: index for index, cell in enumerate(cells)}
    groups = [sorted(group, key=place.__getitem__) for group in nx.find_cliques(graph)]
    return sorted(groups, key=lambda group: [place[cell] for cell in group])


def effect_size(first: Values, second: Values) -> float:
    """Cohen's d of paired differences: their mean over their standard deviation; NaN where that is only rounding."""
    difference = first - second
    difference = difference[~np.isnan(difference)]
    spread = difference.std(ddof=1) if len(difference) > 1 else 0.0
    rounding = 1e-12 * max(np.nanmax(np.abs(side), initial=0.0) for side in (first, second))
    return float(difference.mean() / spread) if spread > rounding else float("nan")
