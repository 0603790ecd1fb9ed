"""Layer-wise relevance as gradient times input, by a backward pass with modified rules.

Ali et al. 2022, section 3: https://arxiv.org/abs/2202.07304
Achtibat et al. 2024, section 3: https://arxiv.org/abs/2402.05602

With these rules the output is the sum of gradient times value over everything that enters the model, its biases
included, except what the softmax absorbs in AttnLRP. A torch function mode applies them while it is active; the values
of the forward pass do not change.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
import transformers.activations
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from harness import check
from harness.tracing.model_parts import model_layers
from harness.tracing.run import Trace
from harness.tracing.steps import two_sided
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
# transformers' names of those
KNOWN = ("gelu", "gelu_pytorch_tanh", "relu", "silu", "swish", "tanh")
# and of those that are made of several steps, in classes of its own
COMPOSED = ("gelu_new", "gelu_fast", "gelu_accurate", "gelu_python", "gelu_python_tanh", "quick_gelu", "mish", "relu2")
ACTIVATION_NAMES = ("hidden_act", "hidden_activation", "activation", "activation_function", "dense_act_fn")
RECIPROCAL_ROOT = (torch.rsqrt, Tensor.rsqrt)
POWER = (torch.pow, Tensor.pow, Tensor.__pow__)
TIMES = (torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__)


def activation_name(model: nn.Module) -> str | None:
    """The configuration's name for the feed-forward's activation."""
    names = [getattr(getattr(model, "config", None), key, None) for key in ACTIVATION_NAMES]
    return next((name for name in names if name is not None), None)


def check_rules(model: nn.Module, at: str = "word") -> None:
    """Raise ValueError for a model with steps that the rules do not know, or whose layers cannot be found.

    An encoder-decoder has no one first layer, which `at=first_layer` asks for.
    """
    model_layers(model)
    if at == "first_layer" and two_sided(model):
        raise ValueError("it reads the input of the first layer, and an encoder-decoder has two: set at=word")
    known = (*KNOWN, *COMPOSED)
    if (chosen := activation_name(model)) not in known:
        raise ValueError(
            f"it needs a rule for every step of the model, and has none for the activation {chosen!r}: "
            f"it knows {', '.join(known)}"
        )


@contextmanager
def composed_activations(model: nn.Module) -> Iterator[None]:
    """Make every activation that is a class of transformers' own one step, whatever steps it is made of."""

    def linear(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return _activation(output.detach(), inputs[0], 0.5)  # as every one of them has at zero, but for relu2

    own = [module for module in model.modules() if type(module).__module__ == transformers.activations.__name__]
    handles = [module.register_forward_hook(linear) for module in own if not list(module.children())]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass
class GradientRules(TorchFunctionMode):
    """A norm's scale and each activation's factor f(x) / x are constants, and a product's factors share its gradient.

    The products are those of attention's matrices and of a gated feed-forward. RMSNorm's scale is whatever comes out of
    a reciprocal square root.

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
        if func in RECIPROCAL_ROOT or (func in POWER and len(args) > 1 and args[1] == -0.5):
            return func(*args, **kwargs).detach()
        if func in TIMES and all(isinstance(one, Tensor) and one.requires_grad for one in args) and _alike(*args):
            return func(_halved(args[0]), _halved(args[1]))
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


def _alike(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape


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
        with torch.enable_grad(), GradientRules(softmax), composed_activations(trace.model):
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
