"""Removing tokens from the input, for references, metrics and explainers alike, and what the model says without them.

- `unk`, `mask`, `pad`: that token in the removed one's place.
- `delete`: nothing; later tokens move up.
- `ignore`: the token stays, and no query sees it in any layer (AtMan's suppression, Deiseroth et al. 2023).
- `swap`: the token that another text has in its place, the mean over several such texts, or a task's counterfactual.
- `zero`: a word embedding of zeros.
- `run`: what the run chooses for all methods.

https://arxiv.org/abs/2301.08110
"""

from collections.abc import Mapping
from typing import TypeAlias
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from harness import check
from harness.tracing.batch import TEXT_WIDE
from harness.tracing.calls import takes
from harness.tracing.run import REMOVALS, Trace
from harness.tracing.steps import Side
from methods import blanks

CHOICES = ("run", *REMOVALS)
Known: TypeAlias = dict[tuple[str, int, bytes], Tensor]
# logits of earlier runs, by trace: metrics need many of the same removals
_KNOWN: WeakKeyDictionary[Trace, Known] = WeakKeyDictionary()


def check_parameters(removal: str) -> None:
    """Raise ValueError for an unknown way to remove a token."""
    check.choice("removal", removal, CHOICES)


def check_removal(removal: str, model: nn.Module) -> None:
    """Raise ValueError where a model cannot be given an input without a token."""
    blanks.check_positions(removal, model, "removal", "unk, mask, delete, ignore or swap")
    if removal == "ignore" and not takes(model, "attention_mask"):
        raise ValueError("this model takes no attention mask, so no token can be ignored: set removal to another way")


def chosen(trace: Trace, removal: str) -> str:
    """The way itself where it is left to the run."""
    return trace.removal if removal == "run" else removal


def removable(trace: Trace, removal: str) -> Tensor:
    """The ranked tokens that can be removed, `[batch, token]`; see `can_go`."""
    return trace.batch.ranked & can_go(trace, removal)


def can_go(trace: Trace, removal: str) -> Tensor:
    """All tokens, `[batch, token]`, but not the explained position where it would be deleted.

    Nor where it would be ignored and is all of a target's prefix: the decoder would see nothing.
    """
    batch = trace.batch
    real = batch.attention_mask.bool()
    way = chosen(trace, removal)
    if way != "delete" and (way != "ignore" or trace.sides is None):
        return real
    places = torch.arange(real.shape[1], device=real.device)
    explained = places == batch.position[:, None]
    if way == "ignore":
        explained &= (batch.side == Side.TARGET).sum(dim=1, keepdim=True) == 1
    return real & ~explained


def players(trace: Trace, removal: str) -> Tensor:
    """The text's words, which can all be removed together, `[batch, token]`.

    The explained position stays where it would see nothing without them: in a text without special tokens.
    """
    words = trace.batch.text & can_go(trace, removal)
    if chosen(trace, removal) != "ignore":
        return words
    rows = torch.arange(len(words), device=words.device)
    words[rows, trace.batch.position] &= ~_blind(trace, rows, words)
    return words


def draws_of(trace: Trace, removal: str) -> int:
    """How many inputs stand for one input without tokens, with equal weight."""
    if chosen(trace, removal) != "swap":
        return 1
    if trace.batch.swaps is None:
        raise ValueError(
            "there are no other texts to swap tokens from: explain several texts, or set removal to ignore or delete"
        )
    return len(trace.batch.swaps)


def logits_without(
    trace: Trace, removed: Tensor, removal: str, example: Tensor | None = None, shared: bool = False
) -> Tensor:
    """Logits once tokens are removed, `[draw, variant, class]`.

    `removed` is `[variant, token]`; `example` the index of the example that each variant belongs to, or None for one
    variant of each example. Equal inputs are run only once, with `shared` once for all methods of the trace that share:
    their last bit may then depend on which of them asks first. An input in which nothing changes is not run: it has
    exactly the full input's logits.
    """
    removal = chosen(trace, removal)
    check_removal(removal, trace.model)
    device = trace.logits.device
    if example is None:
        example = torch.arange(len(removed), device=device)
    drawn = range(draws_of(trace, removal))
    known = _KNOWN.setdefault(trace, {}) if shared else {}
    removed, example = removed.to(device), example.to(device)
    return torch.stack([_logits(trace, removed, removal, example, draw, known) for draw in drawn])


def _logits(trace: Trace, removed: Tensor, removal: str, example: Tensor, draw: int, known: Known) -> Tensor:
    batch = trace.batch
    replacement = _replacement(trace, removal, draw)  # [batch, token], or None
    if replacement is not None:
        removed = removed & (batch.input_ids != replacement)[example]
    variants, back = torch.unique(torch.cat([example[:, None], removed.long()], dim=1), dim=0, return_inverse=True)
    row, removed = variants[:, 0], variants[:, 1:].bool()
    keys = [(removal, draw, line.tobytes()) for line in variants.cpu().numpy()]
    fresh = torch.tensor([key not in known for key in keys], device=row.device) & removed.any(dim=1)
    if fresh.any():
        new = [key for key, is_fresh in zip(keys, fresh.tolist(), strict=True) if is_fresh]
        known.update(zip(new, _run(trace, row[fresh], removed[fresh], removal, replacement), strict=True))
    logits = [known.get(key, trace.logits[index]) for key, index in zip(keys, row.tolist(), strict=True)]
    return torch.stack(logits)[back]


def _replacement(trace: Trace, removal: str, draw: int) -> Tensor | None:
    """The ids that stand in removed tokens' places, `[batch, token]`."""
    batch = trace.batch
    if removal == "swap" and batch.swaps is not None:
        return batch.swaps[draw]
    if removal in batch.blank_ids:
        blank = blanks.blank_id(batch, removal, "removal", ["delete", "ignore", "swap", "zero"])
        return torch.full_like(batch.input_ids, blank)
    return None


def _run(trace: Trace, row: Tensor, removed: Tensor, removal: str, replacement: Tensor | None) -> Tensor:
    if removal == "zero":
        return _zeroed(trace, row, removed)
    if removal in ("ignore", "delete") and (blind := _blind(trace, row, removed)).any():
        logits = trace.logits.new_full((len(row), trace.logits.shape[1]), torch.nan)
        logits[~blind] = _run(trace, row[~blind], removed[~blind], removal, replacement)
        return logits
    inputs = trace.batch.at(row)
    if removal == "ignore":
        inputs["attention_mask"] = inputs["attention_mask"].masked_fill(removed, 0)
    elif removal == "delete":
        inputs = deleted(inputs, removed)
    elif replacement is not None:
        inputs["input_ids"] = torch.where(removed, replacement[row], inputs["input_ids"])
    return trace.rerun(inputs, row, removed.long().argmax(dim=1))


def _blind(trace: Trace, row: Tensor, removed: Tensor) -> Tensor:
    """Variants in which the explained position sees nothing, `[variant]`: a softmax over nothing gives no output.

    In an encoder-decoder it has to see something on either side.
    """
    kept = trace.batch.attention_mask.bool()[row] & ~removed
    sides = {Side.TARGET} if trace.sides is None else {Side.SOURCE, Side.TARGET}
    seen = [(kept & (trace.batch.side[row] == side)).any(dim=1) for side in sides]
    return ~torch.stack(seen).all(dim=0)


@torch.no_grad()
def _zeroed(trace: Trace, row: Tensor, removed: Tensor) -> Tensor:
    at_once = max(1, trace.token_budget // removed.shape[1])
    embedding = trace.embedding.detach()
    pieces = zip(row.split(at_once), removed.split(at_once), strict=True)
    return torch.cat(
        [trace.logits_from(embedding[one].masked_fill(gone[:, :, None], 0.0), one) for one, gone in pieces]
    )


def deleted(inputs: Mapping[str, Tensor], removed: Tensor) -> dict[str, Tensor]:
    """The inputs without the removed tokens, `[variant, token]`; later tokens move up."""
    mask = inputs["attention_mask"]
    kept = mask.bool() & ~removed
    source = (~kept).long().argsort(dim=1, stable=True)
    shorter = dict(inputs) | {name: inputs[name].gather(1, source) for name in TEXT_WIDE if name in inputs}
    ends = torch.arange(mask.shape[1], device=mask.device) < kept.sum(dim=1, keepdim=True)
    shorter["attention_mask"] = ends.to(mask.dtype)
    if "side" in inputs:
        shorter["side"] = shorter["side"].masked_fill(~ends, Side.PADDING)
    if "position" in inputs:
        before = removed.cumsum(dim=1).gather(1, inputs["position"][:, None])[:, 0]
        shorter["position"] = inputs["position"] - before
    return shorter


def log_probability(trace: Trace, removed: Tensor, removal: str, example: Tensor | None = None) -> Tensor:
    """Log-probability, float64, of the class predicted on the full input once tokens are removed.

    `removed` is `[batch, ..., token]`, the result `[batch, ...]`; or with `example`, the index of the example that
    each variant belongs to, `[variant, token]` and `[variant]`. Of several draws the probability's mean counts.
    """
    shape = removed.shape[:-1]
    if example is None:
        index = torch.arange(shape[0], device=removed.device)
        example = index.view(-1, *[1] * (len(shape) - 1)).expand(shape).reshape(-1)
    removed = removed.reshape(len(example), -1)
    logits = logits_without(trace, removed, removal, example, shared=True)  # [draw, variant, class]
    drawn = torch.stack([predicted_log_probability(trace, one, trace.predicted[example]) for one in logits])
    value = drawn[0] if len(drawn) == 1 else drawn.logsumexp(dim=0) - torch.tensor(float(len(drawn))).log()
    return value.view(shape)


def predicted_log_probability(trace: Trace, logits: Tensor, predicted: Tensor) -> Tensor:
    """Of the class `predicted` on the full input, `[variant]`, in float64."""
    return trace.log_probabilities(logits).gather(1, predicted[:, None])[:, 0]
