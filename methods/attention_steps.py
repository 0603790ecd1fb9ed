"""The steps of a model as seen by a torch function mode, and a mode that replaces attention.

The mode sees every function that a forward pass calls, in any model type, and leaves nothing behind when it exits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

SOFTMAX = (F.softmax, torch.softmax, Tensor.softmax)
PRODUCT = (torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm)
LINEAR = (F.linear, torch.addmm)


def linear_weight(function: Callable, arguments: Sequence[Any]) -> tuple[Tensor, Tensor, Tensor | None]:
    """Input, weight as `[out, in]` and bias of a call to one of `LINEAR`."""
    if function is torch.addmm:  # transformers' Conv1D
        bias, inputs, weight = arguments[:3]
        return inputs, weight.T, bias
    return arguments[0], arguments[1], arguments[2] if len(arguments) > 2 else None


@dataclass
class ReplacedAttention(TorchFunctionMode):
    """Replaces one layer's attention by `attention`, `[batch, head, query, key]`; `number` counts from 0.

    Attributes:
        seen: number of attention softmaxes so far, to compare with the number of layers.
    """

    number: int
    attention: Tensor
    seen: int = 0

    def __post_init__(self):
        super().__init__()

    def __torch_function__(
        self, func: Callable, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in SOFTMAX and result.dim() == 4:
            self.seen += 1
            if self.seen == self.number + 1:
                return self.attention
        return result
