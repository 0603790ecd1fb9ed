"""A floor: the later a token, the higher its score."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from harness.tracing.run import Trace


@dataclass(frozen=True)
class Recency:
    """The token's index in the sentence. In a causal model, methods may tell tokens by their age and nothing else."""

    cost: ClassVar[str] = "no pass"
    layerless: ClassVar[bool] = True
    floor: ClassVar[bool] = True

    def __call__(self, trace: Trace) -> Tensor:  # [batch, 1, token]
        batch, tokens = trace.batch.input_ids.shape
        return torch.arange(tokens, dtype=torch.float64).expand(batch, 1, tokens)
