"""Relevance propagation with positive contributions, as a backward pass (Chefer et al. 2021a, section 3.1 and 3.2).

https://arxiv.org/abs/2012.09838

A torch function mode replaces each step of the model by one with the same values whose backward pass propagates
relevance instead of gradients. Everything is float64, because the rule for sums divides by differences.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from harness.tracing.model_parts import layer_parts
from methods.attention_steps import LINEAR, PRODUCT, SOFTMAX, linear_weight
from methods.gradient_rules import ACTIVATIONS, KNOWN, activation_name

SUM = (torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__, Tensor.__iadd__)
SCALING = (torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__, torch.div, Tensor.div, Tensor.__truediv__)


def check_plain(model: nn.Module) -> None:
    """Raise ValueError for a model with steps that the published rules do not have."""
    for layer in layer_parts(model):
        norms = [layer.attention_norm, layer.feed_forward_norm]
        if layer.gate is not None or any(norm is not None and not norm.centred for norm in norms):
            raise ValueError("its published rules have none for RMSNorm and for gated feed-forwards")
    if (chosen := activation_name(model)) not in KNOWN:
        raise ValueError(
            f"it needs a rule for every step of the model, and has none for the activation {chosen!r}: "
            f"it knows {', '.join(KNOWN)}"
        )


def _share(part: Tensor, whole: Tensor) -> Tensor:
    """`part / whole`, 0 where there was nothing to distribute."""
    zero = whole == 0
    return (part / whole.masked_fill(zero, 1.0)).masked_fill(zero, 0.0)


class _HandedOn(torch.autograd.Function):
    """A step that acts on each entry separately: relevance passes through unchanged."""

    @staticmethod
    def forward(ctx: Any, _inputs: Tensor, outputs: Tensor) -> Tensor:
        return outputs.view_as(outputs)

    @staticmethod
    def backward(ctx: Any, *relevances: Tensor) -> Any:
        return relevances[0], None


class _Linear(torch.autograd.Function):
    """Distributed by positive contributions x * w alone, without biases (equation 6, with q of equation 7)."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        return F.linear(inputs, weight, bias)

    @staticmethod
    def backward(ctx: Any, *relevances: Tensor) -> Any:
        inputs, weight = ctx.saved_tensors
        plus, minus, up, down = inputs.clamp(min=0), inputs.clamp(max=0), weight.clamp(min=0), weight.clamp(max=0)
        share = _share(relevances[0], F.linear(plus, up) + F.linear(minus, down))
        return plus * (share @ up) + minus * (share @ down), None, None


class _Sum(torch.autograd.Function):
    """In the shares a / (a + b) of an entry, normalised by the sizes of both sides' totals (equation 10).

    Totals are per example, as in the authors' program, which takes one example at a time.
    """

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor) -> Tensor:
        ctx.save_for_backward(first, second)
        return first + second

    @staticmethod
    def backward(ctx: Any, *relevances: Tensor) -> Any:
        share = _share(relevances[0], ctx.saved_tensors[0] + ctx.saved_tensors[1])
        sides = [side * share for side in ctx.saved_tensors]
        axes = tuple(range(1, share.dim()))
        totals = [side.sum(dim=axes, keepdim=True) for side in sides]
        both, whole = totals[0].abs() + totals[1].abs(), relevances[0].sum(dim=axes, keepdim=True)
        return tuple(
            side * _share(_share(total.abs(), both) * whole, total) for side, total in zip(sides, totals, strict=True)
        )


class _Product(torch.autograd.Function):
    """A matrix product's terms, half to each factor, which is what equation 10 amounts to here."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor) -> Tensor:
        ctx.save_for_backward(left, right)
        return left @ right

    @staticmethod
    def backward(ctx: Any, *relevances: Tensor) -> Any:
        left, right = ctx.saved_tensors
        share = _share(relevances[0], left @ right)
        return left * (share @ right.mT) / 2, right * (left.mT @ share) / 2


class RelevanceRules(TorchFunctionMode):
    """LayerNorm, activations, softmax and scaling pass relevance on; linear maps, sums and products distribute it.

    Attributes:
        attention: each layer's softmax so far, `[batch, head, query, key]`, on the graph.
    """

    def __init__(self):
        super().__init__()
        self.attention: list[Tensor] = []

    def __torch_function__(
        self, func: Callable, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in LINEAR:
            inputs, weight, bias = linear_weight(func, [*args, *kwargs.values()])
            return _Linear.apply(inputs.double(), weight.double(), None if bias is None else bias.double())
        if func is F.layer_norm:
            args = [value.double() if isinstance(value, Tensor) else value for value in args]
            kwargs = {key: value.double() if isinstance(value, Tensor) else value for key, value in kwargs.items()}
            return _HandedOn.apply(args[0], func(*args, **kwargs))
        if func in SOFTMAX:
            result = _HandedOn.apply(args[0], func(*args, **kwargs))
            if isinstance(result, Tensor) and result.dim() == 4:
                self.attention.append(result)
            return result
        if func in ACTIVATIONS:
            return _HandedOn.apply(args[0], func(*args, **kwargs))
        tensors = [value for value in args if isinstance(value, Tensor) and value.requires_grad]
        if func in SCALING and len(tensors) == 1:
            return _HandedOn.apply(tensors[0], func(*args, **kwargs))
        if func in SUM and len(tensors) == 2 and tensors[0].shape == tensors[1].shape:
            return _Sum.apply(*tensors)
        if func in PRODUCT and len(tensors) == 2:
            return _Product.apply(*tensors)
        return func(*args, **kwargs)
