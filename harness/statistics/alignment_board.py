"""Alignments of words made of an explainer's scores, and their error rate by layer and head.

A sentence pair has one example for each position of its target, teacher-forced, whose scores of the source's tokens
are a row. A source word's score is the sum of its tokens' scores, and a target word's row the mean of its pieces' rows.
Which row is a piece's is read in two ways (Kobayashi et al. 2020, section 5): the row that predicts it (`output`), or
the row at whose position it is the input, one later (`input`). https://aclanthology.org/2020.emnlp-main.574
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.statistics.alignment import Gold, LinkCounts, error_rates
from harness.statistics.tests import Values

ROWS = ("output", "input")
LINKS = ("argmax", "threshold")
EVEN_SHARES = 1.0  # of a row's positive scores, in shares of an even distribution, from which on a word is linked
CELL = ["kind", "explainer", "layer", "head"]
CHOICE = [*CELL, "row", "links"]
BOARD = [*CHOICE, "aer", "low", "high", "precision", "recall", "sentences", "undefined"]
COUNTED = [*LinkCounts._fields, "words", "undefined"]
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


def proposed(matrix: Values, links: str, even_shares: float = EVEN_SHARES) -> tuple[Mask, Mask]:
    """The links that scores `[..., target word, source word]` propose, and which words' rows are undefined.

    `argmax` links each target word with the source word of the highest signed score, the first of those that tie.
    `threshold` links it with every one whose share of the row's positive scores is at least `even_shares` times 1 / the
    number of source words. A row that is not finite, or is the same for all of several words, or for `threshold` has no
    positive score, is undefined: no link.
    """
    n = matrix.shape[-1]
    undefined = np.asarray(~np.isfinite(matrix).all(axis=-1))  # [..., target word]
    known = np.where(undefined[..., None], 0.0, matrix)
    if n > 1:
        undefined |= np.ptp(known, axis=-1) <= 1e-12 * np.abs(known).max(axis=-1)
    if links == "argmax":
        found = np.arange(n) == known.argmax(axis=-1)[..., None]
    else:
        positive = np.maximum(known, 0.0)
        total = positive.sum(axis=-1)
        undefined |= total == 0
        found = (positive > 0) & (positive * n >= (1 - 1e-9) * even_shares * total[..., None])
    return found & ~undefined[..., None], undefined


def alignment_rows(examples: pd.DataFrame, scores: pd.DataFrame, floors: Collection[str] = ()) -> pd.DataFrame:
    """The counts of each sentence pair, explainer or reference, layer, head, reading of rows and choice of links.

    Columns sentence, `CHOICE` and `COUNTED`; empty where no pair has gold links and is explained as a whole. The
    explainers in `floors` have that kind.
    """
    columns = ["sentence", *CHOICE, *COUNTED]
    pairs = sentence_pairs(examples)
    if scores.empty or not pairs:
        return pd.DataFrame(columns=columns)
    cells, by_example = _cells(scores)
    cells.loc[(cells["kind"] == "explainer") & cells["explainer"].isin(list(floors)), "kind"] = "floor"
    tables = []
    for pair, held in _scored(pairs, by_example, len(cells)):
        sure, allowed = (pair.linked(links) for links in (pair.gold.sure, pair.gold.allowed))
        for row in ROWS:
            matrix = pair.matrix(held, row)
            for links in LINKS:
                found, undefined = proposed(matrix, links)  # [cell, target word, source word], [cell, target word]
                counted = {
                    "proposed": found.sum(axis=(1, 2)),
                    "sure": len(pair.gold.sure),
                    "found": (found & sure).sum(axis=(1, 2)),
                    "allowed": (found & allowed).sum(axis=(1, 2)),
                    "words": len(pair.target),
                    "undefined": undefined.sum(axis=1),
                }
                tables.append(cells.assign(sentence=pair.name, row=row, links=links, **counted))
    return pd.concat(tables, ignore_index=True)[columns]


def alignment_board(rows: pd.DataFrame) -> pd.DataFrame:
    """`alignment_rows` to one line for each explainer, layer, head, reading of rows and choice of links: `BOARD`.

    Rates are over the corpus, with a 95% bootstrap interval of the error rate over sentence pairs; those of a pair that
    several runs explain are added. `undefined` counts target words without a link because their row is undefined; NaN
    where that is all of them.
    """
    if rows.empty:
        return pd.DataFrame(columns=BOARD)
    whole = rows.groupby(["sentence", *CHOICE], sort=False)[COUNTED].sum().reset_index()
    cell, cells = _numbered(whole, CHOICE)
    sentence = pd.factorize(whole["sentence"])[0]
    counted = np.zeros((sentence.max() + 1, len(cells), len(COUNTED)))
    counted[sentence, cell] = whole[COUNTED].to_numpy(dtype=float)
    sentences = np.bincount(cell, minlength=len(cells))
    words, undefined = counted[..., -2].sum(axis=0), counted[..., -1].sum(axis=0)
    rates = pd.DataFrame(error_rates(counted[..., : len(LinkCounts._fields)]))
    rates[words == undefined] = np.nan
    return cells.join(rates).assign(sentences=sentences, undefined=undefined.astype(int))[BOARD]


def pair_matrices(
    examples: pd.DataFrame, scores: pd.DataFrame, row: str, most: int
) -> list[tuple[SentencePair, Values]]:
    """The first sentence pairs, at most so many, each with `[target word, source word]` of one cell's scores."""
    cells, by_example = _cells(scores)
    if len(cells) != 1:
        raise ValueError(f"expected the scores of one method, layer and head, got {len(cells)}: choose one")
    return [(pair, pair.matrix(held, row)[0]) for pair, held in _scored(sentence_pairs(examples)[:most], by_example, 1)]


def _cells(scores: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, list[tuple[int, Values]]]]:
    """The kinds of scores, a line each, and each example's scores by the number of that line."""
    cell, cells = _numbered(scores.rename(columns={"method": "explainer"}), CELL)
    by_example: dict[str, list[tuple[int, Values]]] = {}
    for number, example, values in zip(cell, scores["example"], scores["scores"], strict=True):
        by_example.setdefault(example, []).append((int(number), values))
    return cells, by_example


def _scored(
    pairs: Sequence[SentencePair], by_example: dict[str, list[tuple[int, Values]]], cells: int
) -> Iterator[tuple[SentencePair, Values]]:
    """Each sentence pair with its scores, `[example, cell, source token]`; NaN where a method gave none."""
    for pair in pairs:
        held = np.full((len(pair.examples), cells, len(pair.words)), np.nan)
        for index, example in enumerate(pair.examples):
            for number, values in by_example.get(example, ()):
                held[index, number] = values[: len(pair.words)]
        yield pair, held


def _numbered(table: pd.DataFrame, columns: list[str]) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """The number of each line's combination of values, and the combinations, in the order of their first lines."""
    cells = table[columns].drop_duplicates().reset_index(drop=True)
    numbers = pd.MultiIndex.from_frame(cells).get_indexer(pd.MultiIndex.from_frame(table[columns]))
    return np.asarray(numbers), cells
