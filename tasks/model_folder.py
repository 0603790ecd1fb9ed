"""A folder with a transformers model, checked before anything in it is loaded: it may come from anybody."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers import CONFIG_MAPPING

TOKENIZERS = ("tokenizer.json", "vocab.*", "*.model", "*.bpe", "*.tiktoken", "*.spm")
LARGEST = 10_000_000  # of a whole number in config.json, unless the weights themselves are more
# Harmless where the file has them and the model has no place for them: buffers, and the heads of pretraining
BUFFERS = (r"(^|\.)position_ids$", r"rotary_emb\.inv_freq$", r"embed_positions\.weights$", r"(^|coder\.)version$")
UNUSED = (
    *(r"(^|\.)position_ids$", r"rotary_emb\.inv_freq$", r"(^|\.)pooler\.", r"^cls\.", r"^lm_head\.", r"^predictions\."),
    *(
        r"^vocab_(transform|layer_norm|projector)\.",
        r"^(generator|discriminator)_(predictions|lm_head)\.",
        r"^head\.",
        r"^decoder\.",
    ),
)


def check_folder(folder: Path) -> None:
    """Raise ValueError or FileNotFoundError, with a remedy, for a folder that is not to be loaded.

    It must hold `config.json` and safetensors weights, name no code of its own for a model type that transformers does
    not know, and no sizes that its weights do not have.
    """
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"{folder} holds no config.json: expected the folder of a transformers model, with config.json, "
            "model.safetensors and its tokenizer"
        )
    try:
        config: Any = json.loads((folder / "config.json").read_bytes())
    except ValueError as error:
        raise ValueError(f"{folder / 'config.json'} is no JSON ({error}): download the model again") from error
    if not isinstance(config, dict):
        raise ValueError(f"{folder / 'config.json'} holds a {type(config).__name__}, not a model's settings")
    if "auto_map" in config and config.get("model_type") not in CONFIG_MAPPING:
        raise ValueError(
            f"{folder} names code of its own (auto_map in config.json) for the model type {config.get('model_type')!r}"
            ", and Assay runs no code from a model's folder: choose a model of a type that transformers knows"
        )
    if not any(folder.glob("*.safetensors")):
        raise FileNotFoundError(
            f"{folder} holds no safetensors weights, and weights in other formats can run code: save the model with "
            "save_pretrained(folder), which writes them"
        )
    if not any(any(folder.glob(name)) for name in TOKENIZERS):
        raise FileNotFoundError(
            f"{folder} holds no tokenizer (tokenizer.json or vocabulary): save it there with save_pretrained(folder)"
        )
    weights, tensors = 0, 0
    for path in folder.glob("*.safetensors"):
        try:
            with safe_open(path, framework="numpy") as file:
                for name in file.keys():  # noqa: SIM118  it is no mapping
                    size = 1
                    for length in file.get_slice(name).get_shape():
                        size *= length
                    weights, tensors = weights + size, tensors + 1
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path} is damaged ({error}): download the model again") from error
    _check_sizes(folder, config, weights, tensors)


def _check_sizes(folder: Path, config: dict[str, Any], weights: int, tensors: int) -> None:
    limit = max(LARGEST, weights)
    hidden = _first(config, "hidden_size", "dim", "d_model", "n_embd", "emb_dim")
    products = [(key, value) for key, value in _numbers(config) if not isinstance(value, bool) and abs(value) > limit]
    layers = _first(config, "num_hidden_layers", "n_layers", "n_layer")
    inner = _first(config, "intermediate_size", "hidden_dim", "d_inner")
    words = _first(config, "vocab_size", "n_words") * (config.get("embedding_size") or hidden)
    for name, size, most in (
        ("layers", layers, tensors),
        ("hidden size squared", hidden * hidden, weights),
        ("inner times hidden size", inner * hidden, weights),
        ("words times hidden size", words, weights),
    ):
        if isinstance(size, int) and size > most:
            products.append((name, size))
    if products:
        name, size = products[0]
        raise ValueError(
            f"{folder / 'config.json'} and the weights beside it do not belong together: {name} is {size}, and the "
            f"file holds {weights} numbers in {tensors} tensors: download the model again"
        )


def _first(config: dict[str, Any], *names: str) -> int:
    return next((config[name] for name in names if isinstance(config.get(name), int)), 0)


def _numbers(node: Any, key: str = "") -> Iterator[tuple[str, int]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _numbers(value, str(name))
    elif isinstance(node, list):
        for value in node:
            yield from _numbers(value, key)
    elif isinstance(node, int):
        yield key, node
