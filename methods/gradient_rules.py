"""Layer-wise relevance as gradient times input, by a backward pass with modified rules.

Ali et al. 2022, section 3: https://arxiv.org/abs/2202.07304
Achtibat et al. 2024, section 3: https://arxiv.org/abs/2402.05602

With these rules the output is the sum of gradient times value over everything that enters the model, its biases
included, except what the softmax absorbs in AttnLRP. A torch function mode applies them while it is active; the values
of the forward pass do not change.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from harness import check
from harness.tracing.model_parts import model_layers
from harness.tracing.run import Trace
from methods.attention_steps import PRODUCT, SOFTMAX
from methods.explained_output import explaining
from methods.reduction import check_reduce, reduced

PLACES = ("word", "first_layer")
# each with its slope at zero, where the factor f(x) / x has no value of its own
ACTIVATIONS: dict[Callable, float] = {
    F.gelu: 0.5,
    F.silu: 0.5,
    F.relu: 0.0,
    F.tanh: 1.0,
    torch.relu: 0.0,
    Tensor.relu: 0.0,
    torch.tanh: 1.0,
    Tensor.tanh: 1.0,
}
KNOWN = ("gelu", "gelu_pytorch_tanh", "relu", "silu", "swish", "tanh")  # transformers' names of those


def check_rules(model: nn.Module) -> None:
    """Raise ValueError for a model with steps that the rules do not know, or whose layers cannot be found."""
    model_layers(model)
    config: Any = model.config
    names = [getattr(config, key, None) for key in ("hidden_act", "activation", "activation_function")]
    chosen = next((name for name in names if name is not None), None)
    if chosen not in KNOWN:
        raise ValueError(
            f"it needs a rule for every step of the model, and has none for the activation {chosen!r}: "
            f"it knows {', '.join(KNOWN)}"
        )


@dataclass
class GradientRules(TorchFunctionMode):
    """LayerNorm's standard deviation and each activation's factor f(x) / x are constants.

    Args:
        softmax: `gradient`: both factors of a matrix product get half of their gradient (AttnLRP). `constant`: no
            gradient passes the softmax, and the values get all of theirs (CP-LRP).
    """

    softmax: str

    def __post_init__(self):
        check.choice("softmax", self.softmax, ("gradient", "constant"))
        super().__init__()

    def __torch_function__(
        self, func: Callable, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.layer_norm:
            return _layer_norm(*args, **kwargs)
        if func in ACTIVATIONS:
            return _activation(func(*args, **kwargs), args[0], ACTIVATIONS[func])
        if func in SOFTMAX and self.softmax == "constant":
            return func(*args, **kwargs).detach()
        if func in PRODUCT and self.softmax == "gradient" and all(factor.requires_grad for factor in args[:2]):
            return func(_halved(args[0]), _halved(args[1]), *args[2:], **kwargs)
        return func(*args, **kwargs)


def _layer_norm(
    inputs: Tensor, shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    axes = tuple(range(-len(shape), 0))
    centred = inputs - inputs.mean(dim=axes, keepdim=True)
    deviation = (centred.square().mean(dim=axes, keepdim=True) + eps).sqrt().detach()
    normal = centred / deviation
    normal = normal if weight is None else normal * weight
    return normal if bias is None else normal + bias


def _activation(outputs: Tensor, inputs: Tensor, slope_at_zero: float) -> Tensor:
    zero = inputs == 0
    factor = (outputs / inputs.masked_fill(zero, 1.0)).masked_fill(zero, slope_at_zero).detach()
    return inputs * factor


def _halved(factor: Tensor) -> Tensor:
    return factor / 2 + factor.detach() / 2


def gradient_x_input(trace: Trace, softmax: str, at: str) -> Tensor:
    """The target's logit, distributed by `GradientRules`, `[batch, token, hidden]`; one forward and one backward pass.

    `at` is the `word` embedding's output or the input of the `first_layer`, positions included.
    """
    explained = explaining(trace, "logit")
    inputs = trace.embedding.detach().requires_grad_()
    index = torch.arange(len(inputs), device=inputs.device)
    seen: list[Tensor] = []

    def keep(_module: nn.Module, arguments: Any, named: Mapping[str, Any]) -> None:
        seen.append(arguments[0] if arguments else named["hidden_states"])

    handle = model_layers(trace.model)[0].register_forward_pre_hook(keep, with_kwargs=True)
    try:
        with torch.enable_grad(), GradientRules(softmax):
            value = explained.forward_from(inputs, index).sum()
    finally:
        handle.remove()
    place = inputs if at == "word" else seen[0]
    return place.detach() * torch.autograd.grad(value, place)[0]


def check_parameters(at: str, reduce: str) -> None:
    """Raise ValueError for an unknown `at` or an unknown reduction."""
    check.choice("at", at, PLACES)
    check_reduce(reduce)


def scores(trace: Trace, softmax: str, at: str, reduce: str) -> Tensor:
    """Token scores of either method, `[batch, 1, token]`."""
    return reduced(gradient_x_input(trace, softmax, at), reduce, trace.batch.attention_mask, "relevance")[:, None]
