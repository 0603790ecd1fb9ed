"""A floor: scores drawn by chance."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harness.tracing.run import Trace


@dataclass(frozen=True)
class Random:
    """Uniform scores, drawn from the seed and the example's id: the same in any batch, order or shard."""

    floor = True

    seed: int = 0

    def __call__(self, trace: Trace) -> Tensor:  # [batch, 1, token]
        batch = trace.batch
        scores = torch.zeros(batch.input_ids.shape, dtype=torch.float64)
        for row, example in enumerate(batch.examples):
            n = len(example.input_ids)
            scores[row, :n] = torch.from_numpy(generator(self.seed, example.id).random(n))
        return scores[:, None]


def generator(seed: int, *drawn_for: str | int) -> np.random.Generator:
    """Chance that hangs on the seed and on what is drawn for, e.g. an example's id, and on nothing else."""
    digest = hashlib.sha256(":".join(map(str, (seed, *drawn_for))).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16]))
