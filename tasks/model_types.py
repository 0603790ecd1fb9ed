"""Which model types can serve a head: causal ones the next word, encoders a class or a masked word."""

from typing import Any

from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

BOTH_WAYS = ("xlnet",)  # has a head for the next word, and tokens that see later ones


def check_type(config: Any, head: str | None) -> None:
    """Raise ValueError, with a remedy, for a model whose type cannot serve the head, before its weights are read."""
    kind = config.model_type
    if head == "causal_lm":
        if getattr(config, "is_encoder_decoder", False):
            raise ValueError(
                f"model type {kind!r} is an encoder-decoder, and the task explains the next word of a causal language "
                "model: choose one, e.g. model=smollm2_135m"
            )
        if not _causal(config):
            raise ValueError(
                f"model type {kind!r} is an encoder, whose tokens see later ones, and the task explains the next word: "
                "choose a causal language model, e.g. model=smollm2_135m"
            )
    elif head == "masked_lm" and _causal(config):
        raise ValueError(
            f"model type {kind!r} runs with a causal mask, and the task explains a masked word, which is read from "
            "both sides: choose a masked language model, e.g. model=bert_base, or task=minimal_pair for this one"
        )
    elif head == "classification" and _causal(config):
        raise ValueError(
            f"model type {kind!r} runs with a causal mask, and the task explains a class that is read at CLS: choose "
            "an encoder such as BERT, or task=minimal_pair for this model's next word"
        )


def _causal(config: Any) -> bool:
    """Whether a token sees only earlier ones. Types with both heads say so in `is_decoder`."""
    if getattr(config, "is_encoder_decoder", False):
        return False
    kind = config.model_type
    only = kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return bool(getattr(config, "is_decoder", False)) or (only and kind not in BOTH_WAYS)
