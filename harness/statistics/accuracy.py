"""How often a model is right, against guessing."""

from scipy.stats import binomtest

SURE = 1e-3


def below_chance(correct: int, n: int, classes: int) -> bool:
    """Whether a model is right less often than guessing among its classes would be, by a one-sided binomial test."""
    return n > 0 and bool(binomtest(correct, n, 1 / classes, alternative="less").pvalue < SURE)
