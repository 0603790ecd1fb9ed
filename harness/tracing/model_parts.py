"""A model taken apart along its architecture: its layers, their parts, and the steps of its head."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.tracing.architecture import Architecture
from harness.tracing.architectures import architecture_of
from harness.tracing.layer import Layer, Linear, Norm

Step = Linear | Norm | Callable[[Tensor], Tensor]  # on the way from a token's last state to the logits
PARTS = ("value", "attention_output", "attention_norm", "inner", "activation", "outer", "feed_forward_norm")
OPTIONAL_PARTS = ("query", "key", "attention_output_norm", "gate", "feed_forward_output_norm")


def model_layers(model: nn.Module) -> list[nn.Module]:
    """The model's layers, first to last; ValueError for a model type that is not known."""
    body = getattr(model, "base_model", model)
    return list(body.get_submodule(architecture_of(model).layers).children())


def layer_parts(model: nn.Module) -> list[Layer]:
    """The same, taken apart; the parts share the model's own weights."""
    architecture, config = architecture_of(model), getattr(model, "config", None)
    heads: int = config.num_attention_heads  # pyright: ignore[reportOptionalMemberAccess]  every type has this name
    value_heads: int | None = getattr(config, "num_key_value_heads", None)
    found = []
    for module in model_layers(model):
        parts = {name: _found(module, getattr(architecture, name), architecture, heads) for name in PARTS}
        for name in OPTIONAL_PARTS:
            path = getattr(architecture, name)
            if path is not None:
                parts[name] = _found(module, path, architecture, heads)
        found.append(
            Layer(
                heads=heads,
                value_heads=value_heads,
                pre_norm=architecture.pre_norm,
                parallel=architecture.parallel,
                **parts,
            )
        )
    return found


def logit_steps(model: nn.Module, words: Tensor | None = None) -> list[Step]:
    """From the explained token's last state to the logits; ValueError where the model has no head that is known.

    With `words`, `[class]`, only to the logits of these of its outputs.
    """
    architecture = architecture_of(model)
    for steps in architecture.logits:
        try:
            found = [step if callable(step) else _found(model, step, architecture) for step in steps]
        except AttributeError:
            continue
        return found if words is None else _with_words(found, words)
    raise ValueError(
        f"it follows the state to the logits, and Assay does not know how {type(model).__name__} computes them"
    )


def _with_words(steps: Sequence[Step], words: Tensor) -> list[Step]:
    last = max(index for index, step in enumerate(steps) if isinstance(step, Linear))
    whole: Any = steps[last]
    return [*steps[:last], Linear(whole.weight[words], whole.bias[words]), *steps[last + 1 :]]


def _found(module: nn.Module, path: str, architecture: Architecture, heads: int = 1) -> Any:
    path, _, fused = path.partition(":")
    found: Any = module
    for name in path.split("."):
        found = getattr(found, name)
    if found is None or isinstance(found, nn.Identity):
        return None
    if isinstance(found, nn.LayerNorm) or (getattr(found, "weight", None) is not None and found.weight.dim() == 1):
        return _norm(found, architecture.added_gain)
    if not hasattr(found, "weight"):
        return found
    # GPT-2 keeps [in, out], every nn.Linear [out, in]
    weight, bias = (found.weight if isinstance(found, nn.Linear) else found.weight.T), found.bias
    bias = bias if bias is not None else weight.new_zeros(len(weight))
    if fused:
        number, _, of = fused.partition("/")
        of, _, each_head = of.partition("/")
        weight, bias = (_part(one, int(number), int(of or 3), heads if each_head else 1) for one in (weight, bias))
    return Linear(weight, bias)


def _part(fused: Tensor, number: int, of: int, groups: int) -> Tensor:
    """One of equal parts along the first axis, `[out, ...]`; of each group, where they lie side by side."""
    return fused.unflatten(0, (groups, of, -1))[:, number].flatten(0, 1)


def _norm(module: Any, added_gain: float) -> Norm:
    centred = isinstance(module, nn.LayerNorm)
    epsilon = module.eps if hasattr(module, "eps") else module.variance_epsilon
    if module.weight is None:  # a LayerNorm without parameters
        size: int = module.normalized_shape[-1]
        return Norm(torch.ones(size), torch.zeros(size), epsilon, centred)
    bias = getattr(module, "bias", None)
    gain = module.weight + added_gain if added_gain else module.weight
    return Norm(gain, torch.zeros_like(gain) if bias is None else bias, epsilon, centred)


def first_position(model: nn.Module) -> int:
    """The number of the first token's position embedding: 0, or one past the padding's own in RoBERTa and its kin.

    Such models number positions by counting the tokens that are not padding.
    """
    body: Any = getattr(model, "base_model", model)
    positions = getattr(getattr(body, "embeddings", None), "position_embeddings", None)
    padding = getattr(positions, "padding_idx", None)
    return 0 if padding is None else padding + 1
