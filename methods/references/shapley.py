"""Shapley values of the tokens (Shapley 1953; sampled by permutations as in Castro et al. 2009, section 2).

In antithetic pairs, a permutation and its reverse (Mitchell et al. 2022, section 3.2).
https://doi.org/10.1016/j.cor.2008.04.004, https://arxiv.org/abs/2104.12199
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from harness import check
from harness.tracing.batch import TEXT
from harness.tracing.run import Trace
from methods.removal import check_parameters, check_removal, logits_without
from methods.seeded import generator

SIGNS = ("absolute", "signed")


@dataclass(frozen=True)
class Shapley:
    """A token's mean contribution to the run's output, over all orders in which the tokens can join.

    The players are all of the example's tokens, special ones too, except the explained position, which the output
    needs and which has no score. In an encoder-decoder special tokens are no players: something must be there to be
    read when all players are removed. A token that has not joined is removed. Whether exact or sampled, the signed
    scores add up to the output of the whole sentence minus that of the sentence with every player removed.

    Args:
        removal: how a token that has not joined is removed, see `methods.removal`.
        exact: up to this number of players all subsets are run; beyond it permutations are sampled.
        permutations: how many, a multiple of 4: two halves of pairs. Each takes one run per player.
        sign: `absolute`, as in blank-out, or `signed`.
        seed: of the permutations, which depend on it and on the example's id.
    """

    cost: ClassVar[str] = "passes by step and token"

    removal: str = "run"
    exact: int = 8
    permutations: int = 16
    sign: str = "absolute"
    seed: int = 0

    def __post_init__(self):
        check_parameters(self.removal)
        check.count("exact", self.exact, low=0)
        check.count("permutations", self.permutations, low=4)
        check.choice("sign", self.sign, SIGNS)
        if self.permutations % 4:
            raise ValueError(f"permutations is a multiple of 4, two halves of pairs, got {self.permutations}")

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model that cannot be given a text without a token in this way."""
        check_removal(self.removal, model)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, token]
        return self._final(_mean(self._pairs(trace)))

    def halves(self, trace: Trace) -> tuple[Tensor, Tensor]:
        """Scores from either half of the permutations, `[batch, token]` each; both the same where they are exact.

        Each is what a run with half the permutations would give, so where signs are dropped, this is done after each
        half's own mean. The mean of the halves is the scores if they are signed; if absolute, where both halves agree
        in sign.
        """
        pairs = self._pairs(trace)  # [batch, pair, token]
        return self._final(_mean(pairs[:, 0::2])), self._final(_mean(pairs[:, 1::2]))

    def standard_error(self, trace: Trace) -> Tensor:
        """Standard error of the signed scores, from the independent pairs: `[batch, token]`, 0 where exact."""
        pairs = self._pairs(trace)
        return (pairs - pairs[:, :1]).std(dim=1) / pairs.shape[1] ** 0.5

    def _final(self, scores: Tensor) -> Tensor:
        return scores.abs() if self.sign == "absolute" else scores

    def _pairs(self, trace: Trace) -> Tensor:
        """The estimate of each pair of permutations, `[batch, pair, token]`: all alike where exact; NaN for none."""
        # scores, halves and error need the same thousands of runs: kept as long as the trace, and no longer
        kept = _KEPT.setdefault(trace, {})
        settings = (self.removal, self.exact, self.permutations, self.seed)
        if settings not in kept:
            kept[settings] = self._estimates(trace)
        return kept[settings]

    def _estimates(self, trace: Trace) -> Tensor:
        batch = trace.batch
        players = [
            [
                token
                for token, role in enumerate(example.roles)
                if token != example.position and (trace.sides is None or role in TEXT)
            ]
            for example in batch.examples
        ]
        ranks = [self._ranks(example.id, len(own)) for example, own in zip(batch.examples, players, strict=True)]
        joined = [_subsets(len(own)) if rank is None else _prefixes(rank) for own, rank in zip(players, ranks)]  # noqa: B905
        values = self._values(trace, players, joined)
        shape = len(players), self.permutations // 2, batch.input_ids.shape[1]
        pairs = torch.full(shape, torch.nan, dtype=torch.float64)
        for row, (own, rank, value) in enumerate(zip(players, ranks, values, strict=True)):
            estimate = _exact(value, len(own)) if rank is None else _sampled(value, rank)
            pairs[row][:, own] = torch.from_numpy(estimate).expand(shape[1], -1)
        return pairs.to(trace.logits.device)

    def _ranks(self, id: str, n: int) -> np.ndarray | None:
        """Each player's index in each permutation, `[pair, 2, player]`; None where all subsets are run."""
        if n <= self.exact:
            return None
        own = np.tile(np.arange(n), (self.permutations // 2, 1))
        drawn = generator(self.seed, id).permuted(own, axis=1)
        return np.stack([drawn, n - 1 - drawn], axis=1)

    def _values(self, trace: Trace, players: Sequence[Sequence[int]], joined: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The output for each example's coalitions, `[coalition, player]` -> `[coalition]`; equal inputs run once."""
        device = trace.batch.input_ids.device
        counts = [len(coalitions) for coalitions in joined]
        example = torch.arange(len(joined), device=device).repeat_interleave(torch.tensor(counts, device=device))
        absent = torch.zeros(len(example), trace.batch.input_ids.shape[1], dtype=torch.bool)  # [coalition, token]
        for own, coalitions, rows in zip(players, joined, absent.split(counts), strict=True):
            rows[:, own] = torch.from_numpy(~coalitions)
        drawn = logits_without(trace, absent, self.removal, example)
        values = torch.stack([trace.output(logits, example) for logits in drawn]).mean(dim=0)
        return [part.numpy() for part in values.cpu().split(counts)]


_KEPT: WeakKeyDictionary[Trace, dict[tuple, Tensor]] = WeakKeyDictionary()


def _mean(pairs: Tensor) -> Tensor:
    """Mean over pairs, `[batch, token]`; where all pairs are alike, exactly their value."""
    return pairs[:, 0] + (pairs - pairs[:, :1]).mean(dim=1)


def _subsets(n: int) -> np.ndarray:
    """The players in each subset, `[subset, player]`; the binary digits of s are the members of subset s."""
    return np.arange(2**n)[:, None] >> np.arange(n) & 1 == 1


def _exact(values: np.ndarray, n: int) -> np.ndarray:
    """Shapley values from the output for every subset, `[1, player]`."""
    subset = np.arange(2**n)
    size = _subsets(n).sum(axis=1)
    scores = np.empty((1, n))
    for player in range(n):
        without = subset[subset >> player & 1 == 0]
        weight = np.array([1 / (n * comb(n - 1, others)) for others in size[without]])
        scores[0, player] = weight @ (values[without | 1 << player] - values[without])
    return scores


def _prefixes(rank: np.ndarray) -> np.ndarray:
    """The players that have joined after 0, 1, ..., n steps of each permutation, `[pair * 2 * step, player]`."""
    n = rank.shape[-1]
    return (rank[:, :, None] < np.arange(n + 1)[:, None]).reshape(-1, n)


def _sampled(values: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Each pair's mean of what the players added when they joined, `[pair, player]`."""
    steps = np.diff(values.reshape(*rank.shape[:2], -1), axis=-1)  # [pair, 2, place]
    return np.take_along_axis(steps, rank, axis=-1).mean(axis=1)
