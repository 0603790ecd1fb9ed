"""Normalised sufficiency and comprehensiveness with embedding elements kept at random (Zhao & Aletras 2023).

https://arxiv.org/abs/2305.10496
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from harness import check
from harness.tracing.run import Trace
from methods.removal_steps import defined, whole
from methods.seeded import generator
from methods.shares import kept_share, lost_share, null_loss

SCALES = ("ranks", "raw")


def keep_probability(scores: Tensor, ranked: Tensor, scale: str) -> Tensor:
    """The probability that each element of a token's embedding is kept, `[batch, layer, token]`.

    `ranks` are (rank - 1/2) / n from the lowest score up, ties sharing their mean: the mean over the ranked tokens is
    1/2 whatever the scores. `raw` scores are used as they are, and are NaN where they are not probabilities.
    """
    scores = scores.double().masked_fill(~defined(scores, ranked)[:, :, None], torch.nan)
    ranked = ranked[:, None]
    if scale == "raw":
        return scores.masked_fill(~((scores >= 0) & (scores <= 1) | ~ranked).all(dim=-1, keepdim=True), torch.nan)
    ours, theirs = scores[..., :, None], scores[..., None, :]
    others = ranked[..., None, :]
    places = ((theirs < ours) & others).sum(dim=-1) + ((theirs == ours) & others).sum(dim=-1).double() / 2
    return (places / ranked.sum(dim=-1, keepdim=True)).masked_fill(scores.isnan(), torch.nan)


def shares_left(trace: Trace, keep: Tensor, draws: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """The probability of the predicted class on the full input, on randomly kept embeddings, and on zeros.

    `[batch, 1, 1]`, `[batch, layer, draw]` and `[batch, 1, 1]`.
    What is not ranked keeps its embedding. An example's draws are the same in all layers, so that layers differ by
    their scores alone.
    """
    batch, embedding = trace.batch, trace.embedding.detach()
    count, layers, width = keep.shape
    hidden = embedding.shape[2]
    sound = ~(keep.isnan() & batch.ranked[:, None]).any(dim=-1)  # [batch, layer]
    keep = torch.where(batch.ranked[:, None], keep, 1.0)
    left = keep.new_full((count, layers, draws), torch.nan)
    zeroed = embedding.masked_fill(batch.ranked[:, :, None], 0.0)
    empty = _probability(trace, zeroed, torch.arange(count, device=embedding.device))
    at_once = max(1, trace.token_budget // width)
    for row, example in enumerate(batch.examples):
        n = len(example.input_ids)
        uniform = torch.zeros(draws, width, hidden, dtype=torch.float64)  # padding keeps what it has
        uniform[:, :n] = torch.from_numpy(generator(seed, example.id).random((draws, n, hidden)))
        uniform = uniform.to(embedding.device)
        rows = sound[row].nonzero()[:, 0]
        if not len(rows):  # undefined in every layer
            continue
        layer, draw = rows.repeat_interleave(draws), torch.arange(draws, device=rows.device).repeat(len(rows))
        for layers_now, draws_now in zip(layer.split(at_once), draw.split(at_once), strict=True):
            kept = embedding[row] * (uniform[draws_now] < keep[row, layers_now, :, None])  # [variant, token, hidden]
            left[row, layers_now, draws_now] = _probability(trace, kept, torch.full_like(layers_now, row))
    return whole(trace).exp(), left, empty[:, None, None]


def _probability(trace: Trace, embedding: Tensor, index: Tensor) -> Tensor:
    with torch.no_grad():
        logits = trace.logits_from(embedding, index)
    return trace.probabilities(logits).gather(1, trace.predicted[index, None])[:, 0]


@dataclass(frozen=True)
class SoftSufficiency:
    """Soft-NS: how much of the prediction is kept when embeddings are kept in proportion to the scores; in [0, 1].

    Args:
        scale: a token's elements are kept with a probability given by its rank among the scores (`ranks`), of mean
            1/2, or by its score itself (`raw`), which the authors take from 0 to 1 and which rewards large scores.
        draws: number of masks per example, over which the mean is taken.
        seed: of the masks, together with the example's id.
    """

    cost: ClassVar[str] = "passes by step"

    scale: str = "ranks"
    draws: int = 10
    seed: int = 0

    higher_is_better: ClassVar[bool] = True

    def __post_init__(self):
        check.choice("scale", self.scale, SCALES)
        check.count("draws", self.draws)

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        keep = keep_probability(scores.to(trace.logits.device), trace.batch.ranked, self.scale)
        full, kept, empty = shares_left(trace, keep, self.draws, self.seed)
        return kept_share(full, kept, null_loss(full, empty)).mean(dim=-1)


@dataclass(frozen=True)
class SoftComprehensiveness:
    """Soft-NC: how much of the prediction is lost when embeddings are removed in proportion to the scores; in [0, 1].

    Args:
        scale: as in `SoftSufficiency`; elements are removed, not kept, with that probability.
        draws: number of masks per example, over which the mean is taken.
        seed: of the masks, together with the example's id.
    """

    cost: ClassVar[str] = "passes by step"

    scale: str = "ranks"
    draws: int = 10
    seed: int = 0

    higher_is_better: ClassVar[bool] = True

    def __post_init__(self):
        check.choice("scale", self.scale, SCALES)
        check.count("draws", self.draws)

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        keep = 1 - keep_probability(scores.to(trace.logits.device), trace.batch.ranked, self.scale)
        full, without, empty = shares_left(trace, keep, self.draws, self.seed)
        return lost_share(full, without, null_loss(full, empty)).mean(dim=-1)
