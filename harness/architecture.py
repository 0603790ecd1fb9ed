"""One table: where each model type keeps what methods read."""

from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Places:
    """Dotted paths inside a model, under its body: `base_model` of a transformers model."""

    layers: str  # the list of its layers


# Not here: ALBERT, which runs one layer over and over, so that no layer has a module of its own, and DeBERTa, whose
# layers hand on more than a state.
TABLE = {
    "agreement_encoder": Places(layers="layers"),
    "bert": Places(layers="encoder.layer"),
    "distilbert": Places(layers="transformer.layer"),
    "electra": Places(layers="encoder.layer"),
    "roberta": Places(layers="encoder.layer"),
    "xlm-roberta": Places(layers="encoder.layer"),
}


def layers(model: nn.Module) -> list[nn.Module]:
    """The model's layers, first to last; ValueError for a model type that the table does not hold."""
    model_type = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
    if model_type not in TABLE:
        raise ValueError(
            f"it reads inner layers, and harness/architecture.py does not say where model type {model_type!r} keeps "
            f"them; it knows {', '.join(TABLE)}"
        )
    body = getattr(model, "base_model", model)
    return list(body.get_submodule(TABLE[model_type].layers).children())


def first_position(model: nn.Module) -> int:
    """The number of the first token's position embedding: 0, but behind the padding's own in RoBERTa and its kin.

    Such models number positions by counting the tokens that are not padding.
    """
    body: Any = getattr(model, "base_model", model)
    positions = getattr(getattr(body, "embeddings", None), "position_embeddings", None)
    padding = getattr(positions, "padding_idx", None)
    return 0 if padding is None else padding + 1
