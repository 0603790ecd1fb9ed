"""Blank-out of a causal language model on the cached prefix, compared with running every changed text as a whole."""

import os
from functools import partial
from statistics import median

import pandas as pd
import torch
from transformers import AutoModelForCausalLM

from harness.tracing.batch import Batch, Example, Role, collate
from harness.tracing.run import Trace
from methods.references.blank_out import BlankOut
from tasks.word_choice_model import WordChoiceModel
from tests.benchmark.blank_out import matrix_product_rate, seconds

LENGTHS = (16, 64, 256)


def texts(count: int, length: int) -> Batch:
    """Random tokens, explained at the last one."""
    generator = torch.Generator().manual_seed(0)
    roles = [*[Role.CONTENT] * (length - 1), Role.PREDICTS]
    rows = torch.randint(1000, 40000, (count, length), generator=generator).tolist()
    examples = [Example(str(row), ids, roles, length - 1, 0, candidates=[500, 600]) for row, ids in enumerate(rows)]
    return collate(examples, "prompt", {"unk": None, "mask": None, "pad": 0})


def traced(model: WordChoiceModel, batch: Batch, reuse: bool) -> Trace:
    """The batch's trace; without `reuse` every re-run is a whole one."""
    trace = Trace(model, batch, token_budget=2048, removal="ignore")
    if not reuse:
        vars(trace)["_prefix"] = (None, None)
    return trace


def blanked(trace: Trace) -> torch.Tensor:
    """Blank-out, computed anew."""
    return BlankOut()(trace)


def table() -> pd.DataFrame:
    """A line for each length, one text and eight of them; nothing without the folder in ASSAY_SMOLLM2."""
    folder = os.environ.get("ASSAY_SMOLLM2")
    if not folder:
        return pd.DataFrame([{"skipped": "set ASSAY_SMOLLM2 to the folder of SmolLM2-135M"}])
    inner = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    model = WordChoiceModel(inner.eval().requires_grad_(False), causal=True)
    weights = sum(one.numel() for name, one in inner.named_parameters() if "layers" in name)
    lines = []
    for length in LENGTHS:
        for count in (1, 8) if length < max(LENGTHS) else (1,):
            batch = texts(count, length)
            pair = [traced(model, batch, reuse) for reuse in (True, False)]
            difference = (BlankOut()(pair[0]) - BlankOut()(pair[1])).abs().max().item()
            times = [tuple(seconds(partial(blanked, trace), 1) for trace in pair) for _ in range(3)]
            ours = median(one for one, _ in times)
            needed = 2 * weights * count * length * (length + 1) / 2
            lines.append(
                {
                    "tokens": length,
                    "texts": count,
                    "seconds": ours,
                    "of whole re-runs": median(one / whole for one, whole in times),
                    "share of matrix-product rate": needed / ours / matrix_product_rate(),
                    "largest difference": f"{difference:.1e}",
                }
            )
    return pd.DataFrame(lines)
