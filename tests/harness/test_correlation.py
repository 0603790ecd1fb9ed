import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.correlation import spearman_by_layer


def ranked_like(values: torch.Tensor) -> torch.Tensor:
    return torch.ones(values.shape[0], values.shape[-1], dtype=torch.bool)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 40), levels=st.integers(2, 60))
def test_scipy_finds_the_same_with_and_without_ties(seed: int, n: int, levels: int):
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


def test_dense_ranks_are_the_authors_form():
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


def test_heads_are_further_axes():
    generator = torch.Generator().manual_seed(0)
    scores, reference = torch.rand(2, 3, 4, 9, generator=generator), torch.rand(2, 9, generator=generator)
    whole = spearman_by_layer(scores, reference, ranked_like(reference))
    assert whole.shape == (2, 3, 4)
    for head in range(4):
        assert torch.equal(whole[:, :, head], spearman_by_layer(scores[:, :, head], reference, ranked_like(reference)))


def test_an_unknown_kind_of_ranks_is_refused():
    with pytest.raises(ValueError, match="ranks is one of average, dense, got 'ordinal'"):
        spearman_by_layer(torch.ones(1, 1, 3), torch.ones(1, 3), torch.ones(1, 3, dtype=torch.bool), "ordinal")
