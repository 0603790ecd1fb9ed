"""GPT-2 (Radford et al. 2019): pre-LN, one map for queries, keys and values, learned positions."""

from harness.tracing.architecture import Architecture

GPT2 = Architecture(
    layers="h",
    value="attn.c_attn:2",
    attention_output="attn.c_proj",
    attention_norm="ln_1",
    inner="mlp.c_fc",
    activation="mlp.act",
    outer="mlp.c_proj",
    feed_forward_norm="ln_2",
    logits=(("transformer.ln_f", "lm_head"),),
    pre_norm=True,
)
MODEL_TYPES = {"gpt2": GPT2}
