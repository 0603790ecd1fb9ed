"""Word alignments and their error rate against gold links (Och & Ney 2003). https://aclanthology.org/J03-1002"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.statistics.tests import Values, ratio_interval

Link: TypeAlias = tuple[int, int]  # a source word and a target word, each counted from 0


@dataclass(frozen=True)
class Gold:
    """The links of one sentence pair that people have drawn.

    Args:
        sure: those that every alignment should have.
        possible: further ones, which are neither right nor wrong; sure links may be among them.
    """

    sure: frozenset[Link]
    possible: frozenset[Link] = frozenset()

    @property
    def allowed(self) -> frozenset[Link]:
        """The sure and the possible ones: Och & Ney's P, which contains S."""
        return self.sure | self.possible


class LinkCounts(NamedTuple):
    """Links of a sentence: proposed ones, sure ones, and proposed ones that are sure, or sure or possible."""

    proposed: int
    sure: int
    found: int
    allowed: int


@dataclass(frozen=True)
class ErrorRate:
    """Of a corpus.

    Args:
        aer: 1 - (|A∩S| + |A∩P|) / (|A| + |S|), where A are the proposed links, S the sure and P the allowed ones. NaN
            where there are neither proposed nor sure links.
        low: of the 95% bootstrap interval over sentences; NaN with fewer than two sentences, as is `high`.
        precision: |A∩P| / |A|; NaN without proposed links.
        recall: |A∩S| / |S|; NaN without sure links.
    """

    aer: float
    low: float
    high: float
    precision: float
    recall: float


def counts(proposed: Collection[Link], gold: Gold) -> LinkCounts:
    """Of one sentence; a link that is proposed twice counts once."""
    links = frozenset(proposed)
    return LinkCounts(len(links), len(gold.sure), len(links & gold.sure), len(links & gold.allowed))


def error_rates(counted: NDArray) -> list[ErrorRate]:
    """`[sentence, cell, count]`, the last in the order of `LinkCounts`, to one rate for each cell: ratios of sums.

    All cells see the same draws of sentences.
    """
    proposed, sure, found, allowed = np.moveaxis(np.asarray(counted, dtype=float), -1, 0)  # [sentence, cell] each
    right, total = found + allowed, proposed + sure
    intervals = 1 - ratio_interval(right, total)[:, ::-1]  # [cell, 2]
    columns = (1 - _ratio(right, total), *intervals.T, _ratio(allowed, proposed), _ratio(found, sure))
    return [ErrorRate(*map(float, values)) for values in zip(*columns, strict=True)]


def error_rate(proposed: Sequence[Collection[Link]], gold: Sequence[Gold]) -> ErrorRate:
    """Of the alignments of a corpus, sentence by sentence."""
    pairs = zip(proposed, gold, strict=True)
    (rate,) = error_rates(np.array([[counts(links, one)] for links, one in pairs]).reshape(len(gold), 1, 4))
    return rate


def _ratio(above: Values, below: Values) -> Values:
    """Of sums over sentences, `[sentence, cell] -> [cell]`; NaN where the lower sum is 0."""
    totals = below.sum(axis=0)
    return np.divide(above.sum(axis=0), totals, out=np.full(totals.shape, np.nan), where=totals > 0)
