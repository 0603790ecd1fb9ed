"""Whether the token that a task plants is found: precision at 1, reciprocal rank, margin over its rivals, and mass.

A task marks the tokens that determine the right answer, and those that mislead: in subject-verb agreement the subject
and its attractors (Linzen et al. 2016). https://arxiv.org/abs/1611.01368
"""

from dataclasses import dataclass
from math import comb
from typing import ClassVar

import torch
from torch import Tensor

from harness import check
from harness.tracing.batch import Batch
from harness.tracing.run import Trace
from methods.removal_steps import defined

SCALES = ("raw", "range")


def content(batch: Batch) -> Tensor:
    """The ranked tokens of the text itself, `[batch, token]`."""
    return batch.ranked & batch.text


def planted(batch: Batch, name: str | None, number: int = 0) -> Tensor:
    """The content tokens that an example plants by that name, or by its `number`-th name, `[batch, token]`."""
    tokens = torch.zeros_like(batch.ranked)
    for row, example in enumerate(batch.examples):
        names = list(example.planted)
        chosen = names[number] if name is None and number < len(names) else name
        tokens[row, list(example.planted.get(chosen or "", ()))] = True
    return tokens & content(batch)


def _best(scores: Tensor, tokens: Tensor) -> Tensor:
    """The highest score among the tokens, `[batch, layer, 1]`; minus infinity without any."""
    return scores.masked_fill(~tokens[:, None], -torch.inf).amax(dim=-1, keepdim=True)


def _undefined(scores: Tensor, batch: Batch, tokens: Tensor) -> Tensor:
    return ~(defined(scores, batch.ranked) & tokens.any(dim=-1)[:, None])


@dataclass(frozen=True)
class PlantedPrecisionAt1:
    """Whether the highest score among the content tokens is a planted token's; NaN where an example plants none.

    Where m tokens tie at the top, j of them planted, it is j / m: a constant explainer scores at chance level.

    Args:
        name: of the planted tokens, e.g. `subject`; None for the first that the task plants.
    """

    cost: ClassVar[str] = "no pass"

    name: str | None = None

    higher_is_better: ClassVar[bool] = True
    chance: ClassVar[bool] = True

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        batch, scores = trace.batch, scores.double().to(trace.logits.device)
        right = planted(batch, self.name)
        top = (scores == _best(scores, content(batch))) & content(batch)[:, None]  # [batch, layer, token]
        value = (top & right[:, None]).sum(dim=-1).double() / top.sum(dim=-1)
        return value.masked_fill(_undefined(scores, batch, right), torch.nan)


@dataclass(frozen=True)
class PlantedReciprocalRank:
    """1 / the rank of the best planted token among the content tokens; NaN where an example plants none.

    Where it ties, the mean over all orders of the tied tokens: a constant explainer scores at chance level.

    Args:
        name: of the planted tokens, e.g. `subject`; None for the first that the task plants.
    """

    cost: ClassVar[str] = "no pass"

    name: str | None = None

    higher_is_better: ClassVar[bool] = True
    chance: ClassVar[bool] = True

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        batch, scores = trace.batch, scores.double().to(trace.logits.device)
        right, text = planted(batch, self.name), content(batch)[:, None]
        best = _best(scores, right)  # [batch, layer, 1]
        tied = (scores == best) & text
        counts = [((scores > best) & text).sum(dim=-1), tied.sum(dim=-1), (tied & right[:, None]).sum(dim=-1)]
        undefined = _undefined(scores, batch, right)
        value = torch.full(scores.shape[:2], torch.nan, dtype=torch.float64)
        for place in (~undefined).nonzero().tolist():
            value[tuple(place)] = _expected_reciprocal_rank(*(int(count[tuple(place)]) for count in counts))
        return value.to(scores.device)


def _expected_reciprocal_rank(above: int, tied: int, right: int) -> float:
    """Expected 1 / rank of the first of `right` tokens among `tied` in random order, after `above` others."""
    ways = comb(tied, right)
    return sum(
        comb(tied - place, right - 1) / ways / (above + place)  # the first of the right ones stands at `place`
        for place in range(1, tied - right + 2)
    )


@dataclass(frozen=True)
class PlantedMargin:
    """The best planted token's score minus the best rival's; NaN where an example lacks either.

    Args:
        name: of the planted tokens, e.g. `subject`; None for the first that the task plants.
        against: of their rivals, e.g. `attractors`; None for the second that the task plants.
        scale: the difference of scores as it is (`raw`), in each explainer's own unit, or as a share of the `range` of
            the content tokens' scores, from -1 to 1 (NaN where they are all equal).
    """

    cost: ClassVar[str] = "no pass"

    name: str | None = None
    against: str | None = None
    scale: str = "raw"

    higher_is_better: ClassVar[bool] = True
    chance: ClassVar[bool] = True

    def __post_init__(self):
        check.choice("scale", self.scale, SCALES)

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        batch, scores = trace.batch, scores.double().to(trace.logits.device)
        right, wrong = planted(batch, self.name), planted(batch, self.against, 1)
        margin = (_best(scores, right) - _best(scores, wrong))[..., 0]
        if self.scale == "range":
            margin = margin / (_best(scores, content(batch)) + _best(-scores, content(batch)))[..., 0]
        undefined = _undefined(scores, batch, right) | _undefined(scores, batch, wrong)
        return margin.masked_fill(undefined, torch.nan)


@dataclass(frozen=True)
class PlantedMass:
    """The planted tokens' share of the sum of the content tokens' absolute scores; NaN where an example plants none.

    NaN too where all scores are zero. (Arras et al. 2022, section 3, call it relevance mass accuracy.)

    Args:
        name: of the planted tokens, e.g. `subject`; None for the first that the task plants.
    """

    cost: ClassVar[str] = "no pass"

    name: str | None = None

    higher_is_better: ClassVar[bool] = True
    chance: ClassVar[bool] = True

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        batch, sizes = trace.batch, scores.double().to(trace.logits.device).abs()
        right = planted(batch, self.name)
        total = sizes.masked_fill(~content(batch)[:, None], 0.0).sum(dim=-1)
        value = sizes.masked_fill(~right[:, None], 0.0).sum(dim=-1) / total.where(total > 0, torch.nan)
        return value.masked_fill(_undefined(sizes, batch, right), torch.nan)
