"""Rank agreement of scores with a reference, for every layer at once."""

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


def partial_spearman_by_layer(scores: Tensor, reference: Tensor, ranked: Tensor) -> Tensor:
    """Spearman's rho given the token's position, `[batch, layer]`: what is left when both sides' trend is taken out.

    Shapes as in `spearman_by_layer`. NaN too where a side is a function of position alone. Kendall 1942.
    """
    position = torch.arange(ranked.shape[1], device=ranked.device).double().expand(ranked.shape)
    both = spearman_by_layer(scores, reference, ranked)
    ours = spearman_by_layer(scores, position, ranked)
    theirs = spearman_by_layer(reference[:, None], position, ranked)[:, 0].view(-1, *[1] * (ours.dim() - 1))
    left = ((1 - ours.square()) * (1 - theirs.square())).clamp(min=0).sqrt()
    return ((both - ours * theirs) / left).masked_fill(left < 1e-6, torch.nan)


def kendall_by_layer(scores: Tensor, reference: Tensor, ranked: Tensor) -> Tensor:
    """Kendall's tau-b, `[batch, layer]`, shapes and NaN as in `spearman_by_layer`."""
    values, reference, ranked, defined = _prepared(scores, reference, ranked)
    pairs = ranked[..., :, None] & ranked[..., None, :]
    theirs = (reference[..., :, None] - reference[..., None, :]).sign().masked_fill(~pairs, 0.0)
    columns = []
    for ours in values.unbind(dim=1):  # by layer: a pair of tokens is a number, and there are n * n of them
        ours = ours[:, None]
        ours = (ours[..., :, None] - ours[..., None, :]).sign().masked_fill(~pairs, 0.0)
        product = (ours * theirs).sum(dim=(-2, -1))
        columns.append(product / (ours.square().sum(dim=(-2, -1)) * theirs.square().sum(dim=(-2, -1))).sqrt())
    return torch.cat(columns, dim=1).view(defined.shape).masked_fill(~defined, torch.nan)


def top_overlap_by_layer(scores: Tensor, reference: Tensor, ranked: Tensor) -> Tensor:
    """The share of the reference's top quarter of tokens (rounded up) that is in the scores', `[batch, layer]`.

    Shapes and NaN as in `spearman_by_layer`. Tokens tied at the border share its places, so that the value is what
    breaking ties by chance would give on average; scores by chance reach the quarter itself.
    """
    values, reference, ranked, defined = _prepared(scores, reference, ranked)
    size = (ranked.sum(dim=-1, keepdim=True).double() / 4).ceil()  # [batch, 1, 1]
    shared = _top(values, ranked, size) * _top(reference, ranked, size)
    overlap = shared.sum(dim=-1) / size[..., 0]
    return overlap.view(defined.shape).masked_fill(~defined, torch.nan)


def tied_by_layer(scores: Tensor, ranked: Tensor) -> Tensor:
    """The share of ranked tokens whose score another one has, `[batch, layer]`; NaN without ranked tokens."""
    shape = [scores.shape[0], *[1] * (scores.dim() - 2), scores.shape[-1]]
    ranked = ranked.view(shape)
    values = _filled(scores, ranked)
    ordered = values.sort(dim=-1).values
    alike = torch.searchsorted(ordered, values, side="right") - torch.searchsorted(ordered, values, side="left")
    return ((alike > 1) & ranked).sum(dim=-1).double() / ranked.sum(dim=-1)


def _prepared(scores: Tensor, reference: Tensor, ranked: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Scores `[batch, layer * head, token]`, reference and ranked `[batch, 1, token]`, and where rho is defined."""
    defined = ~spearman_by_layer(scores, reference, ranked).isnan()
    values = scores.double().flatten(1, -2).nan_to_num(0.0)
    return values, reference.double().nan_to_num(0.0)[:, None], ranked[:, None], defined


def _top(values: Tensor, ranked: Tensor, size: Tensor) -> Tensor:
    """Each token's part in the top `size`: 1, 0, or at the border an equal share of the places that are left."""
    values = values.masked_fill(~ranked, -torch.inf)
    border = values.sort(dim=-1, descending=True).values.gather(-1, (size.long() - 1).expand(*values.shape[:-1], 1))
    above, at = values > border, values == border
    left = size - above.sum(dim=-1, keepdim=True)
    return (above + at * left / at.sum(dim=-1, keepdim=True)).masked_fill(~ranked, 0.0)


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
