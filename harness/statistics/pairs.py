"""Pairs of explainers: how far their scores agree, example by example.

Brunner et al. 2020 compare raw with effective attention by Pearson's correlation and the number of tokens: in sentences
longer than a head has dimensions, the attention weights are not identifiable. https://arxiv.org/abs/1908.04211. Pascual
et al. 2021 compare the attention of single heads with the attribution of their outputs, and find that the mixing of
context makes them differ, while some patterns persist through all layers. Their numbers are not given here, because
only abstracts and a caption were available. https://arxiv.org/abs/2004.05916
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.statistics.correlation import MINIMUM, spearman_by_layer
from harness.statistics.padding import padded

PAIR = ["first", "second"]
COEFFICIENTS = ("rho", "pearson")
COLUMNS = ["example", *PAIR, "layer", "head", "n_tokens", *COEFFICIENTS, "status"]
CHUNK = 2**22  # numbers in one block of scores


def pair_rows(examples: pd.DataFrame, scores: pd.DataFrame, pairs: Sequence[Sequence[str]]) -> pd.DataFrame:
    """One row per pair, example, layer and head, from a run's tables of examples and scores.

    Scores are compared layer by layer and head by head; an explainer without layers or heads is compared with every
    layer or head of the other. The correlation is over the ranked tokens, `n_tokens` of them. It is NaN, and `status`
    says why, where fewer than three tokens are ranked, a score is not finite, or a side is constant. An explainer has
    no rows where it failed.
    """
    held = scores[scores["kind"] == "explainer"]
    tokens = examples.drop_duplicates("example").set_index("example")["ranked"]
    tables = []
    for first, second in pairs:
        both = _side_by_side(*(held[held["method"] == name] for name in (first, second)))
        if len(both):
            ranked = tokens.loc[both["example"]].tolist()
            columns = _correlated(both["ours"].tolist(), both["theirs"].tolist(), ranked)
            tables.append(both.assign(first=first, second=second, **columns)[COLUMNS])
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)


def _side_by_side(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Scores of the same example, layer and head, `ours` and `theirs`; 0 goes with each of the other's."""
    axes = ("layer", "head")
    shared = [axis for axis in axes if (first[axis] > 0).any() and (second[axis] > 0).any()]
    both = first.merge(second, on=["example", *shared], suffixes=("_ours", "_theirs"))
    for axis in axes:
        if axis not in shared:
            both[axis] = both[[f"{axis}_ours", f"{axis}_theirs"]].max(axis=1)
    both = both.rename(columns={"scores_ours": "ours", "scores_theirs": "theirs"})
    return both[["example", *axes, "ours", "theirs"]]


def _correlated(ours: Sequence[NDArray], theirs: Sequence[NDArray], ranked: Sequence[NDArray]) -> dict[str, NDArray]:
    """The columns that follow from two sides' scores and the tokens that count, each `[row]`, ragged in tokens."""
    columns: dict[str, NDArray] = {name: np.full(len(ranked), np.nan) for name in COEFFICIENTS}
    status = np.full(len(ranked), "ok", dtype=object)
    width = max(map(len, ranked))
    step = max(1, CHUNK // width)
    for start in range(0, len(ranked), step):
        part = slice(start, start + step)
        first, second, tokens = (padded(side[part], width) for side in (ours, theirs, ranked))
        mask = tokens.astype(bool)
        columns["rho"][part] = spearman_by_layer(first[:, None], second, mask)[:, 0]
        columns["pearson"][part] = pearson(first, second, mask)
        for reason, where in reversed(_reasons(first, second, mask)):  # the first reason counts
            status[part][where] = reason
    return {"n_tokens": np.array([int(np.sum(row)) for row in ranked]), **columns, "status": status}


def pearson(first: NDArray, second: NDArray, ranked: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Pearson's correlation over the ranked tokens, `[row, token] -> [row]`; NaN as in `spearman_by_layer`."""
    n = ranked.sum(axis=-1, keepdims=True)
    units = []
    with np.errstate(invalid="ignore", divide="ignore"):
        for side in (first, second):
            side = np.where(ranked, side, 0.0)
            side = side / np.abs(side).max(axis=-1, keepdims=True)  # the squares of tiny scores would vanish
            side = np.where(ranked, side - side.sum(axis=-1, keepdims=True) / n, 0.0)
            units.append(side / np.linalg.norm(side, axis=-1, keepdims=True))
        undefined = np.any([where for _, where in _reasons(first, second, ranked)], axis=0)
        return np.where(undefined, np.nan, np.clip((units[0] * units[1]).sum(axis=-1), -1, 1))


def _reasons(first: NDArray, second: NDArray, ranked: NDArray[np.bool_]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Why a correlation is undefined, and in which rows; the mean of a constant can differ from it by rounding."""

    def constant(side: NDArray) -> NDArray[np.bool_]:
        return np.where(ranked, side, np.inf).min(axis=-1) == np.where(ranked, side, -np.inf).max(axis=-1)

    finite = ((np.isfinite(first) & np.isfinite(second)) | ~ranked).all(axis=-1)
    return [
        (f"fewer than {MINIMUM} tokens", ranked.sum(axis=-1) < MINIMUM),
        ("scores not finite", ~finite),
        ("constant scores", constant(first) | constant(second)),
    ]
