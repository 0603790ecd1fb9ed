"""A model taken apart along its architecture: its layers, their parts, and the steps of its head."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from harness.tracing.architectures import architecture_of
from harness.tracing.layer import Layer, Linear

Step = Linear | nn.LayerNorm | Callable[[Tensor], Tensor]  # on the way from a token's last state to the logits
PARTS = (
    *("query", "key", "value", "attention_output", "attention_norm"),
    *("inner", "activation", "outer", "feed_forward_norm"),
)


def model_layers(model: nn.Module) -> list[nn.Module]:
    """The model's layers, first to last; ValueError for a model type that is not known."""
    body = getattr(model, "base_model", model)
    return list(body.get_submodule(architecture_of(model).layers).children())


def layer_parts(model: nn.Module) -> list[Layer]:
    """The same, taken apart; the parts share the model's own weights."""
    architecture, config = architecture_of(model), getattr(model, "config", None)
    heads: Any = getattr(config, "num_attention_heads", None)  # every type's configuration has this name
    return [
        Layer(
            heads=heads,
            pre_norm=architecture.pre_norm,
            **{name: _found(module, getattr(architecture, name)) for name in PARTS},
        )
        for module in model_layers(model)
    ]


def logit_steps(model: nn.Module) -> list[Step]:
    """From the explained token's last state to the logits; ValueError where the model has no head that is known."""
    for steps in architecture_of(model).logits:
        try:
            return [step if callable(step) else _found(model, step) for step in steps]
        except AttributeError:
            continue
    raise ValueError(
        f"it follows the state to the logits, and Assay does not know how {type(model).__name__} computes them"
    )


def _found(module: nn.Module, path: str) -> Any:
    path, _, third = path.partition(":")
    found: Any = module
    for name in path.split("."):
        found = getattr(found, name)
    if isinstance(found, nn.LayerNorm) or not hasattr(found, "weight"):
        return found
    # GPT-2 keeps [in, out], every nn.Linear [out, in]
    weight, bias = (found.weight if isinstance(found, nn.Linear) else found.weight.T), found.bias
    if third:
        weight, bias = weight.chunk(3)[int(third)], bias.chunk(3)[int(third)]
    return Linear(weight, bias if bias is not None else weight.new_zeros(len(weight)))


def first_position(model: nn.Module) -> int:
    """The number of the first token's position embedding: 0, or one past the padding's own in RoBERTa and its kin.

    Such models number positions by counting the tokens that are not padding.
    """
    body: Any = getattr(model, "base_model", model)
    positions = getattr(getattr(body, "embeddings", None), "position_embeddings", None)
    padding = getattr(positions, "padding_idx", None)
    return 0 if padding is None else padding + 1
