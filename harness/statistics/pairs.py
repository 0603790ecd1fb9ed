"""Pairs of explainers: how far the scores of one agree with those of the other, example by example.

Brunner et al. 2020 hold raw against effective attention by Pearson's correlation and the number of tokens; longer
sentences than a head has dimensions do not tell which attention made them. https://arxiv.org/abs/1908.04211. Pascual et
al. 2021 hold the attention of single heads against the attribution of their outputs, and find a mismatch that the
mixing of context brings about, and some patterns that persist through all layers. Their numbers are not given here:
only abstracts and a caption could be read. https://arxiv.org/abs/2004.05916
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from harness.statistics.correlation import MINIMUM, spearman_by_layer

PAIR = ["first", "second"]
COEFFICIENTS = ("rho", "pearson")
COLUMNS = ["example", *PAIR, "layer", "head", "n_tokens", *COEFFICIENTS, "status"]
CHUNK = 2**22  # numbers in one block of scores


def check_pairs(pairs: Any, explainers: Collection[str]) -> None:
    """Raise ValueError unless `pairs` is a list of lists of two different explainers, no pair twice."""
    form = "pairs is a list of lists of two explainers of the run, as in 'pairs=[[attention,effective_attention]]'"
    if isinstance(pairs, str) or not isinstance(pairs, Sequence):
        raise ValueError(f"{form}, got {pairs!r}")
    seen = set()
    for pair in pairs:
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise ValueError(f"{form}, got {pair!r} in it")
        for name in pair:
            if name not in explainers:
                raise ValueError(
                    f"pairs names {name!r}, which is no explainer of this run: add it, '+explainers=[{name}]', or take "
                    f"two of {', '.join(explainers)}"
                )
        if pair[0] == pair[1] or frozenset(pair) in seen:
            why = "the same explainer twice" if pair[0] == pair[1] else "a pair that is there already"
            raise ValueError(f"{form}, got {list(pair)} in it: {why}")
        seen.add(frozenset(pair))


def pair_rows(examples: Any, scores: Any, pairs: Sequence[Sequence[str]]) -> pd.DataFrame:
    """One row per pair, example, layer and head, from a run's tables of examples and scores; all are DataFrames.

    Scores of one layer and head are held against the other's of the same; what has no layers or no heads is held
    against every layer or head of the other. Correlated are the ranked tokens, `n_tokens` of them. A correlation is
    NaN, and `status` says why, where fewer than three tokens are ranked, a score is not finite, or a side is constant.
    An explainer has no rows where it failed.
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


def _side_by_side(first: Any, second: Any) -> pd.DataFrame:
    """Scores of the same example, layer and head, `ours` and `theirs`; layer or head 0 goes with each of the other."""
    axes = ("layer", "head")
    shared = [axis for axis in axes if (first[axis] > 0).any() and (second[axis] > 0).any()]
    both = first.merge(second, on=["example", *shared], suffixes=("_ours", "_theirs"))
    for axis in axes:
        if axis not in shared:
            both[axis] = both[[f"{axis}_ours", f"{axis}_theirs"]].max(axis=1)
    both = both.rename(columns={"scores_ours": "ours", "scores_theirs": "theirs"})
    return both[["example", *axes, "ours", "theirs"]]


def _correlated(ours: Sequence[Any], theirs: Sequence[Any], ranked: Sequence[Any]) -> dict[str, Any]:
    """The columns that follow from two sides' scores and the tokens that count, each `[row]`, ragged in tokens."""
    columns = {name: np.full(len(ranked), np.nan) for name in COEFFICIENTS}
    status = np.full(len(ranked), "ok", dtype=object)
    width = max(map(len, ranked))
    step = max(1, CHUNK // width)
    for start in range(0, len(ranked), step):
        part = slice(start, start + step)
        first, second, mask = (_padded(side[part], width) for side in (ours, theirs, ranked))
        mask = mask.bool()
        columns["rho"][part] = spearman_by_layer(first[:, None], second, mask)[:, 0].numpy()
        columns["pearson"][part] = pearson(first, second, mask).numpy()
        for reason, where in reversed(_reasons(first, second, mask)):  # the first reason stands
            status[part][where.numpy()] = reason
    return {"n_tokens": [int(np.sum(row)) for row in ranked], **columns, "status": status}


def pearson(first: Tensor, second: Tensor, ranked: Tensor) -> Tensor:
    """Pearson's correlation over the ranked tokens, float64, `[row, token] -> [row]`; NaN as in `spearman_by_layer`."""
    n = ranked.sum(dim=-1, keepdim=True)
    units = []
    for side in (first, second):
        side = side.double().masked_fill(~ranked, 0.0)
        side = side / side.abs().amax(dim=-1, keepdim=True)  # the squares of tiny scores would vanish
        side = (side - side.sum(dim=-1, keepdim=True) / n).masked_fill(~ranked, 0.0)
        units.append(side / side.norm(dim=-1, keepdim=True))
    undefined = torch.stack([where for _, where in _reasons(first, second, ranked)]).any(dim=0)
    return (units[0] * units[1]).sum(dim=-1).clamp(-1, 1).masked_fill(undefined, torch.nan)


def _reasons(first: Tensor, second: Tensor, ranked: Tensor) -> list[tuple[str, Tensor]]:
    """Why a correlation is undefined, and of which rows; the mean of a constant can differ from it by rounding."""

    def constant(side: Tensor) -> Tensor:
        return side.masked_fill(~ranked, torch.inf).amin(dim=-1) == side.masked_fill(~ranked, -torch.inf).amax(dim=-1)

    finite = ((torch.isfinite(first) & torch.isfinite(second)) | ~ranked).all(dim=-1)
    return [
        (f"fewer than {MINIMUM} tokens", ranked.sum(dim=-1) < MINIMUM),
        ("scores not finite", ~finite),
        ("constant scores", constant(first) | constant(second)),
    ]


def _padded(rows: Sequence[Any], width: int) -> Tensor:
    """`[row, token]`, zero behind a row's own tokens."""
    table = np.zeros((len(rows), width))
    for index, row in enumerate(rows):
        table[index, : len(row)] = row
    return torch.from_numpy(table)
