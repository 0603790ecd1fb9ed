"""The shared real checkpoints, each loaded once with a few of its sentences, and their parts by name."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging

from harness.tracing.batch import Batch, Example, Role, collate
from harness.tracing.run import Trace
from tasks.word_choice_model import WordChoiceModel
from tests.conftest import shared

SST2, MASKED = "distilbert-minilm-sst2", "bert-minilm-mlm"
TEXTS = {
    SST2: ["a dull , lifeless film .", "moving and funny"],
    MASKED: ["the nurse said [MASK] was late .", "[MASK] is a king"],
}


@cache
def real_model(name: str, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, Batch]:
    """The model, eager, frozen and in eval mode, and its sentences as one batch."""
    folder = shared("checkpoints", name)
    logging.disable_progress_bar()
    head = AutoModelForSequenceClassification if name == SST2 else AutoModelForMaskedLM
    module = head.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True)
    module = module.to(dtype).eval().requires_grad_(False)
    tokens = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    examples = []
    for text in TEXTS[name]:
        ids = tokens(text)["input_ids"]
        roles = [Role.CLS, *[Role.CONTENT] * (len(ids) - 2), Role.FINAL]
        if name == SST2:
            examples.append(Example(text, ids, roles, 0, 0))
        else:
            words = tokens.convert_tokens_to_ids(["he", "she"])
            place = ids.index(tokens.mask_token_id)
            examples.append(Example(text, ids, roles, place, 0, candidates=words))
    if name == MASKED:
        module = WordChoiceModel(module)
    blanks = {"unk": tokens.unk_token_id, "mask": tokens.mask_token_id, "pad": tokens.pad_token_id}
    return module.eval(), collate(examples, "all", blanks)


def real_trace(name: str, dtype: torch.dtype = torch.float32, **options: Any) -> Trace:
    """A trace of the sentences."""
    return Trace(*real_model(name, dtype), **options)


@dataclass(frozen=True)
class Parts:
    """A layer's modules, looked up by hand, independently of Assay's own architecture tables."""

    value: nn.Linear
    projection: nn.Linear
    first_norm: nn.LayerNorm
    inner: nn.Linear
    outer: nn.Linear
    second_norm: nn.LayerNorm


def parts(name: str, module: Any) -> list[Parts]:
    """The parts of each layer."""
    if name == SST2:
        return [
            Parts(
                one.attention.v_lin,
                one.attention.out_lin,
                one.sa_layer_norm,
                one.ffn.lin1,
                one.ffn.lin2,
                one.output_layer_norm,
            )
            for one in module.distilbert.transformer.layer
        ]
    return [
        Parts(
            one.attention.self.value,
            one.attention.output.dense,
            one.attention.output.LayerNorm,
            one.intermediate.dense,
            one.output.dense,
            one.output.LayerNorm,
        )
        for one in module.base_model.encoder.layer
    ]


def plain(module: nn.Module, batch: Batch, index: int) -> tuple[list[Tensor], list[Tensor]]:
    """States `[token, hidden]` and attentions `[head, query, key]` of one sentence alone, from the model itself."""
    n = int(batch.length[index])
    inputs = {name: value[index : index + 1] for name, value in batch.inputs.items()}
    inputs |= {name: inputs[name][:, :n] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        result = module(**inputs, output_attentions=True, output_hidden_states=True)
    return [state[0] for state in result.hidden_states], [layer[0] for layer in result.attentions]
