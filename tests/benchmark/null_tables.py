"""Simulates what the tables' statistics promise: false alarms, coverage of the intervals, power, and seconds.

Run with `python -m tests.benchmark.null_tables`. Tables of Spearman's rho for 7 tokens, 200 examples, average ranks.
"""

import time

import numpy as np
from rich.console import Console
from scipy.stats import rankdata

from harness.cli.progress import bar
from harness.statistics.tests import ALPHA, holm_of_pairs, mean_interval, pairwise_sign_flip

TABLES, EXAMPLES, TOKENS = 1000, 200, 7


def rho(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Spearman's rho over the last axis."""
    ours, theirs = (rankdata(side, axis=-1) - (TOKENS + 1) / 2 for side in (scores, reference))
    return (ours * theirs).sum(axis=-1) / np.sqrt((ours**2).sum(axis=-1) * (theirs**2).sum(axis=-1))


def independent(generator: np.random.Generator, explainers: int) -> np.ndarray:
    """`[example, explainer]`: random scores against a random reference."""
    reference = generator.normal(size=(EXAMPLES, 1, TOKENS))
    return rho(generator.normal(size=(EXAMPLES, explainers, TOKENS)), reference)


def noisy(generator: np.random.Generator, explainers: int) -> np.ndarray:
    """`[example, explainer]`: the reference plus as much noise, drawn separately for each explainer."""
    reference = generator.normal(size=(EXAMPLES, 1, TOKENS))
    return rho(reference + generator.normal(size=(EXAMPLES, explainers, TOKENS)), reference)


def better(generator: np.random.Generator, gain: float) -> np.ndarray:
    """`[example, explainer]`: `noisy`, and a second explainer that is `gain` better on average.

    A share of its examples, as large as that takes, has half the noise.
    """
    reference = generator.normal(size=(EXAMPLES, 1, TOKENS))
    noise = generator.normal(size=(EXAMPLES, 2, TOKENS))
    share = gain / GAIN_OF_HALF
    noise[:, 1] *= np.where(generator.random(EXAMPLES) < share, 0.5, 1.0)[:, None]
    return rho(reference + noise, reference)


def mean_rho(noise: float) -> float:
    """Rho of the reference with noise of this standard deviation."""
    generator = np.random.default_rng(0)
    reference = generator.normal(size=(400_000, TOKENS))
    return float(rho(reference + noise * generator.normal(size=reference.shape), reference).mean())


GAIN_OF_HALF = mean_rho(0.5) - mean_rho(1.0)


def rejects(values: np.ndarray, seed: int) -> bool:
    """Whether any pair of a table differs after Holm's correction."""
    return bool((holm_of_pairs(pairwise_sign_flip(values, seed=seed)) < ALPHA).any())


def main() -> None:
    """Print the figures."""
    screen = Console(width=110)
    with bar("simulating", "tables") as progress:
        done, total = 0, TABLES * 7
        for name, draw, truth in (
            ("two random explainers", independent, 0.0),
            ("two noisy copies", noisy, mean_rho(1)),
        ):
            for explainers in (2, 6):
                false = held = cells = 0
                for table in range(TABLES):
                    values = draw(np.random.default_rng((table, explainers)), explainers)
                    false += rejects(values, table)
                    low, high = mean_interval(values, seed=table).T if explainers == 2 else (np.array([]),) * 2
                    held += int(((low <= truth) & (truth <= high)).sum())
                    cells += len(low)
                    done += 1
                    progress(done, total, "")
                noise = 2 * np.sqrt(ALPHA * (1 - ALPHA) / TABLES)
                text = (
                    f"{name}, {explainers} of them: {false / TABLES:.3f} of tables reject (at most {ALPHA + noise:.3f})"
                )
                screen.print(text + (f"; 95 % intervals hold the mean {held / cells:.3f}" if cells else ""))
        for gain in (0.02, 0.05, 0.1):
            found, gains = 0, []
            for table in range(TABLES):
                values = better(np.random.default_rng((table, int(1000 * gain))), gain)
                found += rejects(values, table)
                gains.append(values[:, 1].mean() - values[:, 0].mean())
                done += 1
                progress(done, total, "")
            screen.print(
                f"a difference of {gain:.2f} ({np.mean(gains):.3f} in the mean) is found in {found / TABLES:.3f}"
            )
    values = np.random.default_rng(0).normal(size=(2000, 20 * 12))
    start = time.perf_counter()
    mean_interval(values)
    holm_of_pairs(pairwise_sign_flip(values))
    screen.print(f"intervals and tests of 240 cells on 2,000 examples: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
