"""Removing sets of tokens from the input, and the predicted class's probability without them."""

from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from harness import check
from harness.tracing.batch import TEXT_WIDE, Batch
from harness.tracing.run import Trace
from methods import blanks

REMOVALS = ("unk", "mask", "pad", "delete")
BINS = ("counts", "eraser")
ERASER = (1, 5, 10, 20, 50)  # per cent of the tokens
SIDES = ("top", "bottom", "rest")
# logits of earlier runs, by trace: metrics and explainers need many of the same removals
_KNOWN: WeakKeyDictionary[Trace, dict[tuple[str, bytes], Tensor]] = WeakKeyDictionary()
ROUNDING = 1e-6  # in a float32 model, probabilities that differ by less count as equal


def check_parameters(removal: str, bins: str = "counts") -> None:
    """Raise ValueError for an unknown way to remove a token, or unknown steps."""
    check.choice("removal", removal, REMOVALS)
    check.choice("bins", bins, BINS)


def check_positions(removal: str, model: nn.Module) -> None:
    """Raise ValueError where a removed token would move the positions of all later ones."""
    blanks.check_positions(removal, model, "removal", "unk, mask or delete")


def removable(batch: Batch, removal: str) -> Tensor:
    """The ranked tokens, `[batch, token]`; the explained position itself cannot be deleted."""
    if removal != "delete":
        return batch.ranked
    places = torch.arange(batch.ranked.shape[1], device=batch.ranked.device)
    return batch.ranked & (places != batch.position[:, None])


def defined(scores: Tensor, ranked: Tensor) -> Tensor:
    """Whether an example has a ranked token and each of them a finite score, `[batch, layer]`."""
    return (torch.isfinite(scores) | ~ranked[:, None]).all(dim=-1) & ranked.any(dim=-1)[:, None]


def places(scores: Tensor, ranked: Tensor) -> Tensor:
    """Each token's rank from 0, the highest score, `[batch, layer, token]`; of tied tokens the earlier comes first.

    Tokens that are not ranked come last, whatever their scores.
    """
    falling = scores.double().masked_fill(~ranked[:, None], -torch.inf)
    return falling.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)


def bin_counts(ranked: Tensor, bins: str) -> tuple[Tensor, Tensor]:
    """How many tokens are removed in each step, and which steps an example has, `[batch, bin]` each.

    `counts` are all of 1 to n. `eraser` are 1, 5, 10, 20 and 50 % of n, rounded up, so at least one token.
    """
    n = ranked.sum(dim=1)[:, None]  # [batch, 1]
    if bins == "eraser":
        counts = (torch.tensor(ERASER, device=n.device) * n + 99) // 100
        return counts, (n > 0).expand_as(counts)
    counts = torch.arange(1, ranked.shape[1] + 1, device=n.device).expand(len(n), -1)
    return counts.clamp(max=n), counts <= n


def mean_over_bins(values: Tensor, counted: Tensor) -> Tensor:
    """`[batch, layer, bin] -> [batch, layer]`: the mean over an example's own steps; NaN where it has none."""
    counted = counted[:, None]
    return values.masked_fill(~counted, 0.0).sum(dim=-1) / counted.sum(dim=-1)


def log_curve(trace: Trace, scores: Tensor, removal: str, counts: Tensor, side: str = "top") -> Tensor:
    """Log-probability of the predicted class in each step, `[batch, layer, bin]`; NaN where it is undefined.

    Args:
        trace: the model's run.
        scores: `[batch, layer, token]`.
        removal: how a token is removed.
        counts: `[batch, bin]`, tokens in each step, k.
        side: what is removed: the k tokens of the highest (`top`) or lowest scores (`bottom`), or all but the k of
            the highest (`rest`). Of tied tokens the earlier is always taken first.
    """
    check.choice("side", side, SIDES)
    scores = scores.to(trace.logits.device)
    ranked = removable(trace.batch, removal)
    sound = defined(scores, ranked)  # [batch, layer]
    place = places(-scores if side == "bottom" else scores, ranked)
    chosen = place[:, :, None] < counts[:, None, :, None]  # [batch, layer, bin, token]
    removed = (~chosen if side == "rest" else chosen) & ranked[:, None, None] & sound[:, :, None, None]
    return log_probability(trace, removed, removal).masked_fill(~sound[:, :, None], torch.nan)


def whole(trace: Trace) -> Tensor:
    """Log-probability of the predicted class on the full input, `[batch, 1, 1]`, float64."""
    return _log_predicted(trace, trace.logits, trace.predicted)[:, None, None]


def log_probability(trace: Trace, removed: Tensor, removal: str, example: Tensor | None = None) -> Tensor:
    """Log-probability, float64, of the class predicted on the full input once tokens are removed.

    `removed` is `[batch, ..., token]`, the result `[batch, ...]`; or with `example`, the index of the example that
    each variant belongs to, `[variant, token]` and `[variant]`. Equal inputs are run only once for all metrics and
    explainers of a trace. An input in which nothing changes is not run: it has exactly the full input's value.
    """
    batch, shape = trace.batch, removed.shape[:-1]
    if example is None:
        index = torch.arange(shape[0], device=removed.device)
        example = index.view(-1, *[1] * (len(shape) - 1)).expand(shape).reshape(-1)
    removed = removed.reshape(len(example), -1)
    blank_id = None if removal == "delete" else blanks.blank_id(batch, removal, "removal", ["delete"])
    if blank_id is not None:
        removed = removed & (batch.input_ids[example] != blank_id)
    variants, back = torch.unique(torch.cat([example[:, None], removed.long()], dim=1), dim=0, return_inverse=True)
    row, removed = variants[:, 0], variants[:, 1:].bool()
    known = _KNOWN.setdefault(trace, {})
    keys = [(removal, line.tobytes()) for line in variants.cpu().numpy()]
    fresh = torch.tensor([key not in known for key in keys], device=row.device) & removed.any(dim=1)
    if fresh.any():
        inputs, taken = batch.at(row[fresh]), removed[fresh]
        if blank_id is None:
            inputs = _deleted(inputs, taken)
        else:
            inputs["input_ids"] = inputs["input_ids"].masked_fill(taken, blank_id)
        new = [key for key, is_fresh in zip(keys, fresh.tolist(), strict=True) if is_fresh]
        known.update(zip(new, trace.rerun(inputs), strict=True))
    logits = torch.stack([known.get(key, trace.logits[index]) for key, index in zip(keys, row.tolist(), strict=True)])
    return _log_predicted(trace, logits, trace.predicted[row])[back].view(shape)


def _log_predicted(trace: Trace, logits: Tensor, predicted: Tensor) -> Tensor:
    return trace.log_probabilities(logits).gather(1, predicted[:, None])[:, 0]


def _deleted(inputs: dict[str, Tensor], removed: Tensor) -> dict[str, Tensor]:
    """The inputs without the removed tokens, `[variant, token]`; later tokens move up."""
    mask = inputs["attention_mask"]
    kept = mask.bool() & ~removed
    source = (~kept).long().argsort(dim=1, stable=True)
    shorter = inputs | {name: inputs[name].gather(1, source) for name in TEXT_WIDE if name in inputs}
    ends = torch.arange(mask.shape[1], device=mask.device) < kept.sum(dim=1, keepdim=True)
    shorter["attention_mask"] = ends.to(mask.dtype)
    if "position" in inputs:
        before = removed.cumsum(dim=1).gather(1, inputs["position"][:, None])[:, 0]
        shorter["position"] = inputs["position"] - before
    return shorter


def mean_fall(trace: Trace, scores: Tensor, removal: str, bins: str) -> Tensor:
    """Mean over k of p(x) - p(x without the top k tokens), `[batch, layer]`: comprehensiveness, or AOPC."""
    counts, counted = bin_counts(removable(trace.batch, removal), bins)
    without = log_curve(trace, scores, removal, counts).exp()  # [batch, layer, bin]
    return mean_over_bins(whole(trace).exp() - without, counted)
