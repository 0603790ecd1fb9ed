"""A tiny, randomly initialised model of each type that Assay supports, with weights scaled for sharp attention."""

from functools import cache

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

from harness.tracing.batch import Example, Role, TwoSided
from tasks.target_word_model import TargetWordModel
from tasks.word_choice_model import WordChoiceModel

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
    "modernbert": SIZES
    | {"bos_token_id": 50, "cls_token_id": 50, "eos_token_id": 51, "sep_token_id": 51}
    | {"local_attention": 6, "global_attn_every_n_layers": 2, "reference_compile": False},
}
DECODER = SIZES | {"bos_token_id": 50, "eos_token_id": 51, "tie_word_embeddings": False}
GROUPED = DECODER | {"num_key_value_heads": 2, "head_dim": 8}
WINDOWS = {"sliding_window": 5, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
DECODERS: dict[str, dict] = {
    "gpt2": DECODER | {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 40, "n_inner": 48},
    "opt": DECODER | {"ffn_dim": 48, "word_embed_proj_dim": 32, "activation_function": "relu"},
    "opt post-LN": DECODER | {"ffn_dim": 48, "word_embed_proj_dim": 16, "do_layer_norm_before": False},
    "gpt_neox": DECODER | {"rotary_pct": 0.5},
    "gpt_neox serial": DECODER | {"use_parallel_residual": False},
    "llama": GROUPED,
    "mistral": GROUPED | {"sliding_window": 5},
    "qwen2": GROUPED,
    "qwen3": GROUPED,
    "gemma": GROUPED | {"hidden_activation": "gelu_pytorch_tanh"},
    "gemma2": GROUPED
    | WINDOWS
    | {"attn_logit_softcapping": 5.0, "final_logit_softcapping": 8.0, "query_pre_attn_scalar": 8},
    "gemma3_text": GROUPED | WINDOWS | {"query_pre_attn_scalar": 8},
}
STACKS = {
    "vocab_size": 60,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "max_position_embeddings": 40,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "init_std": 0.25,
    "pad_token_id": 0,
    "bos_token_id": 50,
    "eos_token_id": 51,
    "decoder_start_token_id": 50,
    "forced_eos_token_id": None,
}
T5 = {
    "vocab_size": 60,
    "d_model": 32,
    "d_kv": 8,
    "num_heads": 4,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "d_ff": 48,
    "pad_token_id": 0,
    "eos_token_id": 51,
    "decoder_start_token_id": 50,
    "relative_attention_num_buckets": 8,
    "initializer_factor": 2.0,
}
ENCODER_DECODERS: dict[str, dict] = {
    "marian": STACKS,
    "bart": STACKS | {"decoder_attention_heads": 4, "activation_function": "gelu"},
    "mbart": STACKS,
    "m2m_100": STACKS,
    "pegasus": STACKS,
    "t5": T5,
    "t5 gated": T5
    | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "d_kv": 6, "initializer_factor": 1.0},
}
CLS, SEP, UNK, MASK = 50, 51, 52, 53


@cache
def tiny(kind: str, head: type = AutoModelForSequenceClassification) -> nn.Module:
    """The model, in eval mode, eager attention, frozen."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        head = AutoModelForCausalLM if kind in DECODERS else AutoModelForSeq2SeqLM if kind in ENCODER_DECODERS else head
        config = AutoConfig.for_model(kind.split()[0], **(KINDS | DECODERS | ENCODER_DECODERS)[kind])
        model = head.from_config(config, attn_implementation="eager")
        for name, parameter in model.named_parameters():  # biases and gains of a new model would hide a missing one
            if kind not in KINDS and parameter.dim() == 1:
                torch.nn.init.normal_(parameter, mean=float("norm" in name and "bias" not in name), std=0.2)
        if kind in ENCODER_DECODERS and hasattr(model, "final_logits_bias"):
            torch.nn.init.normal_(model.final_logits_bias)
    model = model.eval().requires_grad_(False)
    if kind in ENCODER_DECODERS:
        return TargetWordModel(model)
    return WordChoiceModel(model, causal=True) if kind in DECODERS else model


def blanks(kind: str) -> dict[str, int | None]:
    """Ids that replace a removed token."""
    return {"unk": UNK, "mask": MASK, "pad": (KINDS | DECODERS | ENCODER_DECODERS)[kind]["pad_token_id"]}


def example(length: int, seed: int = 0, pair: bool = False, kind: str = "bert") -> Example:
    """CLS, random words, perhaps a separator and more words, and the end token; of a decoder CLS and words."""
    words = torch.randint(3, 50, (length,), generator=torch.Generator().manual_seed(seed)).tolist()
    if kind in DECODERS:
        roles = [Role.CLS, *[Role.CONTENT] * (length - 1), Role.PREDICTS]
        return Example(f"{length}-{seed}", [CLS, *words], roles, length, 0, candidates=[7 + seed, 30])
    ids = [CLS, *words, SEP]
    roles = [Role.CLS, *[Role.CONTENT] * length, Role.FINAL]
    if pair:
        ids[length // 2], roles[length // 2] = SEP, Role.SEPARATOR
    types = [int(pair and index > length // 2) for index in range(len(ids))]
    return Example(f"{length}-{seed}", ids, roles, 0, 0, token_types=types if pair else None)


def two_sided(source: int, prefix: int, seed: int = 0) -> Example:
    """A source of random words with its end, and a prefix of a start and random words."""
    words = torch.randint(3, 50, (source + prefix - 1,), generator=torch.Generator().manual_seed(seed)).tolist()
    ids = [*words[:source], SEP, CLS, *words[source:]]
    roles = [*[Role.CONTENT] * source, Role.FINAL, Role.CLS, *[Role.CONTENT] * (prefix - 1)]
    roles[-1] = Role.PREDICTS
    sides = TwoSided(source + 1, prefix + 2, [*range(source), -1, -1, *range(prefix - 1)], prefix - 1)
    candidates = [7 + seed, 30]
    return Example(f"{source}-{prefix}-{seed}", ids, roles, len(ids) - 1, 0, candidates=candidates, sides=sides)


def source_of(example: Example) -> int:
    """Tokens of its source."""
    assert example.sides is not None
    return example.sides.source
