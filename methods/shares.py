"""Faithfulness relative to what the model predicts without any token (Carton et al. 2020).

https://arxiv.org/abs/2010.04736
"""

import torch
from torch import Tensor

from methods.removal_steps import ROUNDING


def null_loss(full: Tensor, empty: Tensor) -> Tensor:
    """1 - S(x, nothing) = p(x) - p(nothing); NaN where the empty input predicts the class as well as the input does.

    A share is then undefined. A loss within a float32 model's rounding counts as no loss.
    """
    loss = full - empty
    return loss.masked_fill(loss <= ROUNDING, torch.nan)


def kept_share(full: Tensor, kept: Tensor, loss: Tensor) -> Tensor:
    """Normalised sufficiency, (S(x, r) - S(x, nothing)) / (1 - S(x, nothing)) with S = 1 - max(0, p(x) - p(r))."""
    return (1 - (full - kept).clamp(min=0.0) / loss).clamp(0.0, 1.0)


def lost_share(full: Tensor, without: Tensor, loss: Tensor) -> Tensor:
    """Normalised comprehensiveness, max(0, p(x) - p(x without r)) / (1 - S(x, nothing))."""
    return ((full - without).clamp(min=0.0) / loss).clamp(0.0, 1.0)
