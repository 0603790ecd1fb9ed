"""RoBERTa and XLM-R (Liu et al. 2019): BERT's layers, other heads. https://arxiv.org/abs/1907.11692"""

from dataclasses import replace

import torch
from torch.nn import functional

from harness.tracing.architectures.bert import BERT

ROBERTA = replace(
    BERT,
    logits=(
        ("classifier.dense", torch.tanh, "classifier.out_proj"),
        ("lm_head.dense", functional.gelu, "lm_head.layer_norm", "lm_head.decoder"),
    ),
)
MODEL_TYPES = {"roberta": ROBERTA, "xlm-roberta": ROBERTA}
