"""The model types that Assay knows, one file for each family: its `MODEL_TYPES` are transformers' names for them.

Where a type's layers depend on its configuration, a function takes that instead. A task's own model needs no file: its
module has an attribute `architecture`.

Not here: ALBERT, which runs one layer repeatedly, so that layers have no separate modules, and DeBERTa, whose
layers pass on more than a state.
"""

import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module

from torch import nn

from harness.tracing.architecture import Architecture, EncoderDecoder

Known = Architecture | EncoderDecoder


@cache
def known() -> Mapping[str, Known | Callable[[object], Known]]:
    """Every model type of this folder's files."""
    families = [import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    return {name: architecture for family in families for name, architecture in family.MODEL_TYPES.items()}


def one_architecture_of(model: nn.Module) -> Architecture:
    """The same of an encoder or a decoder; ValueError for an encoder-decoder, which has several."""
    found = architecture_of(model)
    if isinstance(found, EncoderDecoder):
        raise ValueError("it reads the layers of one stack, and this model is an encoder-decoder")
    return found


def architecture_of(model: nn.Module) -> Known:
    """The one that the module declares, or that of its `config.model_type`; ValueError where neither is known."""
    declared = getattr(model, "architecture", None)
    if isinstance(declared, Known):
        return declared
    model_type = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
    if model_type not in known():
        raise ValueError(
            f"it reads inner layers, and Assay does not know where model type {model_type!r} keeps them; "
            f"it knows {', '.join(sorted(known()))}"
        )
    found = known()[model_type]
    return found if isinstance(found, Known) else found(getattr(model, "config", None))
