"""In a plane, distances of queries and keys stand for attention."""

import sys
from importlib.util import find_spec

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.decomposition import PCA

from harness.statistics.plane import Plane, check_reduction, equal_norms, plane, principal

Head = tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]


def head(seed: int = 0, size: int = 8, lengths: tuple[int, ...] = (9, 6), shift: float = 0.0) -> Head:
    """Random queries, keys and visible keys; a causal mask in the second example."""
    draw = np.random.default_rng(seed)
    queries = [draw.normal(size=(n, size)) for n in lengths]
    keys = [3 * draw.normal(size=(n, size)) + shift for n in lengths]
    visible = [np.ones((n, n), dtype=bool) if index == 0 else np.tri(n, dtype=bool) for index, n in enumerate(lengths)]
    return queries, keys, visible


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def near(found: Plane, index: int) -> np.ndarray:
    """Minus each query's distance from each key."""
    return -np.linalg.norm(found.queries[index][:, None] - found.keys[index][None], axis=-1)


def test_neither_the_scale_nor_the_keys_mean_changes_attention():
    queries, keys, visible = head(shift=2.0)
    scale, mean = plane(queries, keys, visible).scale, np.concatenate(keys).mean(axis=0)
    for query, key in zip(queries, keys, strict=True):
        assert np.allclose(query * scale @ ((key - mean) / scale).T, query @ (key - mean).T)
        assert np.allclose(softmax(query * scale @ ((key - mean) / scale).T), softmax(query @ key.T))


def test_a_vector_added_to_all_keys_changes_no_place():
    first, second = plane(*head()), plane(*head(shift=5.0))
    assert first.scale == pytest.approx(second.scale)
    for one, other in zip([*first.queries, *first.keys], [*second.queries, *second.keys], strict=True):
        assert np.allclose(one, other)


def test_queries_times_a_number_and_keys_over_it_have_the_same_places():
    queries, keys, visible = head()
    first = plane(queries, keys, visible)
    second = plane([one * 7 for one in queries], [one / 7 for one in keys], visible)
    assert second.scale == pytest.approx(first.scale / 7)
    for one, other in zip([*first.queries, *first.keys], [*second.queries, *second.keys], strict=True):
        assert np.allclose(one, other)


def test_norms_are_equal_at_the_scale_for_that():
    queries, keys, _ = head()
    scale = equal_norms(queries[0], keys[0])
    assert ((queries[0] * scale) ** 2).sum() == pytest.approx(((keys[0] / scale) ** 2).sum())
    assert equal_norms(queries[0], 0 * keys[0]) == 1.0


def test_in_two_dimensions_the_plane_shows_everything():
    queries, keys, visible = head(size=2)
    found = plane(queries, keys, visible)
    assert found.explained == pytest.approx(1.0)
    mean = np.concatenate(keys).mean(axis=0)
    for index, (query, key) in enumerate(zip(queries, keys, strict=True)):
        given = np.linalg.norm(query[:, None] * found.scale - (key - mean)[None] / found.scale, axis=-1)
        assert np.allclose(-near(found, index), given)


def test_keys_of_one_norm_are_nearest_where_attention_is_highest():
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    keys = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    queries = 4 * np.random.default_rng(1).normal(size=(12, 2))
    found = plane([queries], [keys], [np.ones((12, 12), dtype=bool)])
    assert found.agreement_by_query == pytest.approx(1.0)
    assert np.array_equal(near(found, 0).argmax(axis=1), (queries @ keys.T).argmax(axis=1))


def test_the_principal_plane_is_scikit_learns_with_the_largest_entries_positive():
    points = np.random.default_rng(2).normal(size=(20, 6)) * np.arange(1, 7)
    places, explained = principal(points)
    theirs = PCA(2).fit(points)
    assert explained == pytest.approx(theirs.explained_variance_ratio_.sum())
    for ours, other, component in zip(places.T, theirs.transform(points).T, theirs.components_, strict=True):
        sign = np.sign(component[np.abs(component).argmax()])
        assert np.allclose(ours, sign * other)
    mirrored, _ = principal(-points)
    assert np.allclose(mirrored, -places)


def test_agreement_is_scipys_over_visible_pairs_alone():
    queries, keys, visible = head(3)
    found = plane(queries, keys, visible)
    mean = np.concatenate(keys).mean(axis=0)
    products = [query @ (key - mean).T for query, key in zip(queries, keys, strict=True)]
    pairs = [(near(found, index)[seen], products[index][seen]) for index, seen in enumerate(visible)]
    together = [np.concatenate(one) for one in zip(*pairs, strict=True)]
    assert found.agreement == pytest.approx(spearmanr(*together).statistic)
    rows = [
        spearmanr(near(found, index)[row, seen[row]], products[index][row, seen[row]]).statistic
        for index, seen in enumerate(visible)
        for row in range(len(seen))
        if seen[row].sum() >= 3
    ]
    assert len(rows) == 9 + 4
    assert found.agreement_by_query == pytest.approx(np.mean(rows))


@pytest.mark.parametrize("seed", range(5))
def test_the_scale_agrees_at_least_as_well_as_equal_norms(seed: int):
    queries, keys, visible = head(seed)
    found, mean = plane(queries, keys, visible), np.concatenate(keys).mean(axis=0)
    centred = [one - mean for one in keys]
    scale = equal_norms(np.concatenate(queries), np.concatenate(centred))
    assert 0.25 <= found.scale / scale <= 4
    places, _ = principal(np.concatenate([*(one * scale for one in queries), *(one / scale for one in centred)]))
    first, second, third, fourth = np.split(places, [9, 15, 24])
    pairs = [
        (-np.linalg.norm(query[:, None] - key[None], axis=-1)[seen], (raw @ own.T)[seen])
        for query, key, raw, own, seen in zip((first, second), (third, fourth), queries, centred, visible, strict=True)
    ]
    assert found.agreement >= spearmanr(*(np.concatenate(one) for one in zip(*pairs, strict=True))).statistic - 1e-9


def test_what_is_undefined_is_nan():
    one = [np.ones((1, 4))]
    found = plane(one, one, [np.ones((1, 1), dtype=bool)])
    assert np.isnan([found.agreement, found.agreement_by_query]).all()
    nothing = plane([np.zeros((3, 4))], [np.zeros((3, 4))], [np.ones((3, 3), dtype=bool)])
    assert np.isnan([nothing.explained, nothing.agreement]).all()
    assert not np.concatenate([*nothing.queries, *nothing.keys]).any()


def test_heads_of_one_dimension_lie_on_a_line():
    found = plane(*head(size=1))
    assert found.explained == pytest.approx(1.0)
    assert not found.keys[0][:, 1].any()


@pytest.mark.parametrize("how", ["pca", "tsne"])
def test_the_same_points_have_the_same_places(how: str):
    first, second = plane(*head(), how=how), plane(*head(), how=how)
    for one, other in zip([*first.queries, *first.keys], [*second.queries, *second.keys], strict=True):
        assert np.array_equal(one, other)


def test_tsne_places_every_point_and_states_no_variance():
    found, linear = plane(*head(), how="tsne"), plane(*head())
    assert [one.shape for one in (*found.queries, *found.keys)] == [(9, 2), (6, 2), (9, 2), (6, 2)]
    assert np.isnan(found.explained)
    assert found.scale == linear.scale
    assert -1 <= found.agreement <= 1
    assert not np.allclose(found.queries[0], linear.queries[0])


def test_an_unknown_or_missing_reduction_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ValueError, match="projection is one of pca, tsne, umap, got 'mds'"):
        check_reduction("mds")
    monkeypatch.setitem(sys.modules, "umap", None)  # as where it is not installed
    with pytest.raises(ValueError, match="needs umap-learn: pip install umap-learn, or choose projection=pca"):
        check_reduction("umap")


@pytest.mark.filterwarnings("ignore")  # its own
@pytest.mark.skipif(find_spec("umap") is None, reason="umap-learn is not installed: pip install umap-learn")
def test_umap_places_every_point():
    found = plane(*head(), how="umap")
    assert [one.shape for one in (*found.queries, *found.keys)] == [(9, 2), (6, 2), (9, 2), (6, 2)]
