"""The model's own layers, called again as a run called them: with its masks, rotations and whatever else they take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness.tracing.architectures import one_architecture_of
from harness.tracing.calls import called
from harness.tracing.meter import uncounted
from harness.tracing.model_parts import model_layers
from harness.tracing.run import Trace


@dataclass(frozen=True)
class LayerCall:
    """One layer, and everything except the state that it was called with, for one example without padding.

    Args:
        module: the layer.
        projection: the module inside it whose input is the heads' outputs, side by side.
        arguments: after the state.
        named: by keyword.
    """

    module: nn.Module
    projection: nn.Module
    arguments: Sequence[Any]
    named: Mapping[str, Any]

    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """The heads' outputs side by side, `[query, hidden]`, and the layer's output; differentiable."""
        heads: list[Tensor] = []
        handle = self.projection.register_forward_pre_hook(lambda _module, inputs: heads.append(inputs[0]))
        try:
            result = self.module(state[None], *self.arguments, **self.named)
        finally:
            handle.remove()
        output = result[0] if isinstance(result, tuple) else result
        return heads[0].reshape(len(state), -1), output[0]


def layer_calls(trace: Trace, index: int) -> list[LayerCall]:
    """The calls of every layer in a run of one example alone; one pass of the model."""
    model, n = trace.model, int(trace.batch.length[index])
    layers, path = model_layers(model), one_architecture_of(model).attention_output
    calls: list[LayerCall] = []

    def keep(module: nn.Module, arguments: Any, named: Mapping[str, Any]) -> None:
        rest = {name: value for name, value in named.items() if name != "hidden_states"}
        calls.append(LayerCall(module, module.get_submodule(path), arguments[1:], rest))

    handles = [layer.register_forward_pre_hook(keep, with_kwargs=True) for layer in layers]
    inputs = trace.batch.at(torch.tensor([index], device=trace.batch.input_ids.device))
    inputs = {
        name: value[:, :n] if value.dim() == 2 and name != "candidates" else value for name, value in inputs.items()
    }
    try:
        with torch.no_grad(), uncounted():
            called(model, inputs, output_attentions=True)
    finally:
        for handle in handles:
            handle.remove()
    return calls
