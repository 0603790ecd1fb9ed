import numpy as np
import pytest
import scipy.stats

from harness.statistics import holm, mean_interval, share_interval, sign_flip

RNG = np.random.default_rng(7)


def test_the_interval_is_scipys_percentile_bootstrap():
    values = RNG.normal(0.3, 0.4, size=(200, 2))
    theirs = scipy.stats.bootstrap((values[:, 0],), np.mean, n_resamples=9999, method="percentile", rng=1)
    ours = mean_interval(values)
    assert ours[0] == pytest.approx(list(theirs.confidence_interval), abs=0.004)


def test_the_interval_holds_the_mean_as_often_as_it_says():
    """300 normal samples of 60: a nominal 95 % holds in 91 to 98 % of them (4 standard errors)."""
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
def test_sign_flips_are_scipys_permutation_test(n: int):
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
