"""ModernBERT (Warner et al. 2024): a pre-LN encoder with rotations, gated feed-forwards, and local attention in most
layers. https://arxiv.org/abs/2412.13663
"""

from harness.tracing.architecture import Architecture

HEAD = ("model.final_norm", "head.dense", "head.act", "head.norm")
MODERNBERT = Architecture(
    layers="layers",
    value="attn.Wqkv:2",
    attention_output="attn.Wo",
    attention_norm="attn_norm",
    inner="mlp.Wi:1/2",
    gate="mlp.Wi:0/2",
    activation="mlp.act",
    outer="mlp.Wo",
    feed_forward_norm="mlp_norm",
    logits=((*HEAD, "classifier"), (*HEAD, "decoder")),
    pre_norm=True,
)
MODEL_TYPES = {"modernbert": MODERNBERT}
