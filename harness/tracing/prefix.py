"""Re-runs of a causal model that start where an input changes: what comes before is taken from the first run.

A change at a token moves nothing before it, so the keys and values of the tokens before it stay what they are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import DynamicCache

CLOSE = 1e-3  # of logits, to those of the whole input, in relation to their size
SPAN = 4  # tokens by which the beginnings of inputs that run together may differ, at least
SHARE = 8  # or this part of the tokens that they re-run


@dataclass(frozen=True)
class Prefix:
    """Keys and values of a batch, `[batch, head, token, size]` for each layer."""

    keys: Sequence[Tensor]
    values: Sequence[Tensor]

    def __call__(self, model: nn.Module, inputs: Mapping[str, Tensor], example: Tensor, start: int) -> Tensor:
        """Logits of inputs, `[variant, class]`, which are as the examples are before token `start`."""
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(zip(self.keys, self.values, strict=True)):
            cache.update(keys[example, :, :start], values[example, :, :start], layer)
        rest = dict(inputs) | {"input_ids": inputs["input_ids"][:, start:], "position": inputs["position"] - start}
        width = inputs["input_ids"].shape[1]
        rest["position_ids"] = torch.arange(start, width, device=example.device).expand(len(example), -1)
        with torch.no_grad():
            return model(**rest, past_key_values=cache, use_cache=True).logits


def prefix_of(model: nn.Module, inputs: Mapping[str, Tensor], logits: Tensor) -> Prefix | None:
    """What later runs can start from; None where the model cannot continue a prefix to the same logits."""
    if not getattr(model, "causal", False) or "position" not in inputs:
        return None
    cache = DynamicCache()
    try:
        with torch.no_grad():
            model(**inputs, past_key_values=cache, use_cache=True)
        prefix = Prefix([layer.keys for layer in cache.layers], [layer.values for layer in cache.layers])
        row = int(inputs["attention_mask"].sum(dim=1).argmax())
        one = {name: value[row : row + 1] for name, value in inputs.items()}
        again = prefix(model, one, torch.tensor([row], device=logits.device), int(inputs["position"][row]) // 2)
    except (TypeError, ValueError, AttributeError, RuntimeError, IndexError):  # a type without such a cache
        return None
    return prefix if (again[0] - logits[row]).abs().max() <= CLOSE * logits[row].abs().max() else None


def runs_together(since: Tensor, width: int, token_budget: int) -> Iterator[Tensor]:
    """Indices of inputs in groups that start at similar tokens, each of at most `token_budget` tokens to re-run."""
    order = since.argsort(descending=True, stable=True)
    starts = since[order].tolist()
    begin = 0
    while begin < len(order):
        span = max(SPAN, (width - starts[begin]) // SHARE)
        end = begin + 1
        while (
            end < len(order)
            and starts[begin] - starts[end] < span
            and (end + 1 - begin) * (width - starts[end]) <= token_budget
            and (end + 1 - begin) * width <= SHARE * token_budget  # the copied prefix takes memory too
        ):
            end += 1
        yield order[begin:end]
        begin = end
