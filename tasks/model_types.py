"""Which model types can serve a head: causal ones the next word, encoders a class or a masked word, and so on."""

from typing import Any

from torch import nn
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES,
)

BOTH_WAYS = ("xlnet",)  # has a head for the next word, and tokens that see later ones
OTHER_INPUTS = {**MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES, **MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES}
CHOOSE = "choose one such as Marian, BART, mBART, M2M100, NLLB, Pegasus or T5, with model.name=... or model.path=..."
# Encoder-decoders over text that do not mix tokens by attention from every token to every other, layer by layer
ATTEND_OTHERWISE = {
    "fsmt": "puts tokens before examples",
    "led": "attends within windows",
    "longt5": "attends within windows",
    "nllb-moe": "needs the encoder's routing of tokens to experts",
    "pegasus_x": "attends within blocks",
    "prophetnet": "predicts several tokens at once",
    "switch_transformers": "needs the encoder's routing of tokens to experts",
    "xlm-prophetnet": "predicts several tokens at once",
}


def check_type(config: Any, head: str | None) -> None:
    """Raise ValueError, with a remedy, for a model whose type cannot serve the head, before its weights are read."""
    kind = config.model_type
    both = bool(getattr(config, "is_encoder_decoder", False))
    if head == "seq2seq_lm":
        _check_encoder_decoder(config)
    elif head == "causal_lm":
        if both:
            raise ValueError(
                f"model type {kind!r} is an encoder-decoder, and the task explains the next word of a causal language "
                "model: choose one, e.g. model=smollm2_135m, or task=translation for this one"
            )
        if not _causal(config):
            raise ValueError(
                f"model type {kind!r} is an encoder, whose tokens see later ones, and the task explains the next word: "
                "choose a causal language model, e.g. model=smollm2_135m"
            )
    elif both:
        what = "a masked word of an encoder" if head == "masked_lm" else "a class that an encoder reads at CLS"
        raise ValueError(
            f"model type {kind!r} is an encoder-decoder, and the task explains {what}: choose an encoder such as BERT, "
            "or task=translation for what this model writes"
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


def _check_encoder_decoder(config: Any) -> None:
    kind = config.model_type
    needs = "the task explains what an encoder-decoder writes next"
    if not getattr(config, "is_encoder_decoder", False):
        what = "a causal language model" if _causal(config) else "an encoder"
        other = "minimal_pair" if _causal(config) else "classification"
        raise ValueError(f"model type {kind!r} is {what}, and {needs}: {CHOOSE}, or task={other} for this one")
    if kind in OTHER_INPUTS or kind not in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        raise ValueError(
            f"model type {kind!r} is an encoder-decoder that does not read text alone, and {needs}: {CHOOSE}"
        )
    if kind in ATTEND_OTHERWISE:
        raise ValueError(
            f"model type {kind!r} {ATTEND_OTHERWISE[kind]}, and Assay explains encoder-decoders whose tokens attend to "
            f"all others in every layer: {CHOOSE}"
        )


def check_sides(module: nn.Module) -> None:
    """Raise ValueError for an encoder-decoder whose word embeddings and layers are not where they are looked for."""
    inner: Any = module
    kind = getattr(getattr(module, "config", None), "model_type", type(module).__name__)
    for side, stack in (("encoder", "get_encoder"), ("decoder", "get_decoder")):
        found = getattr(inner, stack, lambda: None)()
        lacks = [] if hasattr(found, "embed_tokens") else ["word embeddings (embed_tokens)"]
        lacks += [] if hasattr(found, "layers") or hasattr(found, "block") else ["layers (layers or block)"]
        if lacks:
            raise ValueError(
                f"model type {kind!r}: its {side} has no {' and no '.join(lacks)}, and Assay does not know where this "
                f"type keeps them: {CHOOSE}"
            )


def _causal(config: Any) -> bool:
    """Whether a token sees only earlier ones. Types with both heads say so in `is_decoder`."""
    if getattr(config, "is_encoder_decoder", False):
        return False
    kind = config.model_type
    only = kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return bool(getattr(config, "is_decoder", False)) or (only and kind not in BOTH_WAYS)
