"""GPT-NeoX and Pythia (Black et al. 2022): attention and feed-forward in parallel, queries, keys and values fused per
head, partial rotation. https://arxiv.org/abs/2204.06745
"""

from harness.tracing.architecture import Architecture


def gpt_neox(config: object) -> Architecture:
    """The layers that a configuration describes."""
    return Architecture(
        layers="layers",
        value="attention.query_key_value:2/3/head",
        attention_output="attention.dense",
        attention_norm="input_layernorm",
        inner="mlp.dense_h_to_4h",
        activation="mlp.act",
        outer="mlp.dense_4h_to_h",
        feed_forward_norm="post_attention_layernorm",
        logits=(("gpt_neox.final_layer_norm", "embed_out"), ("gpt_neox.final_layer_norm", "lm_head")),
        pre_norm=True,
        parallel=getattr(config, "use_parallel_residual", True),
    )


MODEL_TYPES = {"gpt_neox": gpt_neox}
