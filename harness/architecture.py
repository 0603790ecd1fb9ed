"""One table: where each model type keeps what methods read."""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Places:
    """Dotted paths inside a model."""

    layers: str  # the list of its layers


TABLE = {
    "agreement_encoder": Places(layers="layers"),
    "bert": Places(layers="bert.encoder.layer"),
    "distilbert": Places(layers="distilbert.transformer.layer"),
}


def layers(model: nn.Module) -> list[nn.Module]:
    """The model's layers, first to last; ValueError for a model type that the table does not hold."""
    model_type = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
    if model_type not in TABLE:
        raise ValueError(
            f"model type {model_type!r} is not in harness/architecture.py, which knows {', '.join(TABLE)}: "
            "add where it keeps its layers, or leave out the explainers that read inner layers"
        )
    found = model.get_submodule(TABLE[model_type].layers)
    return list(found.children())
