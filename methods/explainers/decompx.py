"""DecompX: one vector per input token, propagated through the whole model (Modarressi et al. 2023, section 3).

https://arxiv.org/abs/2306.02873
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness import check
from harness.tracing.layer import Layer, Linear, Norm
from harness.tracing.model_parts import Step, layer_parts, logit_steps
from harness.tracing.run import Trace
from harness.tracing.steps import check_one_sided

PLACES = ("classifier", "layer")
VALUE_BIASES = ("split", "key")
TINY = 1e-30  # stands for zero, where a slope through the origin is its limit


@dataclass(frozen=True)
class DecompX:
    """Each token's part of the explained logit, or of the explained position's state after each layer.

    From the first layer's input on, a state is the sum of one vector per input token. Linear maps act on each vector
    separately, and so does a norm, with its actual scale; an activation multiplies all of them by its output over its
    input. The paper has no gated feed-forward; here the two factors of its product share it equally. A bias is split
    between the vectors in proportion to their absolute dot products with it (evenly where all are zero). So the parts
    of a logit add up to it, and the vectors to the state.

    No passes beyond the trace's; memory a few times tokens^2 x hidden, for one sentence and layer at a time.

    Args:
        at: `classifier`, the signed part of the explained class's logit, or of the difference of logits where the run
            explains a difference of classes; a probability, which is not a sum, is explained by its logit. Or
            `layer`, the l2 norm of the token's vector.
        value_bias: what becomes of the first layer's value bias: split like the others, as in the paper; or left with
            the `key` that the value belongs to, as in the authors' program.
    """

    cost: ClassVar[str] = "layer arithmetic"

    at: str = "classifier"
    value_bias: str = "split"

    def __post_init__(self):
        check.choice("at", self.at, PLACES)
        check.choice("value_bias", self.value_bias, VALUE_BIASES)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for an encoder-decoder, or a model whose parts cannot be found."""
        check_one_sided(model)
        layer_parts(model)
        if self.at == "classifier":
            logit_steps(model)

    @property
    def layerless(self) -> bool:
        """Whether there is one row for the whole model."""
        return self.at == "classifier"

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, token], or [batch, 1, token] at the classifier
        return self.shares(trace) if self.at == "classifier" else self._norms(trace)

    def shares(self, trace: Trace) -> Tensor:
        """Parts of the explained logit or difference of logits, float64, `[batch, 1, token]`, zero on padding."""
        words = trace.batch.inputs.get("candidates")
        width = trace.batch.input_ids.shape[1]
        rows = []
        for index, vectors in enumerate(self._explained(trace)):
            with torch.no_grad():
                steps = logit_steps(trace.model, None if words is None else words[index])
                parts = through_steps(steps, vectors[-1])  # [source, class]
            off = (parts.sum(dim=0) - trace.logits[index]).norm() / trace.logits[index].norm()
            if off > (1e-2 if parts.dtype.itemsize > 2 else 0.1):
                raise ValueError(
                    f"the parts of the logits add up to other logits than the model's (off by {off:.0%}): "
                    "its head is not the one that its architecture describes"
                )
            share = parts[:, trace.target[index]].double()
            if trace.kind.endswith("difference"):
                share = share - parts[:, trace.rival[index]].double()
            rows.append(nn.functional.pad(share, (0, width - len(share))))
        return torch.stack(rows)[:, None]

    def _norms(self, trace: Trace) -> Tensor:  # [batch, layer, token]
        width = trace.batch.input_ids.shape[1]
        norms = [vectors.norm(dim=-1).double() for vectors in self._explained(trace)]  # [layer, source] each
        return torch.stack([nn.functional.pad(rows, (0, width - rows.shape[1])) for rows in norms])

    def _explained(self, trace: Trace) -> list[Tensor]:
        """The explained position's vectors of each example, `[layer, source, hidden]`, computed once for both `at`."""
        return trace.once(_of_explained_position[self.value_bias])


def vectors(trace: Trace, index: int, value_bias: str = "split") -> Iterator[Tensor]:
    """One example's vectors after each layer, `[token, source, hidden]`; over sources they sum to the state."""
    n = int(trace.batch.length[index])
    width = max(1, trace.token_budget // n)
    parts = torch.diag_embed(trace.hidden[index, 0, :n].T).permute(1, 2, 0).contiguous()
    for number, run in enumerate(trace.layer_runs):
        with_key = number == 0 and value_bias == "key"
        parts = through_layer(run.layer, run.attention[index, :, :n, :n], parts, width, with_key)
        yield parts


def _explained_vectors(trace: Trace, value_bias: str) -> list[Tensor]:
    explained = []
    for index, position in enumerate(trace.position.tolist()):
        n = int(trace.batch.length[index])
        rows = trace.hidden.new_empty(len(trace.layer_runs), n, trace.hidden.shape[-1])
        with torch.no_grad():
            for layer, parts in enumerate(vectors(trace, index, value_bias)):
                rows[layer] = parts[position]  # copied: a view would keep all of its layer's vectors alive
        explained.append(rows)
    return explained


_of_explained_position = {how: partial(_explained_vectors, value_bias=how) for how in VALUE_BIASES}


def through_layer(layer: Layer, attention: Tensor, parts: Tensor, width: int, bias_with_key: bool = False) -> Tensor:
    """Vectors `[token, source, hidden]` through a layer under attention `[head, query, key]`, `width` queries at once.

    With `bias_with_key` the value's bias stays with the source that is the key itself.
    """
    n = len(parts)
    value = layer.value.without_bias(through_norm(layer.attention_norm, parts) if layer.pre_norm else parts)
    bias = layer.attention_output.bias
    if bias_with_key:
        own = torch.arange(n, device=parts.device)
        value[own, own] += layer.value.bias
    else:  # attention's rows sum to 1
        value_bias = layer.value.bias.unflatten(0, (layer.value_heads or layer.heads, -1))
        bias = bias + layer.attention_output.without_bias(layer.repeated(value_bias, 0).flatten())
    value = layer.repeated(value.unflatten(-1, (layer.value_heads or layer.heads, -1)), -2)
    value = value.permute(2, 0, 1, 3).flatten(2)  # [head, key, source * size]
    pieces = []
    for rows in torch.arange(n, device=parts.device).split(width):
        mixed = (attention[:, rows] @ value).unflatten(-1, (n, -1))  # [head, row, source, size]
        mixed = mixed.permute(1, 2, 0, 3).flatten(2)  # [row, source, hidden]
        mixed = layer.attention_output.without_bias(mixed)
        if layer.attention_output_norm is None:
            attended = add_bias(parts[rows] + mixed, bias)
        else:
            attended = parts[rows] + through_norm(layer.attention_output_norm, add_bias(mixed, bias))
        middle = attended if layer.pre_norm else through_norm(layer.attention_norm, attended)
        summed = middle + through_feed_forward(layer, parts[rows] if layer.parallel else middle)
        pieces.append(summed if layer.pre_norm else through_norm(layer.feed_forward_norm, summed))
    return torch.cat(pieces)


def through_feed_forward(layer: Layer, parts: Tensor) -> Tensor:
    """Vectors `[..., source, hidden]` through a feed-forward and its norms.

    A gate multiplies two sums of vectors. Of a pair of vectors, one from each sum, either gets half of the product, so
    that a source's part is half its gate times the whole of the other, and half the other way round.
    """
    read = through_norm(layer.feed_forward_norm, parts) if layer.pre_norm else parts
    first, activation, last = layer.feed_forward_parts
    if layer.gate is None:
        inner = through_steps([first, activation], read)
    else:
        gate, inner = through_steps([layer.gate, activation], read), through_steps([first], read)
        inner = (gate * inner.sum(dim=-2, keepdim=True) + gate.sum(dim=-2, keepdim=True) * inner) / 2
    outer = through_steps([last], inner)
    return outer if layer.feed_forward_output_norm is None else through_norm(layer.feed_forward_output_norm, outer)


def through_steps(steps: list[Step], parts: Tensor) -> Tensor:
    """Vectors `[..., source, in]` through linear maps, LayerNorms and activations, `[..., source, out]`."""
    for step in steps:
        if isinstance(step, Linear):
            parts = add_bias(step.without_bias(parts), step.bias)
        elif isinstance(step, Norm):
            parts = through_norm(step, parts)
        else:
            parts = through_activation(step, parts)
    return parts


def through_norm(norm: Norm | None, parts: Tensor) -> Tensor:
    """Vectors `[..., source, hidden]` through a norm with the scale of their sum."""
    return parts if norm is None else add_bias(norm.shares(parts, parts.sum(dim=-2)), norm.bias)


def through_activation(activation: Callable[[Tensor], Tensor], parts: Tensor) -> Tensor:
    """Vectors `[..., source, hidden]` times the slope from the origin to the activation of their sum."""
    total = parts.sum(dim=-2, keepdim=True)
    total = total.where(total != 0, TINY)
    return parts * (activation(total) / total)


def add_bias(parts: Tensor, bias: Tensor) -> Tensor:
    """Split a bias `[hidden]` between vectors `[..., source, hidden]`."""
    weights = (parts @ bias).abs()  # [..., source]
    total = weights.sum(dim=-1, keepdim=True)
    weights = torch.where(total > 0, weights / total, 1 / parts.shape[-2])
    return parts + weights[..., None] * bias
