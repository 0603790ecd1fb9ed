"""Rank correlation of scores with a reference, for every layer at once."""

import torch
from torch import Tensor

from harness import check

RANKS = ("average", "dense")
MINIMUM = 3  # tokens below which a rank correlation says nothing


def spearman_by_layer(scores: Tensor, reference: Tensor, ranked: Tensor, ranks: str = "average") -> Tensor:
    """Spearman's rho over the ranked tokens, in float64; NaN where it is undefined.

    Args:
        scores: `[batch, layer, token]`, or with any further axes between batch and token.
        reference: `[batch, token]`.
        ranked: `[batch, token]`, the tokens that count.
        ranks: `average` gives tied tokens the mean of their ranks, and a constant has no correlation. `dense` is the
            form of Abnar & Zuidema's program, 1 - 6 sum d^2 / (n (n^2 - 1)) on ranks without gaps: the same without
            ties, biased with them, and 1 for a constant against a constant.

    Returns:
        `[batch, layer]`, or the further axes of `scores`. NaN where fewer than three tokens are ranked, a ranked score
        is not finite, or (average ranks) either side is constant.
    """
    check.choice("ranks", ranks, RANKS)
    shape = [scores.shape[0], *[1] * (scores.dim() - 2), scores.shape[-1]]
    ranked = ranked.view(shape)
    reference = reference.view(shape)
    n = ranked.sum(dim=-1).double()  # [batch, 1]
    finite = (torch.isfinite(scores) | ~ranked).all(dim=-1) & (torch.isfinite(reference) | ~ranked).all(dim=-1)
    rank_of = {"average": _average_ranks, "dense": _dense_ranks}[ranks]
    ours, theirs = rank_of(scores, ranked), rank_of(reference, ranked)
    if ranks == "dense":
        squares = (ours - theirs).square().masked_fill(~ranked, 0.0).sum(dim=-1)
        rho = 1 - 6 * squares / (n * (n.square() - 1))
    else:
        ours, theirs = _centred(ours, ranked, n), _centred(theirs, ranked, n)
        product = (ours * theirs).sum(dim=-1)
        # 0 / 0 where a side is constant: NaN, as it should be
        rho = product / (ours.square().sum(dim=-1) * theirs.square().sum(dim=-1)).sqrt()
    return rho.masked_fill(~finite | (n < MINIMUM), torch.nan)


def _average_ranks(values: Tensor, ranked: Tensor) -> Tensor:
    """Ranks from 1, ties sharing their mean; what is not ranked sorts behind everything."""
    values = _filled(values, ranked)
    ordered = values.sort(dim=-1).values
    below = torch.searchsorted(ordered, values, side="left")
    upto = torch.searchsorted(ordered, values, side="right")
    return (below + upto + 1).double() / 2


def _dense_ranks(values: Tensor, ranked: Tensor) -> Tensor:
    """Ranks from 1 without gaps: ties share one, the next distinct value has the next."""
    values = _filled(values, ranked)
    ordered = values.sort(dim=-1).values
    steps = torch.ones_like(ordered)
    steps[..., 1:] = (ordered[..., 1:] != ordered[..., :-1]).double()
    return steps.cumsum(dim=-1).gather(-1, torch.searchsorted(ordered, values, side="left"))


def _filled(values: Tensor, ranked: Tensor) -> Tensor:
    """What is not ranked goes behind everything; NaN is dealt with by the caller, but must not break the sorting."""
    return values.double().nan_to_num(0.0, torch.inf, -torch.inf).masked_fill(~ranked, torch.inf).contiguous()


def _centred(ranks: Tensor, ranked: Tensor, n: Tensor) -> Tensor:
    mean = ranks.masked_fill(~ranked, 0.0).sum(dim=-1) / n
    return (ranks - mean[..., None]).masked_fill(~ranked, 0.0)
