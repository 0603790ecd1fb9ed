"""BART (Lewis et al. 2020) and its kin: post-LN are BART and Marian, pre-LN mBART, M2M100 with NLLB, and Pegasus.

https://arxiv.org/abs/1910.13461
"""

from harness.tracing.architecture import Architecture, EncoderDecoder


def _family(pre_norm: bool, logits: tuple[str, ...]) -> EncoderDecoder:
    def block(layers: str, attention: str, feed_forward: bool) -> Architecture:
        return Architecture(
            layers=layers,
            query=f"{attention}.q_proj",
            key=f"{attention}.k_proj",
            value=f"{attention}.v_proj",
            attention_output=f"{attention}.out_proj",
            attention_norm=f"{attention}_layer_norm",
            inner="fc1" if feed_forward else None,
            activation="activation_fn" if feed_forward else None,
            outer="fc2" if feed_forward else None,
            feed_forward_norm="final_layer_norm" if feed_forward else None,
            pre_norm=pre_norm,
        )

    return EncoderDecoder(
        encoder=block("encoder.layers", "self_attn", feed_forward=True),
        self_attention=block("decoder.layers", "self_attn", feed_forward=False),
        cross_attention=block("decoder.layers", "encoder_attn", feed_forward=True),
        logits=(logits,),
    )


MODEL_TYPES = {
    "bart": _family(pre_norm=False, logits=("lm_head", "final_logits_bias")),
    "marian": _family(pre_norm=False, logits=("lm_head", "final_logits_bias")),
    "mbart": _family(pre_norm=True, logits=("model.decoder.layer_norm", "lm_head", "final_logits_bias")),
    "pegasus": _family(pre_norm=True, logits=("model.decoder.layer_norm", "lm_head", "final_logits_bias")),
    "m2m_100": _family(pre_norm=True, logits=("model.decoder.layer_norm", "lm_head")),
}
