"""Folders of tiny models with tokenizers, as `save_pretrained` writes them, sound or spoilt."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedTokenizerFast

from tests.architectures import SIZES

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *["a", "dull", "film", "moving", "and", "funny", "not", "very", "good", "bad", "really"],
]


def tokenizer(**named: str) -> PreTrainedTokenizerFast:
    """A tokenizer of a few words, which writes [CLS] and [SEP]."""
    inner = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    inner.pre_tokenizer = Whitespace()
    inner.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"} | {
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
    }
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_input_names=inputs, **special | named)


def saved(folder: Path, kind: str = "bert", head: Any = AutoModelForSequenceClassification, **options: Any) -> Path:
    """The folder of a tiny model of some type with two classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        config = AutoConfig.for_model(kind, **{"num_labels": 2, "vocab_size": 60, **options})
        module = head.from_config(config, attn_implementation="eager")
    module.eval().save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def bert(folder: Path, **options: Any) -> Path:
    """The folder of a tiny BERT."""
    return saved(folder, "bert", **SIZES | {"num_labels": 2} | options)


def edit(folder: Path, **changes: Any) -> None:
    """Change entries of config.json; None removes one."""
    path = folder / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def add_weights(folder: Path, **tensors: torch.Tensor) -> None:
    """Add tensors to the weights; `__` in a name stands for a dot."""
    path = folder / "model.safetensors"
    named = {name.replace("__", "."): tensor for name, tensor in tensors.items()}
    save_file({**load_file(path), **named}, path, metadata={"format": "pt"})
