"""T5 (Raffel et al. 2020): RMSNorm, no biases, positions in attention's weights; version 1.1 and Flan have gates.

https://arxiv.org/abs/1910.10683
"""

from harness.tracing.architecture import Architecture, EncoderDecoder


def t5(config: object) -> EncoderDecoder:
    """The layers that a configuration describes."""
    gated, tied = getattr(config, "is_gated_act", False), getattr(config, "tie_word_embeddings", True)

    def block(layers: str, attention: str, feed_forward: str | None) -> Architecture:
        inside = None if feed_forward is None else f"{feed_forward}.DenseReluDense"
        crosses = "EncDec" in attention
        return Architecture(
            layers=layers,
            query=f"{attention}.q" if crosses else None,  # elsewhere positions have a part in the weights
            key=f"{attention}.k" if crosses else None,
            query_divisor=1.0,
            value=f"{attention}.v",
            attention_output=f"{attention}.o",
            attention_norm=f"{attention.rpartition('.')[0]}.layer_norm",
            inner=inside and f"{inside}.{'wi_1' if gated else 'wi'}",
            gate=f"{inside}.wi_0" if inside and gated else None,
            activation=inside and f"{inside}.act",
            outer=inside and f"{inside}.wo",
            feed_forward_norm=feed_forward and f"{feed_forward}.layer_norm",
            pre_norm=True,
        )

    # version 1.0 ties the output's word vectors to the input's, and scales states down before them
    scaled = getattr(config, "scale_decoder_outputs", tied)
    head = ("decoder.final_layer_norm", getattr(config, "d_model", 1) ** -0.5, "lm_head")
    return EncoderDecoder(
        encoder=block("encoder.block", "layer.0.SelfAttention", "layer.1"),
        self_attention=block("decoder.block", "layer.0.SelfAttention", None),
        cross_attention=block("decoder.block", "layer.1.EncDecAttention", "layer.2"),
        logits=(head if scaled else (head[0], head[2]),),
    )


MODEL_TYPES = {"t5": t5}
