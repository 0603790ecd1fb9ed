"""Gemma (Gemma Team 2024, 2025): Llama's layers with gains stored as differences from 1; from Gemma 2 on with norms of
what attention and feed-forward write, and in Gemma 2 with capped logits. https://arxiv.org/abs/2408.00118
"""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from harness.tracing.architecture import Architecture
from harness.tracing.architectures.llama import LLAMA

GEMMA = replace(LLAMA, added_gain=1.0)


def capped(logits: Tensor, cap: float) -> Tensor:
    """Logits squeezed between plus and minus a cap."""
    return torch.tanh(logits / cap) * cap


def gemma2(config: object) -> Architecture:
    """The layers that a configuration describes."""
    cap = getattr(config, "final_logit_softcapping", None)
    steps = ("model.norm", "lm_head")
    return replace(
        GEMMA,
        attention_output_norm="post_attention_layernorm",
        feed_forward_norm="pre_feedforward_layernorm",
        feed_forward_output_norm="post_feedforward_layernorm",
        logits=(steps if cap is None else (*steps, partial(capped, cap=cap)),),
    )


MODEL_TYPES = {"gemma": GEMMA, "gemma2": gemma2, "gemma3_text": gemma2}
