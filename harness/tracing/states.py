"""What a model computes inside one run, by hooks."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from harness.tracing.model_parts import model_layers

TURNED = ("xlnet",)  # model types that embed [token, batch]


@contextmanager
def word_embedding(model: nn.Module, replacement: Tensor | None) -> Iterator[list[Tensor]]:
    """Replace the word embedding's output with `replacement`, or with a leaf made of that output.

    Passing embeddings to the model as `inputs_embeds` is not always the same: some models then add positions and a
    LayerNorm a second time.
    """
    seen: list[Tensor] = []
    turned = getattr(getattr(model, "config", None), "model_type", None) in TURNED

    def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        own = output.detach().transpose(0, 1) if turned else output.detach()
        seen.append(own.requires_grad_(True) if replacement is None else replacement)
        return seen[-1].transpose(0, 1) if turned else seen[-1]

    handle = model.get_input_embeddings().register_forward_hook(hook)  # pyright: ignore[reportCallIssue]
    try:
        yield seen
    finally:
        handle.remove()


@contextmanager
def last_output(model: nn.Module) -> Iterator[list[Tensor]]:
    """The last layer's own output; nothing for a model type that is not known."""
    seen: list[Tensor] = []
    try:
        last = model_layers(model)[-1]
    except (ValueError, AttributeError):
        yield seen
        return

    def hook(_module: nn.Module, _inputs: object, output: object) -> None:
        state = output[0] if isinstance(output, tuple) else output
        if isinstance(state, Tensor):
            seen.append(state)

    handle = last.register_forward_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()


@contextmanager
def last_state(model: nn.Module) -> Iterator[list[Tensor]]:
    """The states that the model's body passes to its head; nothing where it has no separate body."""
    seen: list[Tensor] = []
    body = getattr(model, "base_model", model)

    def hook(_module: nn.Module, _inputs: object, output: object) -> None:
        state = output[0] if isinstance(output, tuple) else getattr(output, "last_hidden_state", None)
        if isinstance(state, Tensor) and state.dim() == 3 and state.requires_grad:
            seen.append(state)

    if body is model:
        yield seen
        return
    handle = body.register_forward_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()
