from itertools import combinations, product

import numpy as np
import pytest
import scipy.stats

from harness.statistics.tests import (
    effect_size,
    holm,
    holm_of_pairs,
    indistinguishable,
    mean_interval,
    pairwise_sign_flip,
    share_interval,
    sign_flip,
)

RNG = np.random.default_rng(7)


def test_the_interval_equals_scipys_percentile_bootstrap():
    values = RNG.normal(0.3, 0.4, size=(200, 2))
    theirs = scipy.stats.bootstrap((values[:, 0],), np.mean, n_resamples=9999, method="percentile", rng=1)
    ours = mean_interval(values)
    assert ours[0] == pytest.approx(list(theirs.confidence_interval), abs=0.004)


def test_the_interval_covers_the_mean_at_its_nominal_rate():
    """300 normal samples of 60: a nominal 95% interval covers the mean in 91 to 98% of them (4 standard errors)."""
    held = [low <= 0 <= high for low, high in mean_interval(RNG.normal(size=(60, 300)), draws=2000)]
    assert 0.90 <= np.mean(held) <= 0.99


def test_undefined_values_are_left_out():
    values = RNG.normal(size=(80, 1))
    gaps = np.vstack([values, np.full((40, 1), np.nan)])
    few = np.full((120, 1), np.nan)
    few[0] = 1.0
    intervals = mean_interval(np.hstack([gaps, few]))
    assert intervals[0] == pytest.approx(mean_interval(values)[0], abs=0.03)
    assert np.isnan(intervals[1]).all()


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (3, 10), (10, 10), (77, 120)])
def test_a_shares_interval_is_wilsons(successes: int, n: int):
    theirs = scipy.stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert share_interval(successes, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_a_share_of_nothing_has_no_interval():
    assert np.isnan(share_interval(0, 0)).all()


@pytest.mark.parametrize("n", [8, 150])
def test_sign_flips_equal_scipys_permutation_test(n: int):
    differences = RNG.normal(0.15, 1, size=(n, 2))
    theirs = scipy.stats.permutation_test(
        (differences[:, 0],), np.mean, permutation_type="samples", n_resamples=9999, rng=2
    )
    assert sign_flip(differences)[0] == pytest.approx(theirs.pvalue, abs=0.015 if n > 13 else 1e-12)


def test_without_a_difference_small_p_values_are_rare_and_with_one_they_are_not():
    null = sign_flip(RNG.normal(size=(100, 400)), draws=999)
    assert np.mean(null <= 0.05) <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 400)
    assert (sign_flip(RNG.normal(0.6, 1, size=(100, 50)), draws=999) <= 0.01).all()
    assert np.isnan(sign_flip(np.full((5, 1), np.nan))).all()


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.04, np.nan, 0.03])) == pytest.approx([0.03, 0.06, np.nan, 0.06], nan_ok=True)
    assert holm(np.array([0.5, 0.9])).tolist() == [1.0, 1.0]


def draws_of(*differences: int) -> tuple[np.ndarray, float]:
    """A column of integers, and the exact two-sided p-value of its sum under flipped signs, by convolution."""
    counts = {0: 1}
    for size in map(abs, differences):
        spread: dict[int, int] = {}
        for total, count in counts.items():
            for flipped in (total - size, total + size):
                spread[flipped] = spread.get(flipped, 0) + count
        counts = spread
    observed = abs(sum(differences))
    reached = sum(count for total, count in counts.items() if abs(total) >= observed)
    return np.array(differences, dtype=float)[:, None], reached / 2 ** len(differences)


def sampled(n: int, seed: int, positive: float) -> tuple[np.ndarray, float]:
    """The same with `n` differences from 1 to 4, a share of them `positive`."""
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, 5, size=n)
    return draws_of(*(sizes * np.where(generator.random(n) < positive, 1, -1)).tolist())


def test_every_pair_equals_scipys_exact_test_on_its_common_examples():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(11, 5)) + np.arange(5) / 2
    values[generator.random(values.shape) < 0.25] = np.nan
    values[:, 4] = np.nan
    values[0, 4] = 1.0
    p = pairwise_sign_flip(values)
    assert np.isnan(np.diag(p)).all()
    np.testing.assert_array_equal(p, p.T)
    for first, second in combinations(range(5), 2):
        difference = (values[:, first] - values[:, second])[~np.isnan(values[:, [first, second]]).any(axis=1)]
        if len(difference) < 2:  # a single flipped value is as far from zero as before
            np.testing.assert_equal(p[first, second], 1.0 if len(difference) else np.nan)
            continue
        theirs = scipy.stats.permutation_test((difference,), np.mean, permutation_type="samples", n_resamples=np.inf)
        assert p[first, second] == pytest.approx(theirs.pvalue, abs=1e-12)


def test_a_cluster_is_flipped_as_a_whole():
    generator = np.random.default_rng(1)
    clusters = np.array(["b", "a", "c", "a", "b", "d", "d", "d", "e", "f"])
    values = generator.normal(0.4, 1, size=(10, 3))
    values[[1, 6, 8], 1] = np.nan
    p = pairwise_sign_flip(values, clusters)
    for first, second in combinations(range(3), 2):
        difference = values[:, first] - values[:, second]
        sums = [np.nansum(difference[clusters == name]) for name in "abcdef"]
        reached = [abs(np.dot(signs, sums)) >= abs(np.sum(sums)) - 1e-12 for signs in product((-1, 1), repeat=6)]
        assert p[first, second] == pytest.approx(np.mean(reached), abs=1e-12)
    repeated = np.repeat(values, 8, axis=0)  # copies of an example add no information
    np.testing.assert_allclose(pairwise_sign_flip(repeated, np.repeat(clusters, 8)), p, atol=1e-12)


@pytest.mark.parametrize(("n", "positive"), [(20, 0.5), (60, 0.5), (60, 0.6), (90, 0.62)])
def test_random_sign_flips_approximate_the_exact_p_value(n: int, positive: float):
    differences, exact = sampled(n, n, positive)
    error = np.sqrt(exact * (1 - exact) / 10_000)
    assert sign_flip(differences)[0] == pytest.approx(exact, abs=4 * error + 1e-4)


def test_random_sign_flips_never_give_zero():
    """At least one in draws + 1 where the tail bound adds nothing: the observed signs are one of the patterns."""
    differences, exact = draws_of(*[1] * 8)  # z = 2.8, where the bound is .015
    assert exact == 2 / 2**8
    drawn = [sign_flip(differences, draws=99, seed=seed)[0] for seed in range(20)]
    assert min(drawn) == 1 / 100
    steps = np.array(drawn) * 100  # the bound is not used, not even where it is below the drawn value
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)
    assert max(steps) >= 2


def test_the_tail_bound_is_used_only_below_the_resolution_of_the_draws_and_is_never_too_low():
    draws, taken = 1000, []
    for seed, positive in product(range(4), np.linspace(0.6, 1.0, 11)):
        differences, exact = sampled(70, seed, positive)
        p = sign_flip(differences, draws=draws)[0]
        z = abs(differences.sum()) / np.sqrt((differences**2).sum())
        bound = 2 * scipy.stats.norm.sf(z) / (4 * scipy.stats.norm.sf(np.sqrt(2)))
        if bound < 1 / (draws + 1):
            taken.append(p)
            assert p == pytest.approx(bound, rel=1e-9)
            assert exact <= p
        else:
            assert p >= 1 / (draws + 1)
            assert p == pytest.approx(exact, abs=5 * np.sqrt(exact / draws) + 1e-3)
    assert len(taken) > 10
    assert min(taken) < 1e-6  # low enough to survive a correction for thousands of pairs


def test_rounding_in_nearly_equal_cells_cannot_lower_a_p_value():
    """Differences of 1e-8 between values of 1: the sum of squares must not come from cancelling large squares."""
    for seed in range(300):
        generator = np.random.default_rng(seed)
        first = np.round(generator.uniform(0.5, 1, 150) * 2**20) / 2**20
        steps = generator.integers(-3, 4, 150) + 1
        p = pairwise_sign_flip(np.stack([first, first + steps * 2.0**-26], axis=1), draws=99)[0, 1]
        bound = 2 * 3.17 * scipy.stats.norm.sf(abs(steps.sum()) / np.sqrt((steps**2).sum()))
        assert p >= min(bound, 1 / 100)


def test_columns_that_never_differ_have_p_value_one():
    values = np.random.default_rng(0).normal(size=(40, 1))
    copies = np.hstack([values, values, 1e3 * values / 1e3])
    assert pairwise_sign_flip(copies)[np.triu_indices(3, k=1)].tolist() == [1, 1, 1]
    assert sign_flip(np.zeros((5, 1))).tolist() == [1]
    assert pairwise_sign_flip(np.empty((0, 2))).shape == (2, 2)


def test_a_seed_fixes_the_numbers_and_another_seed_changes_them_little():
    values = np.random.default_rng(3).normal(0.1, 1, size=(80, 3))
    for statistic in (mean_interval, pairwise_sign_flip):
        once, again, other = (statistic(values, seed=seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(once, again)
        assert np.nanmax(np.abs(once - other)) > 0
        np.testing.assert_allclose(once, other, atol=0.03)


def test_the_order_of_examples_does_not_matter():
    """Not at all if all sign patterns are tried or clusters are given; otherwise no more than another seed would."""
    generator = np.random.default_rng(4)
    values = generator.normal(0.2, 1, size=(60, 3))
    values[generator.random(values.shape) < 0.1] = np.nan
    clusters = generator.integers(0, 30, size=60)
    order = generator.permutation(60)
    few, shuffled = values[:12], generator.permutation(12)
    np.testing.assert_array_equal(pairwise_sign_flip(few), pairwise_sign_flip(few[shuffled]))
    for statistic in (mean_interval, pairwise_sign_flip):
        np.testing.assert_allclose(
            statistic(values, clusters), statistic(values[order], clusters[order]), rtol=1e-9, atol=1e-12
        )
        np.testing.assert_allclose(statistic(values), statistic(values[order]), atol=0.03)


def test_the_columns_do_not_affect_each_other():
    values = np.random.default_rng(5).normal(0.1, 1, size=(70, 6))
    values[:20, 2] = values[30:50, 4] = np.nan
    some = [4, 1, 2]
    np.testing.assert_allclose(mean_interval(values[:, some]), mean_interval(values)[some], atol=1e-12)
    np.testing.assert_allclose(
        pairwise_sign_flip(values[:, some]), pairwise_sign_flip(values)[np.ix_(some, some)], atol=1e-12
    )


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_the_bootstrap_draws_whole_clusters(level: float):
    """Three clusters have 27 samples: the interval's ends are quantiles of their means, each example counted once."""
    values = np.array([0.0, 0.3, np.nan, 1.0, 0.9, 0.8, 0.35])
    clusters = np.array(["a", "b", "b", "c", "c", "c", "a"])
    means = [
        np.nanmean(np.concatenate([values[clusters == name] for name in chosen])) for chosen in product("abc", repeat=3)
    ]
    tail = (1 - level) / 2
    low, high = (np.quantile(means, [at - 0.01, at, at + 0.01], method="inverted_cdf") for at in (tail, 1 - tail))
    assert np.ptp(low) == np.ptp(high) == 0  # no step is near, so 10,000 draws must give exactly the same
    assert mean_interval(values[:, None], clusters, level=level)[0] == pytest.approx([low[1], high[1]], abs=1e-12)


def test_the_clustered_bootstrap_equals_a_naive_one():
    generator = np.random.default_rng(6)
    clusters = generator.integers(0, 25, size=90)
    values = generator.normal(size=25)[clusters] + generator.normal(scale=0.5, size=90)
    values[:9] = np.nan
    members = [values[clusters == name] for name in np.unique(clusters)]
    means = [
        np.nanmean(np.concatenate([members[one] for one in generator.integers(0, len(members), len(members))]))
        for _ in range(3000)
    ]
    assert mean_interval(values[:, None], clusters)[0] == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.05)


def test_holm_rejects_what_the_step_down_procedure_rejects():
    generator = np.random.default_rng(8)
    for _ in range(50):
        p = np.round(generator.uniform(0, 0.3, size=7), 2)
        p[generator.random(7) < 0.2] = np.nan
        corrected = holm(p)
        assert np.isnan(corrected).tolist() == np.isnan(p).tolist()
        for alpha in (0.049, 0.101, 0.333, 0.777):
            rejected, left = np.zeros(7, dtype=bool), [place for place in np.argsort(p) if not np.isnan(p[place])]
            while left and p[left[0]] * len(left) <= alpha:
                rejected[left.pop(0)] = True
            assert ((corrected <= alpha) == rejected).all()


def test_holm_counts_a_pair_once():
    nan = np.nan
    p = np.array([[nan, 0.01, 0.04, nan], [0.01, nan, 0.03, nan], [0.04, 0.03, nan, 0.5], [nan, nan, 0.5, nan]])
    # four pairs are known: .01 * 4, .03 * 3, .04 * 2 raised to .09, .5
    theirs = [[nan, 0.04, 0.09, nan], [0.04, nan, 0.09, nan], [0.09, 0.09, nan, 0.5], [nan, nan, 0.5, nan]]
    np.testing.assert_allclose(holm_of_pairs(p), theirs)


def test_groups_overlap_where_similarity_is_not_transitive():
    p = np.full((5, 5), 0.001)
    for first, second in ((0, 1), (1, 2)):  # a ~ b, b ~ c, but not a ~ c
        p[first, second] = p[second, first] = 0.05  # not below alpha
    p[3, :] = p[:, 3] = np.nan
    means = np.array([0.1, 0.2, 0.3, 0.25, np.nan])
    assert indistinguishable(p, means) == [[2, 1], [3], [1, 0]]


def test_groups_are_the_largest_that_an_exhaustive_search_finds():
    generator = np.random.default_rng(9)
    for _ in range(20):
        p = np.triu(generator.uniform(0, 0.1, size=(6, 6)), k=1)
        p, means = p + p.T, generator.permutation(6) / 10
        alike = [
            set(some)
            for size in range(1, 7)
            for some in combinations(range(6), size)
            if all(p[first, second] >= 0.05 for first, second in combinations(some, 2))
        ]
        largest = [some for some in alike if not any(some < other for other in alike)]
        groups = indistinguishable(p, means)
        assert sorted(map(sorted, groups)) == sorted(map(sorted, largest))
        assert [means[group[0]] for group in groups] == sorted((means[group[0]] for group in groups), reverse=True)
        assert all(means[group].tolist() == sorted(means[group], reverse=True) for group in groups)


def test_effect_size_by_hand():
    first, second = np.array([1.0, 2.0, 5.0, np.nan]), np.array([0.0, 0.0, 2.0, 7.0])
    assert effect_size(first, second) == pytest.approx(2.0)  # differences 1, 2, 3: mean 2, std 1
    assert effect_size(second, first) == pytest.approx(-2.0)


@pytest.mark.parametrize("size", [0, 1, 3, 30])
def test_differences_without_spread_have_no_effect_size(size: int):
    """Three values of .1 have a standard deviation of 2e-17 in floating point."""
    assert np.isnan(effect_size(np.full(size, 0.1), np.zeros(size)))
    assert np.isnan(effect_size(np.full(size, 0.7), np.full(size, 0.6)))
    assert np.isnan(effect_size(np.zeros(size), np.zeros(size)))
    values = np.linspace(0.1, 0.9, size)
    assert np.isnan(effect_size(values, values / 3 * 3))
    assert np.isnan(effect_size(values, values + 0.2))


@pytest.mark.parametrize("size", [9, 60])
@pytest.mark.parametrize("shared", [False, True])
def test_cells_undefined_on_different_examples_are_tested_as_if_pair_by_pair(size: int, shared: bool):
    """Seven cells with different gaps take another path than the same cells two at a time."""
    values = RNG.normal(0.2, 1, size=(size, 7)) * [1, 1, 1, 1, 1, 1, 1e-9]
    values[RNG.random(values.shape) < 0.15] = np.nan
    clusters = np.arange(size) // 2 if shared else None
    together = pairwise_sign_flip(values, clusters)
    for first in range(7):
        for second in range(first):
            common = ~np.isnan(values[:, [first, second]]).any(axis=1, keepdims=True)
            alone = pairwise_sign_flip(np.where(common, values[:, [first, second]], np.nan), clusters)[0, 1]
            assert together[first, second] == together[second, first] == pytest.approx(alone, rel=1e-9)
    assert np.isnan(np.diagonal(together)).all()


def test_no_examples_have_no_interval():
    assert np.isnan(mean_interval(np.empty((0, 3)))).all()
