"""A floor: the earlier a token stands, the more it counts."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from harness.tracing.run import Trace


@dataclass(frozen=True)
class Position:
    """Minus the token's place in the sentence, CLS first. A table that this method leads says nothing of models."""

    cost: ClassVar[str] = "no pass"
    floor: ClassVar[bool] = True

    def __call__(self, trace: Trace) -> Tensor:  # [batch, 1, token]
        batch, tokens = trace.batch.input_ids.shape
        return -torch.arange(tokens, dtype=torch.float64).expand(batch, 1, tokens)
