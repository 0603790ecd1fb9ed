"""A floor: random scores."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from harness.tracing.run import Trace
from methods.seeded import generator


@dataclass(frozen=True)
class Random:
    """Uniform scores that depend on the seed and the example's id: the same in any batch, order or shard."""

    cost: ClassVar[str] = "no pass"
    layerless: ClassVar[bool] = True
    floor: ClassVar[bool] = True

    seed: int = 0

    def __call__(self, trace: Trace) -> Tensor:  # [batch, 1, token]
        batch = trace.batch
        scores = torch.zeros(batch.input_ids.shape, dtype=torch.float64)
        for row, example in enumerate(batch.examples):
            n = len(example.input_ids)
            scores[row, :n] = torch.from_numpy(generator(self.seed, example.id).random(n))
        return scores[:, None].to(batch.input_ids.device)
