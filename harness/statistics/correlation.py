"""Rank agreement of scores with a reference, for every layer at once."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from harness import check

RANKS = ("average", "dense")
MINIMUM = 3  # tokens below which a rank correlation means nothing

Values: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]


def spearman_by_layer(scores: ArrayLike, reference: ArrayLike, ranked: ArrayLike, ranks: str = "average") -> Values:
    """Spearman's rho over the ranked tokens, in float64; NaN where it is undefined.

    Args:
        scores: `[batch, layer, token]`, or with any further axes between batch and token.
        reference: `[batch, token]`.
        ranked: `[batch, token]`, the tokens that count.
        ranks: `average` gives tied tokens the mean of their ranks, and a constant has no correlation. `dense` is the
            form of Abnar & Zuidema's program, 1 - 6 sum d^2 / (n (n^2 - 1)) on ranks without gaps: the same without
            ties, biased with them, and 1 for a constant with a constant.

    Returns:
        `[batch, layer]`, or the further axes of `scores`. NaN where fewer than three tokens are ranked, a ranked score
        is not finite, or (average ranks) either side is constant.
    """
    check.choice("ranks", ranks, RANKS)
    values, theirs, mask = _aligned(scores, reference, ranked)
    n = mask.sum(axis=-1).astype(float)  # [batch, 1]
    finite = (np.isfinite(values) | ~mask).all(axis=-1) & (np.isfinite(theirs) | ~mask).all(axis=-1)
    ours, theirs = (rankdata(_filled(side, mask), method=ranks, axis=-1) for side in (values, theirs))
    with np.errstate(invalid="ignore", divide="ignore"):
        if ranks == "dense":
            squares = np.where(mask, (ours - theirs) ** 2, 0.0).sum(axis=-1)
            rho = 1 - 6 * squares / (n * (n**2 - 1))
        else:
            ours, theirs = _centred(ours, mask, n), _centred(theirs, mask, n)
            product = (ours * theirs).sum(axis=-1)
            # 0 / 0 where a side is constant: NaN, as it should be
            rho = product / np.sqrt((ours**2).sum(axis=-1) * (theirs**2).sum(axis=-1))
    return np.where(finite & (n >= MINIMUM), rho, np.nan)


def spearman_between(scores: ArrayLike, ranked: ArrayLike) -> Values:
    """Spearman's rho of each method with each other over the ranked tokens, `[batch, method, method]`.

    As `spearman_by_layer` with each method as the reference, but each is ranked once.

    Args:
        scores: `[batch, method, token]`.
        ranked: `[batch, token]`.
    """
    values, _, mask = _aligned(scores, ranked, ranked)
    n = mask.sum(axis=-1).astype(float)  # [batch, 1]
    defined = (np.isfinite(values) | ~mask).all(axis=-1) & (n >= MINIMUM)  # [batch, method]
    centred = _centred(rankdata(_filled(values, mask), axis=-1), mask, n)
    with np.errstate(invalid="ignore", divide="ignore"):
        units = centred / np.sqrt((centred**2).sum(axis=-1, keepdims=True))  # NaN where a method is constant
        rho = units @ units.swapaxes(1, 2)
    return np.where(defined[:, :, None] & defined[:, None, :], rho, np.nan)


def partial_spearman_by_layer(scores: ArrayLike, reference: ArrayLike, ranked: ArrayLike) -> Values:
    """Spearman's rho given the token's position, `[batch, layer]`: what is left once both sides' trend is removed.

    Shapes as in `spearman_by_layer`. NaN also where a side is a function of position alone. Kendall 1942.
    """
    mask = np.asarray(ranked)
    position = np.broadcast_to(np.arange(mask.shape[1], dtype=float), mask.shape)
    both = spearman_by_layer(scores, reference, mask)
    ours = spearman_by_layer(scores, position, mask)
    theirs = spearman_by_layer(np.asarray(reference)[:, None], position, mask)[:, 0]
    theirs = theirs.reshape(-1, *[1] * (ours.ndim - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.sqrt(np.clip((1 - ours**2) * (1 - theirs**2), 0, None))
        return np.where(left < 1e-6, np.nan, (both - ours * theirs) / left)


def kendall_by_layer(scores: ArrayLike, reference: ArrayLike, ranked: ArrayLike) -> Values:
    """Kendall's tau-b, `[batch, layer]`, shapes and NaN as in `spearman_by_layer`."""
    values, theirs, mask, defined = _prepared(scores, reference, ranked)
    pairs = mask[..., :, None] & mask[..., None, :]
    signs = np.where(pairs, np.sign(theirs[..., :, None] - theirs[..., None, :]), 0.0)[:, 0]
    columns = []
    for ours in np.moveaxis(values, 1, 0):  # by layer: a pair of tokens is a number, and there are n * n of them
        own = np.where(pairs[:, 0], np.sign(ours[..., :, None] - ours[..., None, :]), 0.0)
        product = (own * signs).sum(axis=(-2, -1))
        with np.errstate(invalid="ignore", divide="ignore"):
            columns.append(product / np.sqrt((own**2).sum(axis=(-2, -1)) * (signs**2).sum(axis=(-2, -1))))
    return np.where(defined, np.stack(columns, axis=1).reshape(defined.shape), np.nan)


def top_overlap_by_layer(scores: ArrayLike, reference: ArrayLike, ranked: ArrayLike) -> Values:
    """The share of the reference's top quarter of tokens (rounded up) that is in the scores', `[batch, layer]`.

    Shapes and NaN as in `spearman_by_layer`. Tokens tied at the border share its places, so that the value is what
    breaking ties at random would give on average; random scores reach the quarter itself.
    """
    values, theirs, mask, defined = _prepared(scores, reference, ranked)
    size = np.ceil(mask.sum(axis=-1, keepdims=True) / 4)  # [batch, 1, 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        both = _top(values, mask, size) * _top(theirs, mask, size)
        overlap = both.sum(axis=-1) / size[..., 0]
    return np.where(defined, overlap.reshape(defined.shape), np.nan)


def tied_by_layer(scores: ArrayLike, ranked: ArrayLike) -> Values:
    """The share of ranked tokens whose score another one has too, `[batch, layer]`; NaN without ranked tokens."""
    values, _, mask = _aligned(scores, ranked, ranked)
    filled = _filled(values, mask)
    low, high = (rankdata(filled, method=side, axis=-1) for side in ("min", "max"))
    with np.errstate(invalid="ignore", divide="ignore"):
        return ((high > low) & mask).sum(axis=-1).astype(float) / mask.sum(axis=-1)


def _aligned(scores: ArrayLike, reference: ArrayLike, ranked: ArrayLike) -> tuple[Values, Values, Mask]:
    """Scores, and reference and ranked tokens with as many axes."""
    values = np.asarray(scores, dtype=float)
    shape = (len(values), *[1] * (values.ndim - 2), values.shape[-1])
    return values, np.asarray(reference, dtype=float).reshape(shape), np.asarray(ranked, dtype=bool).reshape(shape)


def _prepared(scores: ArrayLike, reference: ArrayLike, ranked: ArrayLike) -> tuple[Values, Values, Mask, Mask]:
    """Scores `[batch, layer * head, token]`, reference and ranked `[batch, 1, token]`, and where rho is defined."""
    values, theirs, mask = _aligned(scores, reference, ranked)
    defined = ~np.isnan(spearman_by_layer(values, reference, ranked))
    flat = (len(values), -1, values.shape[-1])
    numbers: Any = [np.nan_to_num(side, nan=0.0) for side in (values.reshape(flat), theirs.reshape(flat))]
    return numbers[0], numbers[1], mask.reshape(flat), defined


def _top(values: Values, ranked: Mask, size: Values) -> Values:
    """Each token's part in the top `size`: 1, 0, or at the border an equal share of the places that are left."""
    values = np.where(ranked, values, -np.inf)
    falling = -np.sort(-values, axis=-1)
    last = np.broadcast_to(np.maximum(size.astype(int) - 1, 0), (*values.shape[:-1], 1))
    border = np.take_along_axis(falling, last, axis=-1)
    above, at = values > border, values == border
    left = size - above.sum(axis=-1, keepdims=True)
    return np.where(ranked, above + at * left / at.sum(axis=-1, keepdims=True), 0.0)


def _filled(values: Values, ranked: Mask) -> Values:
    """What is not ranked sorts after everything; NaN is the caller's concern, but must not break the sorting."""
    return np.where(ranked, np.nan_to_num(values, nan=0.0, posinf=np.inf, neginf=-np.inf), np.inf)


def _centred(ranks: Values, ranked: Mask, n: Values) -> Values:
    mean = np.where(ranked, ranks, 0.0).sum(axis=-1) / n
    return np.where(ranked, ranks - mean[..., None], 0.0)
