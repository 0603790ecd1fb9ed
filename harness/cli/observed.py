"""Warnings and seconds, collected while something runs."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from harness.tracing.notices import Inexact, Notice, RoundingNoise


@contextmanager
def noticed() -> Iterator[set[str]]:
    """The texts of Assay's own warnings inside; others stay silent. Complete once this is left."""
    texts: set[str] = set()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        for category in (RoundingNoise, Inexact, Notice):
            warnings.simplefilter("always", category)
        try:
            yield texts
        finally:
            texts.update(str(warning.message) for warning in caught)


@contextmanager
def timed(phases: dict[str, float], name: str) -> Iterator[None]:
    """The seconds spent inside, added to a phase's."""
    start = time.perf_counter()
    yield
    phases[name] = phases.get(name, 0.0) + time.perf_counter() - start
