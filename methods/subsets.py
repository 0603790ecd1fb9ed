"""Random token sets that depend on the example's id: the same in any batch and for any explainer."""

import math

import torch
from torch import Tensor

from harness.tracing.batch import Batch
from methods.seeded import generator


def coin_flips(batch: Batch, ranked: Tensor, samples: int, seed: int) -> Tensor:
    """Sets that hold each ranked token with probability 1/2, `[batch, sample, token]`."""
    chance = _chance(batch, samples, seed)
    return (chance < 0.5) & ranked[:, None]


def of_share(batch: Batch, ranked: Tensor, share: float, samples: int, seed: int) -> Tensor:
    """Equally likely sets of the given share of an example's n ranked tokens, rounded up, `[batch, sample, token]`."""
    chance = _chance(batch, samples, seed).masked_fill(~ranked[:, None], torch.inf)
    n = ranked.sum(dim=1).tolist()
    # a product such as 0.1 * 30 can come out just above the whole number that it is
    sizes = torch.tensor([math.ceil(share * each - 1e-9) for each in n], device=ranked.device)
    places = chance.argsort(dim=-1).argsort(dim=-1)
    return (places < sizes[:, None, None]) & ranked[:, None]


def _chance(batch: Batch, samples: int, seed: int) -> Tensor:
    chance = torch.zeros(len(batch.examples), samples, batch.input_ids.shape[1], dtype=torch.float64)
    for row, example in enumerate(batch.examples):
        n = len(example.input_ids)
        chance[row, :, :n] = torch.from_numpy(generator(seed, example.id).random((samples, n)))
    return chance.to(batch.input_ids.device)
