from itertools import permutations

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.statistics import correlation


def of_tensors(function):
    """The function with the tensor signature that these tests use."""
    return lambda *arguments: torch.from_numpy(function(*arguments))


spearman_by_layer = of_tensors(correlation.spearman_by_layer)
partial_spearman_by_layer = of_tensors(correlation.partial_spearman_by_layer)
kendall_by_layer = of_tensors(correlation.kendall_by_layer)
top_overlap_by_layer = of_tensors(correlation.top_overlap_by_layer)
tied_by_layer = of_tensors(correlation.tied_by_layer)


def ranked_like(values: torch.Tensor) -> torch.Tensor:
    return torch.ones(values.shape[0], values.shape[-1], dtype=torch.bool)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 40), levels=st.integers(2, 60))
def test_the_correlation_equals_scipys_with_and_without_ties(seed: int, n: int, levels: int):
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, levels, size=(2, 4, n)).astype(float)
    reference = generator.integers(0, levels, size=(2, n)).astype(float)
    ours = spearman_by_layer(*map(torch.tensor, (scores, reference)), ranked_like(torch.tensor(reference)))
    for example in range(2):
        for layer in range(4):
            constant = len(set(scores[example, layer])) == 1 or len(set(reference[example])) == 1
            if constant:
                assert ours[example, layer].isnan()
                continue
            theirs = scipy.stats.spearmanr(scores[example, layer], reference[example]).statistic
            assert ours[example, layer].item() == pytest.approx(theirs, abs=1e-12)


def test_tokens_that_are_not_ranked_do_not_count():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(5, 3, 12, generator=generator)
    reference = torch.randn(5, 12, generator=generator)
    ranked = torch.rand(5, 12, generator=generator) < 0.6
    ranked[:, :3] = True
    ours = spearman_by_layer(scores, reference, ranked)
    for example in range(5):
        kept = ranked[example]
        for layer in range(3):
            theirs = scipy.stats.spearmanr(scores[example, layer, kept], reference[example, kept]).statistic
            assert ours[example, layer].item() == pytest.approx(theirs, abs=1e-12)
    scores[:, :, ~ranked[0]] = scores[:, :, ~ranked[0]].masked_fill(~ranked[0][~ranked[0]], torch.nan)
    assert torch.equal(spearman_by_layer(scores, reference, ranked)[0], ours[0])


@pytest.mark.parametrize("ranks", ["average", "dense"])
def test_fewer_than_three_tokens_are_undefined(ranks: str):
    values = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    two = torch.tensor([[True, True, False, False]])
    assert spearman_by_layer(values[:, None], values, two, ranks).isnan().all()
    three = torch.tensor([[True, True, True, False]])
    assert spearman_by_layer(values[:, None], values, three, ranks).tolist() == [[1.0]]


def test_a_constant_has_no_correlation():
    rising, constant = torch.tensor([[1.0, 2.0, 3.0]]), torch.ones(1, 3)
    every = ranked_like(rising)
    for scores, reference in ((rising, constant), (constant, rising), (constant, constant)):
        assert spearman_by_layer(scores[:, None], reference, every).isnan().all()


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("ranks", ["average", "dense"])
def test_a_score_that_is_not_finite_makes_the_correlation_undefined(broken: float, ranks: str):
    scores, reference = torch.tensor([[[1.0, 2.0, broken, 3.0]]]), torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    assert spearman_by_layer(scores, reference, ranked_like(reference), ranks).isnan().all()
    assert spearman_by_layer(reference[:, None], scores[0], ranked_like(reference), ranks).isnan().all()


def test_dense_ranks_match_the_authors_formula():
    every = torch.ones(1, 4, dtype=torch.bool)
    constant, rising = torch.ones(1, 4), torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    assert spearman_by_layer(constant[:, None], constant, every, "dense").item() == 1.0
    # dense ranks (1, 1, 1, 1) against (1, 2, 3, 4): d^2 = 0 + 1 + 4 + 9, 1 - 6 * 14 / (4 * 15)
    assert spearman_by_layer(constant[:, None], rising, every, "dense").item() == pytest.approx(-0.4)
    # (1, 1, 2, 3) against (1, 2, 3, 4): d^2 = 0 + 1 + 1 + 1
    tied = torch.tensor([[5.0, 5.0, 6.0, 7.0]])
    assert spearman_by_layer(tied[:, None], rising, every, "dense").item() == pytest.approx(1 - 18 / 60)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 30))
def test_without_ties_dense_and_average_ranks_agree(seed: int, n: int):
    generator = torch.Generator().manual_seed(seed)
    scores, reference = (
        torch.rand(2, 3, n, generator=generator).double(),
        torch.rand(2, n, generator=generator).double(),
    )
    both = [spearman_by_layer(scores, reference, ranked_like(reference), ranks) for ranks in ("average", "dense")]
    assert torch.allclose(*both, atol=1e-12)


def test_correlations_between_methods_equal_those_with_each_as_the_reference():
    generator = np.random.default_rng(3)
    scores = generator.integers(0, 5, (7, 4, 9)).astype(float)  # [batch, method, token], with ties
    scores[0, 1], scores[1, 2, 3] = 2.0, np.inf  # a constant, and a score that is not finite
    ranked = generator.random((7, 9)) < 0.8
    ranked[2, 2:] = False
    rho = correlation.spearman_between(scores, ranked)
    expected = [correlation.spearman_by_layer(scores, scores[:, method], ranked) for method in range(4)]
    np.testing.assert_allclose(rho, np.stack(expected, axis=2), atol=1e-12)
    assert np.isnan(rho[0, 1]).all()
    assert np.isnan(rho[2]).all()


def test_heads_are_extra_axes():
    generator = torch.Generator().manual_seed(0)
    scores, reference = torch.rand(2, 3, 4, 9, generator=generator), torch.rand(2, 9, generator=generator)
    whole = spearman_by_layer(scores, reference, ranked_like(reference))
    assert whole.shape == (2, 3, 4)
    for head in range(4):
        assert torch.equal(whole[:, :, head], spearman_by_layer(scores[:, :, head], reference, ranked_like(reference)))


def test_an_unknown_kind_of_ranks_is_refused():
    with pytest.raises(ValueError, match="ranks is one of average, dense, got 'ordinal'"):
        spearman_by_layer(torch.ones(1, 1, 3), torch.ones(1, 3), torch.ones(1, 3, dtype=torch.bool), "ordinal")


def tables(seed: int, levels: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores `[batch, layer, head, token]`, a reference and what is ranked: ties, gaps, and padding that holds NaN."""
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, levels, size=(4, 2, 3, 13)).astype(float)
    reference = generator.integers(0, levels, size=(4, 13)).astype(float)
    ranked = generator.random((4, 13)) < 0.8
    ranked[:, 2:6] = True
    ranked[1, 10:] = ranked[2, 7:] = False
    scores[~np.broadcast_to(ranked[:, None, None], scores.shape)] = np.nan
    return torch.tensor(scores), torch.tensor(reference), torch.tensor(ranked)


def cells(scores: torch.Tensor, reference: torch.Tensor, ranked: torch.Tensor):
    """The index of every cell, and its ranked scores, reference and positions as arrays."""
    for place in np.ndindex(scores.shape[:-1]):
        kept = ranked[place[0]].numpy()
        yield place, scores[place].numpy()[kept], reference[place[0]].numpy()[kept], np.flatnonzero(kept)


@pytest.mark.parametrize("seed", range(5))
def test_the_partial_correlation_is_that_of_residuals_of_ranks(seed: int):
    """It also equals the closed form in the three pairwise correlations."""
    table = tables(seed)
    ours = partial_spearman_by_layer(*table)
    for place, scores, reference, position in cells(*table):
        one, two, place_ranks = (scipy.stats.rankdata(side) for side in (scores, reference, position))
        both, mine, theirs = (
            scipy.stats.spearmanr(*pair).statistic
            for pair in ((scores, reference), (scores, position), (reference, position))
        )
        closed = (both - mine * theirs) / np.sqrt((1 - mine**2) * (1 - theirs**2))
        assert ours[place].item() == pytest.approx(closed, abs=1e-12)
        design = np.stack([np.ones(len(one)), place_ranks], axis=1)
        left = [side - design @ np.linalg.lstsq(design, side)[0] for side in (one, two)]
        assert ours[place].item() == pytest.approx(np.corrcoef(*left)[0, 1], abs=1e-9)


def test_if_one_side_is_only_position_nothing_is_left_to_correlate():
    position = torch.arange(8.0)
    other = torch.tensor([3.0, 1.0, 4.0, 1.5, 5.0, 9.0, 2.0, 6.0])
    every = torch.ones(1, 8, dtype=torch.bool)
    for scores, reference in ((position.exp(), other), (other, -position), (position, position)):
        assert partial_spearman_by_layer(scores.view(1, 1, 8), reference[None], every).isnan().all()
    assert partial_spearman_by_layer(other.view(1, 1, 8), other[None], every).item() == pytest.approx(1.0)


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_kendalls_tau_equals_scipys(levels: int):
    table = tables(7, levels)
    ours = kendall_by_layer(*table)
    for place, scores, reference, _ in cells(*table):
        if len(set(scores)) == 1 or len(set(reference)) == 1:
            assert ours[place].isnan()
            continue
        assert ours[place].item() == pytest.approx(scipy.stats.kendalltau(scores, reference).statistic, abs=1e-12)


@pytest.mark.parametrize("statistic", [kendall_by_layer, partial_spearman_by_layer, top_overlap_by_layer])
def test_unranked_tokens_and_other_examples_change_no_statistic(statistic):
    scores, reference, ranked = tables(3)
    whole = statistic(scores, reference, ranked)
    assert whole.shape == (4, 2, 3)
    longer = [torch.nn.functional.pad(side, (2, 3), value=1e9) for side in (scores, reference)]
    padded = statistic(*longer, torch.nn.functional.pad(ranked, (2, 3)))
    torch.testing.assert_close(padded, whole, rtol=0, atol=1e-12, equal_nan=True)
    for one in range(4):
        alone = statistic(scores[one : one + 1], reference[one : one + 1], ranked[one : one + 1])
        torch.testing.assert_close(alone[0], whole[one], rtol=0, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("statistic", [kendall_by_layer, partial_spearman_by_layer, top_overlap_by_layer])
def test_where_rho_is_undefined_so_are_the_other_statistics(statistic):
    rising, constant = torch.tensor([[1.0, 2.0, 3.0, 0.0]]), torch.ones(1, 4)
    broken = torch.tensor([[1.0, torch.nan, 3.0, 0.0]])
    every, two = torch.ones(1, 4, dtype=torch.bool), torch.tensor([[True, True, False, False]])
    for one, other, ranked in (
        (rising, constant, every),
        (constant, rising, every),
        (broken, rising, every),
        (rising, broken, every),
        (rising, rising, two),
    ):
        assert statistic(one[:, None], other, ranked).isnan().all()


def test_the_overlap_of_the_top_quarters_by_hand():
    reference = torch.tensor([[9.0, 8.0, 1.0, 2.0, 3.0, 4.0, 5.0, 99.0]])
    ranked = torch.tensor([[True] * 7 + [False]])  # a quarter of seven, rounded up: tokens 0 and 1
    scores = torch.tensor(
        [
            [7.0, 6.0, 0.0, 1.0, 2.0, 3.0, 4.0, 0.0],  # finds both
            [7.0, 0.0, 6.0, 1.0, 2.0, 3.0, 4.0, 0.0],  # one
            [0.0, 1.0, 9.0, 8.0, 2.0, 3.0, 4.0, 9.0],  # none
            [5.0, 5.0, 5.0, 1.0, 2.0, 3.0, 4.0, 9.0],  # two places for three tied tokens, two correct: 4 / 3 of 2
            [9.0, 5.0, 5.0, 5.0, 5.0, 3.0, 4.0, 9.0],  # four tokens tie for the second place, one of them correct
        ]
    )
    overlap = top_overlap_by_layer(scores[None], reference, ranked)
    assert overlap[0].tolist() == pytest.approx([1, 1 / 2, 0, 2 / 3, (1 + 1 / 4) / 2])


@pytest.mark.parametrize("seed", range(3))
def test_ties_at_the_top_count_as_their_expected_overlap(seed: int):
    """The mean over every way to break the ties of five tokens on either side."""
    generator = np.random.default_rng(seed)
    sides = generator.integers(0, 3, size=(2, 5)).astype(float)
    sides[:, 0] = [5, -1]  # not constant
    tops = [
        [set(sorted(range(5), key=lambda token: (-side[token], order[token]))[:2]) for order in permutations(range(5))]
        for side in sides
    ]
    chance = np.mean([len(mine & theirs) / 2 for mine in tops[0] for theirs in tops[1]])
    scores, reference = torch.tensor(sides)
    overlap = top_overlap_by_layer(scores.view(1, 1, 5), reference[None], torch.ones(1, 5, dtype=torch.bool))
    assert overlap.item() == pytest.approx(chance, abs=1e-7)  # float32


def test_the_tied_share_by_hand():
    scores = torch.tensor([[1.0, 1.0, 2.0, 3.0, 3.0, 3.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [7.0] * 6])
    every = torch.ones(1, 6, dtype=torch.bool)
    assert tied_by_layer(scores[None], every).tolist() == [[5 / 6, 0, 1]]
    some = torch.tensor([[True, False, True, True, True, False]])  # 1, 2, 3, 3
    assert tied_by_layer(scores[None], some).tolist() == [[0.5, 0, 1]]
    assert tied_by_layer(scores[None, :, None], some).shape == (1, 3, 1)
    assert tied_by_layer(scores[None], ~every).isnan().all()
