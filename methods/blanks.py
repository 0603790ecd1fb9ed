"""What replaces a removed token: a blank token's id, or the baseline of a path."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.tracing.batch import Batch
from harness.tracing.model_parts import counts_positions
from harness.tracing.run import Trace

BASELINES = ("run", "pad", "unk", "mask", "zero")


def blank_id(batch: Batch, token: str, setting: str, others: Sequence[str] = ()) -> int:
    """The vocabulary id of a blank `token`.

    Raises ValueError where the vocabulary has none: `setting` is the parameter to change, and `others` are its values
    that need no such token.
    """
    found = batch.blank_ids[token]
    if found is None:
        known = [name for name, value in batch.blank_ids.items() if value is not None]
        raise ValueError(
            f"this model's vocabulary has no {token} token: set {setting} to one of {', '.join([*known, *others])}"
        )
    return found


def check_positions(token: str, model: nn.Module, setting: str, others: str) -> None:
    """Raise ValueError where a pad in a word's place would change the positions of all later words."""
    if token == "pad" and counts_positions(model):
        raise ValueError(
            "this model counts positions without padding, so a pad in a word's place would move all later words: "
            f"set {setting} to {others}"
        )


def baseline_embedding(trace: Trace, baseline: str) -> Tensor:
    """The word embedding's output with a baseline in each text token's place, `[batch, token, hidden]`.

    The sentence's special tokens stay. `run` is the unknown word, and in a model that writes text, which has none, a
    vector of zeros.
    """
    batch, inputs = trace.batch, trace.embedding.detach()
    text = batch.text[:, :, None]
    if baseline == "run":
        baseline = "zero" if trace.causal or trace.sides is not None else "unk"
    if baseline == "zero":
        return inputs.masked_fill(text, 0.0)
    return torch.where(text, trace.word_vector(blank_id(batch, baseline, "baseline", ["zero"])), inputs)
