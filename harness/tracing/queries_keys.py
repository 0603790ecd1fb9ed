"""Queries and keys of each attention step, as they enter the product whose softmax is attention."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from harness.tracing.calls import called
from harness.tracing.meter import uncounted
from harness.tracing.run import Trace
from harness.tracing.steps import Step

_HIDDEN = 5000.0  # masks lower a logit by at least 10,000
_PRODUCTS = (torch.matmul, torch.bmm, Tensor.matmul, Tensor.__matmul__, Tensor.bmm)
_SOFTMAXES = (torch.softmax, functional.softmax, Tensor.softmax)
_MULTIPLIED = (torch.mul, Tensor.mul, Tensor.mul_, Tensor.__mul__, Tensor.__imul__, Tensor.__rmul__)
_DIVIDED = (torch.div, Tensor.div, Tensor.div_, Tensor.__truediv__, Tensor.__itruediv__)


@dataclass(frozen=True)
class QueriesKeys:
    """One step's queries and keys, after rotations and norms, and with keys repeated for the heads that share them.

    Args:
        step: which it is.
        queries: `[batch, head, query, size]`, times whatever the product is multiplied by before the softmax.
        keys: `[batch, head, key, size]`.
        logits: `[batch, head, query, key]`, of which attention is the softmax; without a position bias, a cap and the
            like they are the product of queries and keys, but for hidden keys.
        attention: `[batch, head, query, key]`.
    """

    step: Step
    queries: Tensor
    keys: Tensor
    logits: Tensor
    attention: Tensor

    @property
    def product(self) -> Tensor:
        """Of queries and keys, `[batch, head, query, key]`."""
        return self.queries @ self.keys.transpose(-1, -2)

    @property
    def visible(self) -> Tensor:
        """Which keys a query sees, `[batch, head, query, key]`."""
        return self.logits > self.logits.amax(dim=-1, keepdim=True) - _HIDDEN

    @property
    def left_out(self) -> Tensor:
        """How far attention is from the softmax of the product at most, `[batch, head]`.

        A position bias, or a cap of the logits, is what queries and keys leave out.
        """
        alone = self.product.masked_fill(~self.visible, -torch.inf).softmax(dim=-1)
        return (alone - self.attention).abs().amax(dim=(-1, -2))


def queries_keys(trace: Trace) -> list[QueriesKeys]:
    """Those of each step, in one more run of the model, without gradients.

    The run is followed from each product of two tensors to the softmax whose result the model returns as attention, so
    that no model type has to be known.

    Raises:
        ValueError: the model has no attention weights, or some of them do not come from such a product.
    """
    if trace.lacks is not None:
        raise ValueError(trace.lacks)
    with torch.no_grad(), uncounted(), _Followed() as followed:
        result = called(trace.model, trace.batch.inputs, output_attentions=True)
    softmaxes = iter(followed.softmaxes)
    found = []
    for attention, step in zip(result.attentions, trace.steps, strict=True):
        one = next((one for one in softmaxes if _gives(one.weights, attention)), None)
        if one is None:
            kind = getattr(getattr(trace.model, "config", None), "model_type", type(trace.model).__name__)
            raise ValueError(
                f"the attention of {step.name} does not come from the softmax of a product of queries and keys that "
                f"can be followed (model type {kind!r})"
            )
        found.append(one.of(step, attention))
    return found


@dataclass(frozen=True)
class _Product:
    """Two factors, `[..., query, size]` and `[..., size, key]`, and what their product is multiplied by later."""

    left: Tensor
    right: Tensor
    scale: float | Tensor = 1.0


@dataclass(frozen=True)
class _Softmax:
    """A softmax, and the product that it comes from."""

    product: _Product
    logits: Tensor
    weights: Tensor

    def of(self, step: Step, attention: Tensor) -> QueriesKeys:
        """As queries and keys of a step, in float64."""
        left, right = self.product.left * self.product.scale, self.product.right
        rows = torch.broadcast_shapes(left.shape[:-2], right.shape[:-2])  # all heads may share one head's keys
        left, right, logits = (
            one.double().expand(*rows, *one.shape[-2:]).reshape(*attention.shape[:2], *one.shape[-2:])
            for one in (left, right, self.logits.reshape(*rows, *self.logits.shape[-2:]))
        )
        return QueriesKeys(step, left, right.transpose(-1, -2), logits, attention.double())


class _Followed(TorchFunctionMode):
    """Keeps every softmax of what was made of a product of two tensors, as long as it is entered."""

    def __init__(self):
        super().__init__()
        self.softmaxes: list[_Softmax] = []
        self._made: dict[int, tuple[Tensor, _Product]] = {}  # by id, with the tensor, so that no id is used again

    def __torch_function__(
        self, func: Callable, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> object:
        named = kwargs or {}
        result = func(*args, **named)
        if not isinstance(result, Tensor) or result.dim() < 3:
            return result
        if func in _PRODUCTS:
            self._made[id(result)] = (result, _Product(args[0], args[1]))
            return result
        tensors = [one for one in (*args, *named.values()) if isinstance(one, Tensor)]
        source = next((one for one in tensors if id(one) in self._made), None)
        if source is None or source.numel() != result.numel():  # a shape may change, but no weight's own
            return result
        product = self._made[id(source)][1]
        if func in _SOFTMAXES:
            self.softmaxes.append(_Softmax(product, source, result))
            self._made = {}
            return result
        other: Any = next((one for one in args if one is not source), None)
        if _one_number(other):
            if func in _MULTIPLIED:
                product = replace(product, scale=product.scale * other)
            elif func in _DIVIDED:
                product = replace(product, scale=product.scale / other)
        self._made[id(result)] = (result, product)
        return result


def _one_number(value: object) -> bool:
    return value.numel() == 1 if isinstance(value, Tensor) else isinstance(value, int | float)


def _gives(weights: Tensor, attention: Tensor) -> bool:
    """Whether a softmax is what the model returned, of the same numbers."""
    if weights.numel() != attention.numel():
        return False
    return torch.equal(weights.view_as(attention).to(attention.dtype), attention)
