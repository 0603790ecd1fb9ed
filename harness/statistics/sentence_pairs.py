"""Sentence pairs put together from a run's examples, of which each explains one position of a target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.statistics.alignment import Gold
from harness.statistics.tests import Values

MARKS = ("▁", "Ġ", "##", "@@", "</w>")  # of SentencePiece, byte-level BPE, WordPiece, subword-nmt and BPE
Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class SentencePair:
    """A sentence pair whose target words are all explained.

    Args:
        name: the cluster of its examples.
        examples: their ids, in the order of the target.
        predicts: the target word whose piece each of them predicts; -1 for none.
        reads: the target word whose piece each of them reads last; -1 for none.
        words: of each of the source's tokens; -1 for none.
        gold: its links.
        texts: word and text of each token of the source, and of each of the target but the last.
    """

    name: str
    examples: Sequence[str]
    predicts: NDArray[np.int64]
    reads: NDArray[np.int64]
    words: NDArray[np.int64]
    gold: Gold
    texts: tuple[Sequence[tuple[int, str]], Sequence[tuple[int, str]]]

    @property
    def source(self) -> NDArray[np.int64]:
        """The numbers of the source words that have tokens."""
        return np.unique(self.words[self.words >= 0])

    @property
    def target(self) -> NDArray[np.int64]:
        """The numbers of the target words that have tokens."""
        return np.unique(self.predicts[self.predicts >= 0])

    @property
    def names(self) -> tuple[list[str], list[str]]:
        """The words of the source and of the target, put together from their tokens' texts."""
        source, target = self.texts
        return _joined(self.source, source), _joined(self.target, target)

    def linked(self, links: frozenset[tuple[int, int]]) -> Mask:
        """Whether words are linked, `[target word, source word]`."""
        return np.array([[(int(one), int(other)) in links for one in self.source] for other in self.target], dtype=bool)

    def matrix(self, scores: Values, row: str) -> Values:
        """`[example, cell, source token] -> [cell, target word, source word]`; NaN where no piece has a row."""
        places = np.flatnonzero(self.words >= 0)
        pieces = (self.words[places, None] == self.source).astype(float)  # [source token, source word]
        by_word = scores[..., places] @ pieces  # [example, cell, source word]
        of = (self.predicts if row == "output" else self.reads) == self.target[:, None]  # [target word, example]
        rows = [by_word[one].mean(axis=0) if one.any() else np.full(by_word.shape[1:], np.nan) for one in of]
        return np.stack(rows, axis=1)


def sentence_pairs(examples: pd.DataFrame) -> list[SentencePair]:
    """Those of a run's table of examples that have gold links and whose target words are all explained.

    The examples of a pair are called after it, `<pair>-<index>`. Pairs with the same source are one cluster.
    """
    known = examples[(examples["source"] > 0) & examples["links"].notna()]
    own = known["example"].str.rpartition("-")[0] if len(known) else known["example"]
    pairs = (_sentence_pair(str(name), group) for (name, _), group in known.groupby(["cluster", own], sort=False))
    return [pair for pair in pairs if pair is not None and len(pair.target) and len(pair.source)]


def _sentence_pair(name: str, group: pd.DataFrame) -> SentencePair | None:
    ordered = group.assign(prefix=group["tokens"].map(len) - group["source"]).sort_values("prefix", kind="stable")
    last: Any = ordered.iloc[-1]
    source, explained = int(last["source"]), set(ordered["prefix"])
    if last["prefix"] != last["target_length"] - 1:  # the token of the target that an example predicts
        return None
    target = [*list(last["words"])[source:], last["next_word"]]  # [target token]
    first = next((place for place, word in enumerate(target) if word >= 0), len(target))
    if not explained.issuperset(range(first, len(target))) or len(explained) < len(ordered):
        return None
    texts = list(zip(last["words"], last["tokens"], strict=True))
    links = [((one["source"], one["target"]), one["sure"]) for one in last["links"]]
    return SentencePair(
        name,
        ordered["example"].tolist(),
        predicts=ordered["next_word"].to_numpy(),
        reads=np.array([target[prefix - 1] for prefix in ordered["prefix"]]),
        words=np.array(last["words"][:source]),
        gold=Gold(frozenset(pair for pair, sure in links if sure), frozenset(pair for pair, sure in links if not sure)),
        texts=(texts[:source], texts[source:]),
    )


def _joined(words: NDArray[np.int64], texts: Sequence[tuple[int, str]]) -> list[str]:
    """Each word's text from its pieces, without the marks of where words begin, end or go on."""
    names = []
    for word in words:
        name = "".join(text for one, text in texts if one == word)
        for mark in MARKS:
            name = name.replace(mark, "")
        names.append(name or "…")
    return names
