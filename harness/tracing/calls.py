"""Calling a model of transformers, whatever its type takes."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

OPTIONAL = (  # FNet takes no mask, XLM no token types, Bloom no positions
    *("attention_mask", "token_type_ids", "position_ids"),
    *("output_attentions", "use_cache", "past_key_values"),
)


def called(model: nn.Module, inputs: Mapping[str, Tensor], **options: object) -> Any:
    """What the model returns for inputs; those of `OPTIONAL` are left out where it does not take them."""
    given = {name: value for name, value in {**inputs, **options}.items() if takes(model, name)}
    try:
        return model(**given)
    except (ValueError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # the library raises many kinds of errors for what a model type cannot do
        shape = tuple(inputs["input_ids"].shape)
        raise ValueError(
            f"{type(model).__name__} fails on input of shape {shape} ({type(error).__name__}: {error}): choose another "
            "model, or texts that it can take"
        ) from error


def takes(model: nn.Module, name: str) -> bool:
    """Whether a model's forward takes an argument; true for all but those of `OPTIONAL`."""
    if name not in OPTIONAL:
        return True
    parameters = inspect.signature(model.forward).parameters
    return name in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())


def exclusive_classes(model: nn.Module) -> bool:
    """Whether a model's classes exclude each other, as its module or its configuration declares."""
    declared = getattr(model, "exclusive_classes", None)
    if declared is not None:
        return bool(declared)
    return getattr(getattr(model, "config", None), "problem_type", None) != "multi_label_classification"
