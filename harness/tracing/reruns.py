"""Re-runs of a model on many changed inputs, in chunks of similar length, without gradients."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from harness.tracing.batch import TEXT_WIDE
from harness.tracing.calls import called
from harness.tracing.prefix import Prefix, runs_together, starts


@torch.no_grad()
def whole(model: nn.Module, inputs: Mapping[str, Tensor], token_budget: int, padded: bool) -> Tensor:
    """Logits of inputs, `[variant, class]`; without `padded`, only those of the same length run together."""
    places = torch.arange(1, inputs["attention_mask"].shape[1] + 1, device=inputs["attention_mask"].device)
    lengths = (inputs["attention_mask"] * places).amax(dim=1)  # a token that is masked may stand within
    if "position" in inputs:
        lengths = lengths.maximum(inputs["position"] + 1)
    chunks = [*_of_similar_length(lengths, token_budget, padded)]
    logits = [called(model, _cut(inputs, chunk, int(lengths[chunk[-1]]))).logits for chunk in chunks]
    return torch.cat(logits)[torch.cat(chunks).argsort()]


@torch.no_grad()
def continued(
    model: nn.Module, prefix: Prefix, inputs: Mapping[str, Tensor], example: Tensor, since: Tensor, token_budget: int
) -> Tensor:
    """The same for variants of `example`, `[variant]`, whose first changed token is `since`, `[variant]`."""
    kept = starts(prefix, inputs, example, since)
    anew, known = (kept < 0).nonzero()[:, 0], (kept >= 0).nonzero()[:, 0]
    width = int(inputs["position"].max()) + 1  # what follows the explained position changes nothing
    chunks, logits = [], []
    if len(anew):
        chunks.append(anew)
        logits.append(whole(model, {name: value[anew] for name, value in inputs.items()}, token_budget, padded=True))
    for one in runs_together(kept[known], width, token_budget):
        chunk = known[one]
        start = int(kept[chunk].min())
        changed = _cut(inputs, chunk, int(inputs["position"][chunk].max()) + 1)
        new = start == 0 and prefix.memory is None
        run = called(model, changed).logits if new else prefix(model, changed, example[chunk], start)
        chunks.append(chunk)
        logits.append(run)
    return torch.cat(logits)[torch.cat(chunks).argsort()]


def _of_similar_length(lengths: Tensor, token_budget: int, padded: bool) -> Iterator[Tensor]:
    order = lengths.argsort(stable=True)
    while len(order):
        # the longest that fits: widths grow along the order, so the last one counted sets the padding
        ahead = lengths[order]
        fits = torch.arange(1, len(order) + 1, device=order.device) * ahead <= token_budget
        if not padded:
            fits &= ahead == ahead[0]
        stop = max(1, int(fits.sum()))
        yield order[:stop]
        order = order[stop:]


def _cut(inputs: Mapping[str, Tensor], chosen: Tensor, width: int) -> dict[str, Tensor]:
    """The chosen variants, with this many tokens."""
    return {name: value[chosen, :width] if name in TEXT_WIDE else value[chosen] for name, value in inputs.items()}
