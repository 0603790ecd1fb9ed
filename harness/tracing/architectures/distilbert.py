"""DistilBERT (Sanh et al. 2019). https://arxiv.org/abs/1910.01108"""

from torch.nn import functional

from harness.tracing.architecture import Architecture

DISTILBERT = Architecture(
    layers="transformer.layer",
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    attention_output="attention.out_lin",
    attention_norm="sa_layer_norm",
    inner="ffn.lin1",
    activation="ffn.activation",
    outer="ffn.lin2",
    feed_forward_norm="output_layer_norm",
    logits=(
        ("pre_classifier", functional.relu, "classifier"),
        ("vocab_transform", "activation", "vocab_layer_norm", "vocab_projector"),
    ),
)
MODEL_TYPES = {"distilbert": DISTILBERT}
