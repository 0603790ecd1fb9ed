"""BERT (Devlin et al. 2019). https://arxiv.org/abs/1810.04805"""

import torch

from harness.tracing.architecture import Architecture

BERT = Architecture(
    layers="encoder.layer",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    attention_output="attention.output.dense",
    attention_norm="attention.output.LayerNorm",
    inner="intermediate.dense",
    activation="intermediate.intermediate_act_fn",
    outer="output.dense",
    feed_forward_norm="output.LayerNorm",
    logits=(
        ("bert.pooler.dense", torch.tanh, "classifier"),
        (
            "cls.predictions.transform.dense",
            "cls.predictions.transform.transform_act_fn",
            "cls.predictions.transform.LayerNorm",
            "cls.predictions.decoder",
        ),
    ),
)
MODEL_TYPES = {"bert": BERT}
