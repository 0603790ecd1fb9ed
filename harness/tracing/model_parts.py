"""A model taken apart along its architecture: its layers, their parts, and the steps of its head."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.tracing.architecture import Architecture, EncoderDecoder, HeadSteps
from harness.tracing.architectures import architecture_of
from harness.tracing.layer import Layer, Linear, Norm

Step = Linear | Norm | Callable[[Tensor], Tensor]  # on the way from a token's last state to the logits
PARTS = (
    *("value", "attention_output", "attention_norm", "inner", "activation", "outer", "feed_forward_norm"),
    *("query", "key", "attention_output_norm", "gate", "feed_forward_output_norm"),
)


def model_layers(model: nn.Module) -> list[nn.Module]:
    """The model's layers, first to last, an encoder's before a decoder's; ValueError for a type that is not known."""
    architecture = architecture_of(model)
    if isinstance(architecture, EncoderDecoder):
        return [*_layers(model, architecture.encoder), *_layers(model, architecture.self_attention)]
    return _layers(model, architecture)


def _layers(model: nn.Module, architecture: Architecture) -> list[nn.Module]:
    body = getattr(model, "base_model", model)
    return list(body.get_submodule(architecture.layers).children())


def layer_parts(model: nn.Module) -> list[Layer]:
    """The same, taken apart, one for each step; the parts share the model's own weights."""
    architecture, config = architecture_of(model), getattr(model, "config", None)
    heads: int = config.num_attention_heads  # pyright: ignore[reportOptionalMemberAccess]  every type has this name
    if not isinstance(architecture, EncoderDecoder):
        value_heads: int | None = getattr(config, "num_key_value_heads", None)
        return [_layer(module, architecture, heads, value_heads) for module in model_layers(model)]
    found = [_layer(module, architecture.encoder, heads) for module in _layers(model, architecture.encoder)]
    heads = getattr(config, "decoder_attention_heads", heads)
    for module in _layers(model, architecture.self_attention):
        found.append(_layer(module, architecture.self_attention, heads))
        found.append(_layer(module, architecture.cross_attention, heads, crosses=True))
    return found


def _layer(
    module: nn.Module, architecture: Architecture, heads: int, value_heads: int | None = None, crosses: bool = False
) -> Layer:
    paths = {name: path for name in PARTS if (path := getattr(architecture, name)) is not None}
    return Layer(
        heads=heads,
        value_heads=value_heads,
        pre_norm=architecture.pre_norm,
        parallel=architecture.parallel,
        crosses=crosses,
        query_divisor=architecture.query_divisor,
        **{name: _found(module, path, architecture.added_gain, heads) for name, path in paths.items()},
    )


def logit_steps(model: nn.Module, words: Tensor | None = None) -> list[Step]:
    """From the explained token's last state to the logits; ValueError where the model has no head that is known.

    With `words`, `[class]`, only to the logits of these of its outputs.
    """
    architecture = architecture_of(model)
    for steps in architecture.logits:
        try:
            found = _head(model, steps, getattr(architecture, "added_gain", 0.0))
        except AttributeError:
            continue
        return found if words is None else _with_words(found, words)
    raise ValueError(
        f"it follows the state to the logits, and Assay does not know how {type(model).__name__} computes them"
    )


def _head(model: nn.Module, steps: HeadSteps, added_gain: float) -> list[Step]:
    """A factor becomes part of the linear map after it, and a vector of logits a bias of the one before it."""
    found: list[Step] = []
    factor = 1.0
    for step in steps:
        if isinstance(step, float):
            factor *= step
            continue
        one: Any = _found(model, step, added_gain) if isinstance(step, str) else step
        if isinstance(one, Tensor):
            last: Any = found.pop()
            one = Linear(last.weight, last.bias + one[0])
        elif isinstance(one, Linear) and factor != 1.0:
            one, factor = Linear(one.weight * factor, one.bias), 1.0
        found.append(one)
    return found


def _with_words(steps: Sequence[Step], words: Tensor) -> list[Step]:
    last = max(index for index, step in enumerate(steps) if isinstance(step, Linear))
    whole: Any = steps[last]
    return [*steps[:last], Linear(whole.weight[words], whole.bias[words]), *steps[last + 1 :]]


def _found(module: nn.Module, path: str, added_gain: float, heads: int = 1) -> Any:
    path, _, fused = path.partition(":")
    found: Any = module
    for name in path.split("."):
        found = getattr(found, name)
    if found is None or isinstance(found, nn.Identity):
        return None
    if isinstance(found, Tensor):
        return found
    if isinstance(found, nn.LayerNorm) or (getattr(found, "weight", None) is not None and found.weight.dim() == 1):
        return _norm(found, added_gain)
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


def counts_positions(model: nn.Module) -> bool:
    """Whether positions are numbered by counting the tokens that are not padding."""
    kind = getattr(getattr(model, "config", None), "model_type", None)
    return kind == "m2m_100" or first_position(model) > 0


def first_position(model: nn.Module) -> int:
    """The number of the first token's position embedding: 0, or one past the padding's own in RoBERTa and its kin.

    Such models number positions by counting the tokens that are not padding.
    """
    body: Any = getattr(model, "base_model", model)
    positions = getattr(getattr(body, "embeddings", None), "position_embeddings", None)
    padding = getattr(positions, "padding_idx", None)
    return 0 if padding is None else padding + 1
