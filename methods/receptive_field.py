"""How much of a score comes from the number of tokens that a query can see, and ways to take it out.

In a causal model an early token is read by more queries than a late one, over more paths. Abnar & Zuidema 2020 (section
3) ask to normalise by the receptive field there, without saying how; these are several ways, and they are not the same.
https://arxiv.org/abs/2005.00928
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from harness import check
from harness.tracing.run import Trace
from harness.tracing.steps import Side
from methods.seeded import generator

RECEPTIVE_FIELDS = ("none", "size", "uniform", "rows_shuffled")


def check_receptive_field(how: str, draws: int, seed: int, more: tuple[str, ...] = ()) -> None:
    """Raise ValueError for an unknown way, or a number of draws or a seed that is none."""
    check.choice("receptive_field", how, (*RECEPTIVE_FIELDS, *more))
    check.count("draws", draws)
    check.count("seed", seed, low=0)


def normalised(
    trace: Trace, attention: Tensor, score: Callable[[Tensor], Tensor], how: str, draws: int, seed: int
) -> Tensor:
    """Scores `score(attention)`, taken in relation to the receptive field.

    Args:
        trace: that the attention belongs to.
        attention: `[batch, step, (head,) query, key]`, rows that sum to 1.
        score: attention of this shape to scores, `[batch, layer, (head,) token]`.
        how: `size`, each row of attention times the number of keys that its query sees; `uniform`, the score divided
            by its value where every query attends equally to all keys that it sees; `rows_shuffled`, divided by its
            mean where each row's weights are shuffled among those keys; or `none`.
        draws: of shuffled rows.
        seed: of the shuffling, together with the example's id.
    """
    if how == "none":
        return score(attention)
    seen = trace.visible.to(attention.dtype)
    seen = seen.view(*seen.shape[:2], *[1] * (attention.dim() - 4), *seen.shape[2:])
    sizes = seen.sum(dim=-1, keepdim=True)
    if how == "size":
        return score(attention * sizes)
    if how == "uniform":
        expected = score((seen / sizes.clamp(min=1)).expand_as(attention))
    else:
        expected = torch.zeros_like(score(attention))
        for draw in range(draws):
            source = permuted_keys(trace, seed, draw)
            source = source if attention.dim() == 4 else source[:, :, None]
            expected += score(attention.gather(-1, source.expand_as(attention))) / draws
    return score(attention) / expected.where(expected > 0, 1.0)  # what nothing reaches stays zero


def permuted_keys(trace: Trace, seed: int, *draw: int) -> Tensor:
    """Which key's weight each key gets, `[batch, step, query, key]`; what a query cannot see keeps its own.

    Rows, steps and examples have independent permutations, which depend on the seed and the example's id: the same in
    any batch, order or shard.
    """
    batch, steps = trace.batch, trace.steps
    width, side = batch.input_ids.shape[1], batch.side.cpu().numpy()
    source = torch.arange(width).repeat(len(batch.examples), len(steps), width, 1)
    for row, example in enumerate(batch.examples):
        for number, step in enumerate(steps):
            numbers = generator(seed, example.id, number + 1, *draw)
            queries, keys = (_places(side[row], one) for one in (step.queries, step.keys))
            if step.causal:
                for query in queries:
                    seen = keys[keys <= query]
                    source[row, number, query, seen] = torch.from_numpy(numbers.permutation(seen))
            else:
                own = np.tile(keys, (len(queries), 1))
                source[row, number][np.ix_(queries, keys)] = torch.from_numpy(numbers.permuted(own, axis=1))
    return source.to(batch.input_ids.device)


def _places(side: np.ndarray, of: Side | None) -> np.ndarray:
    """The indices of a side's tokens, or of all."""
    return np.flatnonzero(side != Side.PADDING if of is None else side == of)
