"""Intervals and tests over examples: what a mean is worth, and whether two means differ."""

import numpy as np
from scipy.special import ndtri

LEVEL = 0.95
DRAWS = 10_000
CHUNK = 2**24  # numbers in one block of random draws


def mean_interval(values: np.ndarray, draws: int = DRAWS, level: float = LEVEL, seed: int = 0) -> np.ndarray:
    """Percentile bootstrap interval of each column's mean over examples, `[example, cell] -> [cell, 2]`.

    NaN is left out of its cell's mean. All cells see the same draws of examples. A cell without two defined values has
    no interval: NaN. Efron & Tibshirani 1993, chapter 13.
    """
    values = np.asarray(values, dtype=float)
    defined = ~np.isnan(values)
    filled = np.where(defined, values, 0.0)
    n = len(values)
    generator = np.random.default_rng(seed)
    means = []
    step = max(1, CHUNK // max(n, 1))
    for start in range(0, draws, step):
        count = min(step, draws - start)
        weights = generator.multinomial(n, np.full(n, 1 / n), size=count).astype(float)  # [draw, example]
        with np.errstate(invalid="ignore"):  # a draw may hold none of a cell's defined values
            means.append((weights @ filled) / (weights @ defined))
    tail = (1 - level) / 2
    with np.errstate(invalid="ignore"):
        ends = np.nanquantile(np.concatenate(means), [tail, 1 - tail], axis=0).T
    return np.where((defined.sum(axis=0) > 1)[:, None], ends, np.nan)


def share_interval(successes: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's interval of a share (1927); `successes` may count a tie as a half. NaN without trials."""
    if n == 0:
        return float("nan"), float("nan")
    z = ndtri((1 + level) / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))


def sign_flip(differences: np.ndarray, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Two-sided p-values that columns of paired differences have mean zero, `[example, pair] -> [pair]`.

    Signs are flipped at random, the observed ones counted among them, so that p is never below 1 / (draws + 1); with
    few examples all sign patterns are tried instead. NaN is left out; a column without a defined value has p = NaN.
    Fisher 1935; Phipson & Smyth 2010.
    """
    differences = np.asarray(differences, dtype=float)
    filled = np.nan_to_num(differences)
    n = len(filled)
    observed = np.abs(filled.sum(axis=0))
    if n <= np.log2(draws):
        signs = 1.0 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)  # [pattern, example]
        reached = (np.abs(signs @ filled) >= observed - 1e-9).sum(axis=0) / 2**n
    else:
        generator = np.random.default_rng(seed)
        count = np.ones(filled.shape[1])
        step = max(1, CHUNK // n)
        for start in range(0, draws, step):
            size = min(step, draws - start)
            signs = 1.0 - 2.0 * generator.integers(0, 2, size=(size, n), dtype=np.int8)
            count += (np.abs(signs @ filled) >= observed - 1e-9).sum(axis=0)
        reached = count / (draws + 1)
    return np.where(np.isnan(differences).all(axis=0), np.nan, reached)


def holm(p: np.ndarray) -> np.ndarray:
    """P-values corrected for their number by Holm's step-down procedure (1979); NaN stays and is not counted."""
    p = np.asarray(p, dtype=float)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known])]
    corrected = np.full(len(p), np.nan)
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps)) if len(order) else steps
    return corrected
