"""A tiny, randomly initialised model of each type that Assay supports, with weights scaled for sharp attention."""

from functools import cache

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification

from harness.tracing.batch import Example, Role

SIZES = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "initializer_range": 0.25,
    "num_labels": 3,
    "pad_token_id": 0,
}
DISTIL = {
    "vocab_size": 60,
    "dim": 32,
    "n_layers": 3,
    "n_heads": 4,
    "hidden_dim": 48,
    "max_position_embeddings": 40,
    "initializer_range": 0.25,
    "num_labels": 3,
    "pad_token_id": 0,
}
KINDS: dict[str, dict] = {
    "bert": SIZES,
    "distilbert": DISTIL,
    "roberta": SIZES | {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
    "electra": SIZES | {"embedding_size": 16},
    "albert": SIZES | {"embedding_size": 16},
    "deberta-v2": SIZES | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False},
    "mpnet": SIZES | {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},  # a type that is in none of our tables
}
CLS, SEP, UNK, MASK = 50, 51, 52, 53


@cache
def tiny(kind: str, head: type = AutoModelForSequenceClassification) -> nn.Module:
    """The model, in eval mode, eager attention, frozen."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = head.from_config(AutoConfig.for_model(kind, **KINDS[kind]), attn_implementation="eager")
    return model.eval().requires_grad_(False)


def blanks(kind: str) -> dict[str, int | None]:
    """Ids that replace a removed token."""
    return {"unk": UNK, "mask": MASK, "pad": KINDS[kind]["pad_token_id"]}


def example(length: int, seed: int = 0, pair: bool = False) -> Example:
    """CLS, random words, perhaps a separator and more words, and the end token."""
    words = torch.randint(3, 50, (length,), generator=torch.Generator().manual_seed(seed)).tolist()
    ids = [CLS, *words, SEP]
    roles = [Role.CLS, *[Role.CONTENT] * length, Role.FINAL]
    if pair:
        ids[length // 2], roles[length // 2] = SEP, Role.SEPARATOR
    types = [int(pair and index > length // 2) for index in range(len(ids))]
    return Example(f"{length}-{seed}", ids, roles, 0, 0, token_types=types if pair else None)
