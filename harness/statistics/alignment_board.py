"""Alignments of words made of an explainer's scores, and their error rate by layer and head.

A sentence pair has one example for each position of its target, teacher-forced, whose scores of the source's tokens
are a row. A source word's score is the sum of its tokens' scores, and a target word's row the mean of its pieces' rows.
Which row is a piece's is read in two ways (Kobayashi et al. 2020, section 5): the row that predicts it (`output`), or
the row at whose position it is the input, one later (`input`). https://aclanthology.org/2020.emnlp-main.574
"""

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.statistics.alignment import LinkCounts, error_rates
from harness.statistics.sentence_pairs import Mask, SentencePair, sentence_pairs
from harness.statistics.tests import Values

ROWS = ("output", "input")
LINKS = ("argmax", "threshold")
EVEN_SHARES = 1.0  # of a row's positive scores, in shares of an even distribution, from which on a word is linked
CELL = ["kind", "explainer", "layer", "head"]
CHOICE = [*CELL, "row", "links"]
BOARD = [*CHOICE, "aer", "low", "high", "precision", "recall", "sentences", "undefined"]
COUNTED = [*LinkCounts._fields, "words", "undefined"]


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
