"""One table: where each model type keeps what methods read."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.tracing.layer import Layer, Linear

Step = Linear | nn.LayerNorm | Callable[[Tensor], Tensor]  # of the way from a token's last state to the logits


@dataclass(frozen=True)
class Places:
    """Dotted paths: of the layers inside the model's body, of a layer's parts inside it, of heads inside the model.

    Args:
        layers: the list of layers, under the body: `base_model` of a transformers model.
        query: a linear map; `path:0` is the first third of a fused one.
        key: a linear map.
        value: a linear map.
        attention_output: the projection of the heads' outputs.
        attention_norm: the LayerNorm behind attention and its residual, or before attention (`pre_norm`).
        inner: the feed-forward's first linear map.
        activation: the feed-forward's.
        outer: the feed-forward's second linear map.
        feed_forward_norm: the LayerNorm behind the feed-forward and its residual, or before it (`pre_norm`).
        logits: for each kind of model that makes them, the steps from the explained token's last state to them.
        pre_norm: where the LayerNorms stand.
    """

    layers: str
    query: str
    key: str
    value: str
    attention_output: str
    attention_norm: str
    inner: str
    activation: str
    outer: str
    feed_forward_norm: str
    logits: tuple[tuple[str | Callable[[Tensor], Tensor], ...], ...]
    pre_norm: bool = False


BERT = Places(
    layers="encoder.layer",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    attention_output="attention.output.dense",
    attention_norm="attention.output.LayerNorm",
    inner="intermediate.dense",
    activation="intermediate.intermediate_act_fn",
    outer="output.dense",
    feed_forward_norm="output.LayerNorm",
    logits=(
        ("bert.pooler.dense", torch.tanh, "classifier"),
        (
            "cls.predictions.transform.dense",
            "cls.predictions.transform.transform_act_fn",
            "cls.predictions.transform.LayerNorm",
            "cls.predictions.decoder",
        ),
    ),
)
ROBERTA = replace(
    BERT,
    logits=(
        ("classifier.dense", torch.tanh, "classifier.out_proj"),
        ("lm_head.dense", functional.gelu, "lm_head.layer_norm", "lm_head.decoder"),
    ),
)

# Not here: ALBERT, which runs one layer over and over, so that no layer has a module of its own, and DeBERTa, whose
# layers hand on more than a state.
TABLE = {
    "agreement_encoder": Places(
        layers="layers",
        query="block.attn.c_attn:0",
        key="block.attn.c_attn:1",
        value="block.attn.c_attn:2",
        attention_output="block.attn.c_proj",
        attention_norm="block.ln_1",
        inner="block.mlp.c_fc",
        activation="block.mlp.act",
        outer="block.mlp.c_proj",
        feed_forward_norm="block.ln_2",
        logits=(("norm", "head"),),
        pre_norm=True,
    ),
    "bert": BERT,
    "distilbert": Places(
        layers="transformer.layer",
        query="attention.q_lin",
        key="attention.k_lin",
        value="attention.v_lin",
        attention_output="attention.out_lin",
        attention_norm="sa_layer_norm",
        inner="ffn.lin1",
        activation="ffn.activation",
        outer="ffn.lin2",
        feed_forward_norm="output_layer_norm",
        logits=(
            ("pre_classifier", functional.relu, "classifier"),
            ("vocab_transform", "activation", "vocab_layer_norm", "vocab_projector"),
        ),
    ),
    "electra": replace(
        BERT,
        logits=(
            ("classifier.dense", functional.gelu, "classifier.out_proj"),
            (
                "generator_predictions.dense",
                functional.gelu,
                "generator_predictions.LayerNorm",
                "generator_lm_head",
            ),
        ),
    ),
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
}


def places(model: nn.Module) -> Places:
    """The table's entry; ValueError for a model type that it does not hold."""
    model_type = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
    if model_type not in TABLE:
        raise ValueError(
            f"it reads inner layers, and Assay does not know where model type {model_type!r} keeps "
            f"them; it knows {', '.join(TABLE)}"
        )
    return TABLE[model_type]


def layers(model: nn.Module) -> list[nn.Module]:
    """The model's layers, first to last; ValueError for a model type that the table does not hold."""
    body = getattr(model, "base_model", model)
    return list(body.get_submodule(places(model).layers).children())


def layer_parts(model: nn.Module) -> list[Layer]:
    """The same, taken apart; the parts share the model's own weights."""
    place, config = places(model), getattr(model, "config", None)
    count: Any = getattr(config, "num_attention_heads", None)  # every type's configuration answers to this name
    parts = []
    for module in layers(model):
        found = {
            name: _found(module, getattr(place, name))
            for name in (
                "query",
                "key",
                "value",
                "attention_output",
                "attention_norm",
                "inner",
                "activation",
                "outer",
                "feed_forward_norm",
            )
        }
        parts.append(Layer(heads=count, pre_norm=place.pre_norm, **found))
    return parts


def logit_steps(model: nn.Module) -> list[Step]:
    """From the explained token's last state to the logits; ValueError where the model has no head that is known."""
    root = getattr(model, "inner", model)  # a masked language model that chooses between words holds it there
    for steps in places(model).logits:
        try:
            return [step if callable(step) else _found(root, step) for step in steps]
        except AttributeError:
            continue
    raise ValueError(
        f"it follows the state to the logits, and Assay does not know how {type(root).__name__} "
        "makes them"
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
    """The number of the first token's position embedding: 0, but behind the padding's own in RoBERTa and its kin.

    Such models number positions by counting the tokens that are not padding.
    """
    body: Any = getattr(model, "base_model", model)
    positions = getattr(getattr(body, "embeddings", None), "position_embeddings", None)
    padding = getattr(positions, "padding_idx", None)
    return 0 if padding is None else padding + 1
