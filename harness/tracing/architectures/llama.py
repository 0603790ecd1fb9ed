"""Llama (Touvron et al. 2023) and its kin: RMSNorm, grouped queries, a gated feed-forward, rotated queries and keys.

https://arxiv.org/abs/2302.13971. Mistral has windows, Qwen 2 biases of queries, keys and values, Qwen 3 norms of
queries and keys: none of it moves a part.
"""

from harness.tracing.architecture import Architecture

LLAMA = Architecture(
    layers="layers",
    value="self_attn.v_proj",
    attention_output="self_attn.o_proj",
    attention_norm="input_layernorm",
    inner="mlp.up_proj",
    gate="mlp.gate_proj",
    activation="mlp.act_fn",
    outer="mlp.down_proj",
    feed_forward_norm="post_attention_layernorm",
    logits=(("model.norm", "lm_head"),),
    pre_norm=True,
)
MODEL_TYPES = {"llama": LLAMA, "mistral": LLAMA, "qwen2": LLAMA, "qwen3": LLAMA}
