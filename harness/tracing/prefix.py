"""Re-runs of a causal model that start where an input changes: what comes before is taken from the first run.

A change at a token moves nothing before it, so the keys and values of the tokens before it stay what they are. In an
encoder-decoder a change of the prefix does not move the source's states either.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache

from harness.tracing.steps import Side, two_sided

CLOSE = 1e-3  # of logits, to those of the whole input, in relation to their size
START = 32  # what a run costs besides its tokens, in tokens, measured on a model of 135 million parameters
COPIED = 1 / 24  # what a token of the prefix costs, in tokens
# whether a model continues a prefix to the logits of the whole input, looked at once
_CONTINUES: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


@dataclass(frozen=True)
class Prefix:
    """Keys and values of a batch, `[batch, head, token, size]` for each layer.

    In an encoder-decoder the tokens are those of the prefix, `memory` is the encoder's output, `[batch, slot, hidden]`,
    and `crossed` what the decoder makes of it, keys and values of each layer. `source` counts the tokens before the
    prefix, `[batch]`.
    """

    kept: Sequence[tuple[Tensor, Tensor]]
    source: Tensor
    memory: Tensor | None = None
    crossed: Sequence[tuple[Tensor, Tensor]] = ()

    def __call__(self, model: nn.Module, inputs: Mapping[str, Tensor], example: Tensor, start: int) -> Tensor:
        """Logits of inputs, `[variant, class]`, which are as the examples are before token `start`."""
        if self.memory is not None:
            slots = int(self.source[example].max())
            cache = EncoderDecoderCache(_cache(self.kept, example, start), _cache(self.crossed, example, slots))
            memory = self.memory[example, :slots]
            with torch.no_grad():
                return model(**inputs, memory=memory, past_key_values=cache, start=start).logits
        rest = dict(inputs) | {"input_ids": inputs["input_ids"][:, start:], "position": inputs["position"] - start}
        width = inputs["input_ids"].shape[1]
        rest["position_ids"] = torch.arange(start, width, device=example.device).expand(len(example), -1)
        with torch.no_grad():
            return model(**rest, past_key_values=_cache(self.kept, example, start), use_cache=True).logits


def _cache(layers: Sequence[tuple[Tensor, Tensor]], example: Tensor, tokens: int) -> DynamicCache:
    """The first tokens' keys and values, for variants of examples."""
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(layers if tokens else ()):
        cache.update(keys[example, :, :tokens], values[example, :, :tokens], layer)
    return cache


def empty_cache(model: nn.Module) -> DynamicCache | EncoderDecoderCache | None:
    """Where a causal model's run is to leave its keys and values; None for a model that leaves none."""
    if not _CONTINUES.get(model, True):
        return None
    if two_sided(model):
        return EncoderDecoderCache(DynamicCache(), DynamicCache())
    return DynamicCache() if getattr(model, "causal", False) else None


def prefix_of(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    logits: Tensor,
    cache: DynamicCache | EncoderDecoderCache | None,
    memory: Tensor | None = None,
) -> Prefix | None:
    """What later runs can start from; None where the model does not continue a prefix to the whole input's logits."""
    kept = _layers(getattr(cache, "self_attention_cache", cache))
    crossed = _layers(getattr(cache, "cross_attention_cache", None))
    if not kept or "position" not in inputs or (memory is not None and not crossed):
        return None
    prefix = Prefix(kept, _source_length(inputs), memory, crossed)
    if model not in _CONTINUES:
        depth = inputs["position"] - prefix.source
        row = int(depth.argmax())
        half = (int(depth[row]) + 1) // 2
        if not half:  # nothing to look at yet, and nothing before the explained token to start from
            return prefix
        one = {name: value[row : row + 1] for name, value in inputs.items()}
        try:
            again = prefix(model, one, torch.tensor([row], device=logits.device), half)
        except torch.OutOfMemoryError:
            raise
        except (TypeError, ValueError, AttributeError, RuntimeError, IndexError):  # a type with another kind of cache
            again = torch.full_like(logits[row : row + 1], torch.inf)
        _CONTINUES[model] = bool((again[0] - logits[row]).abs().max() <= CLOSE * logits[row].abs().max())
    return prefix if _CONTINUES[model] else None


def _layers(cache: object) -> list[tuple[Tensor, Tensor]]:
    """A cache's keys and values; none of another kind of cache."""
    layers = getattr(cache, "layers", None) or []
    found = [(getattr(one, "keys", None), getattr(one, "values", None)) for one in layers]
    pairs = [
        (keys.detach(), values.detach()) for keys, values in found if isinstance(keys, Tensor) and values is not None
    ]
    return pairs if len(pairs) == len(layers) else []


def _source_length(inputs: Mapping[str, Tensor]) -> Tensor:
    """Tokens of each input before its prefix, `[batch]`: none where there is no other side."""
    if "side" not in inputs:
        return torch.zeros_like(inputs["position"])
    return (inputs["side"] == Side.SOURCE).sum(dim=1)


def starts(prefix: Prefix, inputs: Mapping[str, Tensor], example: Tensor, since: Tensor) -> Tensor:
    """How many tokens of each input's prefix are as in its example, `[variant]`; -1 where a source has changed.

    `since` is the first token that has changed.
    """
    unchanged = since.minimum(inputs["position"])
    return (unchanged - prefix.source[example]).clamp(min=-1)


def runs_together(since: Tensor, width: int, token_budget: int) -> Iterator[Tensor]:
    """Indices of inputs in groups that run together, each of at most `token_budget` tokens to re-run.

    Inputs that start late share a run with those that start earlier where this costs less than a run of their own: the
    division is the cheapest one, if a run costs as much as `START` tokens.
    """
    order = since.argsort(descending=True, stable=True)
    starts, counts = torch.unique_consecutive(since[order], return_counts=True)
    ends, starts = counts.cumsum(dim=0).tolist(), starts.tolist()
    begins = [0, *ends]  # of the inputs with each start
    best, last = [0.0], [0]  # the cost of all inputs before, and where their last group begins
    for end in range(1, len(starts) + 1):
        costs = [
            best[begin] + _cost(begins[end] - begins[begin], width, starts[end - 1], token_budget)
            for begin in range(end)
        ]
        last.append(min(range(end), key=costs.__getitem__))
        best.append(costs[last[-1]])
    end = len(starts)
    while end > 0:
        group = order[begins[last[end]] : begins[end]]
        yield from group.split(max(1, token_budget // (width - starts[end - 1])))
        end = last[end]


def _cost(count: int, width: int, start: int, token_budget: int) -> float:
    """Of a group, in tokens; every input of it re-runs from the earliest start."""
    at_once = max(1, token_budget // (width - start))
    return -(-count // at_once) * START + count * (width - start) + count * start * COPIED
