"""Normalised AOPC: comprehensiveness, rescaled between the worst and the best order of tokens (Edin et al. 2025).

https://arxiv.org/abs/2408.08137
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from harness import check
from harness.tracing.run import Trace
from methods.removal import check_parameters, check_removal, log_probability, removable
from methods.removal_steps import ROUNDING, mean_fall, whole

LONGEST_EXACT = 16  # 65,536 runs of one example


@dataclass(frozen=True)
class Naopc:
    """(AOPC - lowest) / (highest - lowest), over all orders in which an example's tokens can be removed.

    AOPC is `Comprehensiveness` over k = 1..n. 1 is the best order, 0 the worst. Where a beam search misses the best
    or the worst order, a value may lie outside 0 to 1, and is not clipped. NaN where no two orders differ by more
    than a float32 model's rounding.

    Args:
        removal: how tokens are removed, see `methods.removal`. The explained position is never deleted.
        exact: up to this number of ranked tokens all 2^n sets are run, and both bounds are exact.
        beam: number of sets kept after each token, for longer examples.
    """

    cost: ClassVar[str] = "passes by set of tokens"

    removal: str = "run"
    exact: int = 10
    beam: int = 5

    higher_is_better: ClassVar[bool] = True

    def __post_init__(self):
        check_parameters(self.removal)
        check.number("exact", self.exact, 0, LONGEST_EXACT)
        check.count("exact", self.exact, low=0)
        check.count("beam", self.beam)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model that cannot be given a text without a token in this way."""
        check_removal(self.removal, model)

    def __call__(self, trace: Trace, scores: Tensor) -> Tensor:  # [batch, layer]
        low, high = self.bounds(trace)[:, :, None].unbind(dim=1)  # [batch, 1] each
        value = mean_fall(trace, scores, self.removal, "counts")
        return ((value - low) / (high - low)).masked_fill(high - low <= ROUNDING, torch.nan)

    def bounds(self, trace: Trace) -> Tensor:
        """The lowest and the highest AOPC of each example, `[batch, 2]`; NaN without a ranked token."""
        ranked = removable(trace, self.removal)
        full = whole(trace).exp()[:, 0, 0]
        bounds = full.new_full((len(ranked), 2), torch.nan)
        searched = []
        for row, n in enumerate(ranked.sum(dim=1).tolist()):
            if n > self.exact:
                searched.append(row)
            elif n > 0:
                mean = self._over_all_orders(trace, row, ranked[row].nonzero()[:, 0])
                bounds[row] = full[row] - torch.tensor(mean[::-1], device=full.device)
        if searched:
            means = self._along_beams(trace, searched, ranked)  # lowest and highest mean probability, [example, 2]
            bounds[searched] = full[searched, None] - torch.from_numpy(means).to(full.device).flip(1)
        return bounds

    def _over_all_orders(self, trace: Trace, row: int, tokens: Tensor) -> tuple[float, float]:
        """Lowest and highest mean of the probability over all orders of one example's tokens.

        The best sum on the way to a set is the set's own value plus the best sum on the way to it less one token.
        """
        n = len(tokens)
        sets = torch.arange(2**n, device=tokens.device)
        member = (sets[:, None] >> torch.arange(n, device=tokens.device)) & 1 == 1  # [set, n]
        removed = member.new_zeros(len(sets), trace.batch.ranked.shape[1])
        removed[:, tokens] = member
        example = torch.full_like(sets, row)
        value = log_probability(trace, removed, self.removal, example).exp().cpu().numpy()
        low, high = np.zeros(2**n), np.zeros(2**n)
        masks, inside = sets.cpu().numpy(), member.cpu().numpy()
        for size in range(1, n + 1):
            chosen = masks[inside.sum(axis=1) == size]
            before = chosen[:, None] & ~(1 << np.arange(n))  # [set, n], the set itself where the token is not in it
            out = ~inside[chosen]
            low[chosen] = value[chosen] + np.where(out, np.inf, low[before]).min(axis=1)
            high[chosen] = value[chosen] + np.where(out, -np.inf, high[before]).max(axis=1)
        return float(low[-1] / n), float(high[-1] / n)

    def _along_beams(self, trace: Trace, rows: Sequence[int], ranked: Tensor) -> np.ndarray:
        """Lowest and highest mean of the probability that a beam search finds, `[example, 2]`."""
        lengths = ranked.sum(dim=1).tolist()
        width = ranked.shape[1]
        # for each example and sign: the sets of the beam, and the sum of the probability on the way to each
        beams = {(row, sign): (np.zeros((1, width), dtype=bool), np.zeros(1)) for row in rows for sign in (1, -1)}
        for size in range(max(lengths[row] for row in rows)):
            grown = {key: _grown(*beams[key], ranked[key[0]].cpu().numpy()) for key in beams if lengths[key[0]] > size}
            removed = torch.from_numpy(np.concatenate([sets for sets, _ in grown.values()])).to(ranked.device)
            example = torch.tensor([key[0] for key, (sets, _) in grown.items() for _ in sets], device=ranked.device)
            value = log_probability(trace, removed, self.removal, example).exp().cpu().numpy()
            start = 0
            for key, (sets, sums) in grown.items():
                sums = sums + value[start : start + len(sets)]
                start += len(sets)
                beams[key] = _best(sets, sums, key[1], self.beam)
        return np.array([[beams[row, sign][1][0] / lengths[row] for sign in (1, -1)] for row in rows])


def _grown(sets: np.ndarray, sums: np.ndarray, ranked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each set plus each ranked token that it lacks, `[set, token]`, and the sum on the way there, `[set]`."""
    origin, token = np.nonzero(ranked & ~sets)
    grown = sets[origin]
    grown[np.arange(len(token)), token] = True
    return grown, sums[origin]


def _best(sets: np.ndarray, sums: np.ndarray, sign: int, beam: int) -> tuple[np.ndarray, np.ndarray]:
    """The `beam` different sets of the lowest `sign * sums`, best first."""
    order = np.argsort(sign * sums, kind="stable")
    first = np.unique(sets[order], axis=0, return_index=True)[1]  # the best way to each set
    kept = order[np.sort(first)[:beam]]
    return sets[kept], sums[kept]
