"""A head's queries and keys in one plane, where nearer means more attention (Yeh et al. 2023, AttentionViz)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec

import numpy as np
from scipy.spatial.distance import cdist

from harness import check
from harness.statistics.correlation import MINIMUM, Mask, Values, spearman_by_layer

REDUCTIONS = ("pca", "tsne", "umap")
_FACTORS = tuple(2.0 ** (step / 2) for step in sorted(range(-4, 5), key=abs))  # from 1 outwards, to 1/4 and 4


@dataclass(frozen=True)
class Plane:
    """Where a head's queries and keys lie, and how much of its attention that shows.

    Args:
        queries: of each example, `[query, 2]`.
        keys: of each example, `[key, 2]`.
        scale: by which queries are multiplied and keys divided.
        explained: the share of the variance of queries and keys that is in the plane; NaN where it is not linear.
        agreement: Spearman's rho of nearness with the product of query and key, over all pairs.
        agreement_by_query: the mean of the same over the keys of one query; those that see fewer than three do not
            count.
    """

    queries: Sequence[Values]
    keys: Sequence[Values]
    scale: float
    explained: float
    agreement: float
    agreement_by_query: float

    @property
    def shows(self) -> dict[str, float]:
        """All but the places."""
        return {name: getattr(self, name) for name in ("scale", "explained", "agreement", "agreement_by_query")}


def check_reduction(how: str) -> None:
    """Raise ValueError unless `how` is one of `REDUCTIONS` and can be used here."""
    check.choice("projection", how, REDUCTIONS)
    if how == "umap" and not _installed("umap"):
        raise ValueError("projection=umap needs umap-learn: pip install umap-learn, or choose projection=pca or tsne")


def plane(
    queries: Sequence[Values], keys: Sequence[Values], visible: Sequence[Mask], how: str = "pca", seed: int = 0
) -> Plane:
    """The plane of one head's queries and keys, of all examples together.

    Distances stand for attention since ||q - k||^2 = |q|^2 + |k|^2 - 2 q.k. Two changes make them do so better, and no
    attention weight another: the keys' mean is subtracted, which adds the same number to all logits of a query; and
    queries are multiplied by what keys are divided by. That scale is the one that makes their mean squared norms equal,
    times the factor of a grid from 1/4 to 4 with which nearness in the plane of principal components agrees best
    with q.k.

    Args:
        queries: of each example, `[query, size]`.
        keys: of each example, `[key, size]`.
        visible: of each example, `[query, key]`, the keys that each query sees.
        how: one of `REDUCTIONS`; all but `pca` place the points that have the scale found for `pca`.
        seed: of t-SNE and UMAP.
    """
    check_reduction(how)
    centred = [one - np.concatenate(keys).mean(axis=0) for one in keys]
    products = [query @ key.T for query, key in zip(queries, centred, strict=True)]
    equal = equal_norms(np.concatenate(queries), np.concatenate(centred))

    def placed(scale: float, how: str) -> Plane:
        points = np.concatenate([*(one * scale for one in queries), *(one / scale for one in centred)])
        places, explained = principal(points) if how == "pca" else (_embedded(points, how, seed), np.nan)
        ends = np.cumsum([len(one) for one in (*queries, *centred)])[:-1]
        parts = np.split(places, ends)
        found = Plane(parts[: len(queries)], parts[len(queries) :], scale, explained, np.nan, np.nan)
        return replace(found, **_agreements(found, products, visible))

    planes = [placed(equal * factor, "pca") for factor in _FACTORS]
    best = max(planes, key=lambda one: -np.inf if np.isnan(one.agreement) else one.agreement)
    return best if how == "pca" else placed(best.scale, how)


def equal_norms(queries: Values, keys: Values) -> float:
    """The scale at which queries and keys have the same mean squared norm; 1 where either are all zero."""
    of_queries, of_keys = (float((one**2).sum(axis=1).mean()) for one in (queries, keys))
    return (of_keys / of_queries) ** 0.25 if of_queries > 0 and of_keys > 0 else 1.0


def principal(points: Values) -> tuple[Values, float]:
    """Points `[point, size]` on their first two principal components, `[point, 2]`, and these two's share of variance.

    A component's largest entry is positive, so that the same points always have the same places.
    """
    centred = points - points.mean(axis=0)
    _, sizes, components = np.linalg.svd(centred, full_matrices=False)
    largest = components[np.arange(len(components)), np.abs(components).argmax(axis=1)]
    axes = components[:2] * np.where(largest[:2] < 0, -1.0, 1.0)[:, None]
    places = np.zeros((len(points), 2))
    places[:, : len(axes)] = centred @ axes.T  # a single dimension is a line
    total = (sizes**2).sum()
    return places, float((sizes[:2] ** 2).sum() / total) if total > 0 else np.nan


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # what Python says of a module that another program has blocked
        return False


def _embedded(points: Values, how: str, seed: int) -> Values:
    if how == "umap":
        from umap import UMAP  # pyright: ignore[reportMissingImports]  # not installed with Assay

        neighbours = min(15, len(points) - 1)
        return UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1).fit_transform(points).astype(float)
    from sklearn.manifold import TSNE  # slow to import

    perplexity = min(30.0, (len(points) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(points).astype(float)


def _agreements(found: Plane, products: Sequence[Values], visible: Sequence[Mask]) -> dict[str, float]:
    near = [-cdist(query, key) for query, key in zip(found.queries, found.keys, strict=True)]  # [query, key] each
    pairs = np.concatenate([one[seen] for one, seen in zip(near, visible, strict=True)])
    theirs = np.concatenate([one[seen] for one, seen in zip(products, visible, strict=True)])
    over_all = spearman_by_layer(pairs[None, None], theirs[None], np.ones((1, len(pairs)), dtype=bool))
    by_query = [
        spearman_by_layer(ours[:, None], product, seen)[seen.sum(axis=1) >= MINIMUM]
        for ours, product, seen in zip(near, products, visible, strict=True)
    ]
    rho = np.concatenate(by_query)
    known = rho[~np.isnan(rho)]
    return {"agreement": float(over_all.item()), "agreement_by_query": float(known.mean()) if len(known) else np.nan}
