"""Steps in which tokens are removed in the order of their scores, and the predicted class's probability at each."""

import torch
from torch import Tensor

from harness import check
from harness.tracing.run import Trace
from methods.removal import log_probability, predicted_log_probability, removable

BINS = ("counts", "eraser")
ERASER = (1, 5, 10, 20, 50)  # per cent of the tokens
SIDES = ("top", "bottom", "rest")
ROUNDING = 1e-6  # in a float32 model, probabilities that differ by less count as equal


def check_bins(bins: str) -> None:
    """Raise ValueError for unknown steps."""
    check.choice("bins", bins, BINS)


def defined(scores: Tensor, ranked: Tensor) -> Tensor:
    """Whether an example has a ranked token and each of them a finite score, `[batch, layer]`."""
    return (torch.isfinite(scores) | ~ranked[:, None]).all(dim=-1) & ranked.any(dim=-1)[:, None]


def places(scores: Tensor, ranked: Tensor) -> Tensor:
    """Each token's rank from 0, the highest score, `[batch, layer, token]`; of tied tokens the earlier comes first.

    Tokens that are not ranked come last, whatever their scores.
    """
    falling = scores.double().masked_fill(~ranked[:, None], -torch.inf)
    return falling.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)


def bin_counts(ranked: Tensor, bins: str) -> tuple[Tensor, Tensor]:
    """How many tokens are removed in each step, and which steps an example has, `[batch, bin]` each.

    `counts` are all of 1 to n. `eraser` are 1, 5, 10, 20 and 50 % of n, rounded up, so at least one token.
    """
    n = ranked.sum(dim=1)[:, None]  # [batch, 1]
    if bins == "eraser":
        counts = (torch.tensor(ERASER, device=n.device) * n + 99) // 100
        return counts, (n > 0).expand_as(counts)
    counts = torch.arange(1, ranked.shape[1] + 1, device=n.device).expand(len(n), -1)
    return counts.clamp(max=n), counts <= n


def mean_over_bins(values: Tensor, counted: Tensor) -> Tensor:
    """`[batch, layer, bin] -> [batch, layer]`: the mean over an example's own steps; NaN where it has none."""
    counted = counted[:, None]
    return values.masked_fill(~counted, 0.0).sum(dim=-1) / counted.sum(dim=-1)


def log_curve(trace: Trace, scores: Tensor, removal: str, counts: Tensor, side: str = "top") -> Tensor:
    """Log-probability of the predicted class in each step, `[batch, layer, bin]`; NaN where it is undefined.

    Args:
        trace: the model's run.
        scores: `[batch, layer, token]`.
        removal: how a token is removed.
        counts: `[batch, bin]`, tokens in each step, k.
        side: what is removed: the k tokens of the highest (`top`) or lowest scores (`bottom`), or all but the k of
            the highest (`rest`). Of tied tokens the earlier is always taken first.
    """
    check.choice("side", side, SIDES)
    scores = scores.to(trace.logits.device)
    ranked = removable(trace, removal)
    sound = defined(scores, ranked)  # [batch, layer]
    place = places(-scores if side == "bottom" else scores, ranked)
    chosen = place[:, :, None] < counts[:, None, :, None]  # [batch, layer, bin, token]
    removed = (~chosen if side == "rest" else chosen) & ranked[:, None, None] & sound[:, :, None, None]
    return log_probability(trace, removed, removal).masked_fill(~sound[:, :, None], torch.nan)


def whole(trace: Trace) -> Tensor:
    """Log-probability of the predicted class on the full input, `[batch, 1, 1]`, float64."""
    return predicted_log_probability(trace, trace.logits, trace.predicted)[:, None, None]


def mean_fall(trace: Trace, scores: Tensor, removal: str, bins: str) -> Tensor:
    """Mean over k of p(x) - p(x without the top k tokens), `[batch, layer]`: comprehensiveness, or AOPC."""
    counts, counted = bin_counts(removable(trace, removal), bins)
    without = log_curve(trace, scores, removal, counts).exp()  # [batch, layer, bin]
    return mean_over_bins(whole(trace).exp() - without, counted)
