"""ELECTRA (Clark et al. 2020): BERT's layers, other heads. https://arxiv.org/abs/2003.10555"""

from dataclasses import replace

from torch.nn import functional

from harness.tracing.architectures.bert import BERT

ELECTRA = replace(
    BERT,
    logits=(
        ("classifier.dense", functional.gelu, "classifier.out_proj"),
        (
            "generator_predictions.dense",
            functional.gelu,
            "generator_predictions.LayerNorm",
            "generator_lm_head",
        ),
    ),
)
MODEL_TYPES = {"electra": ELECTRA}
