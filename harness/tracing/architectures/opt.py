"""OPT (Zhang et al. 2022): learned positions; the 350m model is post-LN, with maps into and out of its narrower
embedding. https://arxiv.org/abs/2205.01068
"""

from harness.tracing.architecture import Architecture


def opt(config: object) -> Architecture:
    """The layers that a configuration describes."""
    pre_norm, width = getattr(config, "do_layer_norm_before", True), getattr(config, "hidden_size", None)
    head = ["lm_head"]
    if getattr(config, "word_embed_proj_dim", width) != width:
        head.insert(0, "model.decoder.project_out")
    if pre_norm and not getattr(config, "_remove_final_layer_norm", False):
        head.insert(0, "model.decoder.final_layer_norm")
    return Architecture(
        layers="decoder.layers",
        value="self_attn.v_proj",
        attention_output="self_attn.out_proj",
        attention_norm="self_attn_layer_norm",
        inner="fc1",
        activation="activation_fn",
        outer="fc2",
        feed_forward_norm="final_layer_norm",
        logits=(tuple(head),),
        pre_norm=pre_norm,
    )


MODEL_TYPES = {"opt": opt}
