"""What a method may not do: change the model or the trace, leave a hook, draw from a global generator."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules

from harness.tracing.run import Trace

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
SAMPLE = 50_000  # values of a tensor that are looked at
GLOBAL_HOOKS = ("_global_forward_hooks", "_global_forward_pre_hooks", "_global_backward_hooks")


class MisbehavedError(ValueError):
    """A method changed what all methods share, so that no number after it could be trusted."""


@dataclass(frozen=True)
class State:
    """What methods share, as it is at one moment; `generators` are the global ones."""

    weights: tuple[str, ...]
    trace: tuple[str, ...]
    hooks: int
    flags: tuple[bool, ...]
    gradients: int
    generators: tuple[object, ...]


@contextmanager
def watched(kind: str, name: str, trace: Trace, noted: list[str]) -> Iterator[None]:
    """Run a method inside; `noted` gets a sentence where it makes its own numbers hard to repeat.

    Raises:
        MisbehavedError: it changed the model or the trace, or left a hook.
    """
    before = _state(trace)
    yield
    after = _state(trace)
    for what, changed in (
        ("changes the model's weights or buffers", before.weights != after.weights),
        ("changes the trace that all methods share", before.trace != after.trace),
        ("leaves a hook in the model", before.hooks != after.hooks),
        ("changes the model's mode or which of its weights need gradients", before.flags != after.flags),
        ("leaves gradients in the model's weights", before.gradients != after.gradients),
    ):
        if changed:
            raise MisbehavedError(
                f"the {kind} {name} {what}, so that the numbers of other methods cannot be trusted: work on a copy, "
                "and undo every change"
            )
    if before.generators != after.generators:
        noted.append(
            f"the {kind} {name} draws from a global random generator, so its numbers depend on what ran before it: use "
            "a generator of its own, seeded by the example's id"
        )


def _state(trace: Trace) -> State:
    model = trace.model
    parameters = list(model.parameters())
    tensors = [*parameters, *model.buffers()]
    generators: list[object] = [torch.get_rng_state().numpy().tobytes(), random.getstate(), _numpy_state()]
    if torch.cuda.is_initialized():
        generators += [state.cpu().numpy().tobytes() for state in torch.cuda.get_rng_state_all()]
    return State(
        weights=tuple(_sum(one) for one in tensors),
        trace=tuple(_sum(one) for one in _tensors(trace)),
        hooks=sum(_hooks(one) for one in model.modules()) + sum(len(getattr(modules, name)) for name in GLOBAL_HOOKS),
        flags=(*(one.training for one in model.modules()), *(one.requires_grad for one in parameters)),
        gradients=sum(one.grad is not None for one in parameters),
        generators=tuple(generators),
    )


def _numpy_state() -> tuple[object, ...]:
    name, keys, *rest = np.random.get_state()
    return (name, np.asarray(keys).tobytes(), *rest)


def _tensors(trace: Trace) -> Iterator[Tensor]:
    yield from (trace.logits, trace.embedding, trace.target, trace.rival, trace.batch.role, trace.batch.ranked)
    yield from trace.batch.inputs.values()
    if trace.lacks is None:
        yield trace.attention
    yield from trace.states


def _hooks(module: nn.Module) -> int:
    return sum(len(getattr(module, name)) for name in HOOKS)


@torch.no_grad()
def _sum(values: Tensor) -> str:
    """What a change of the values changes: their version, and the sum of some thousands of them."""
    flat = values.detach().flatten()
    sample = flat[:: 1 + len(flat) // SAMPLE]
    total = sample.sum(dtype=torch.float64) if sample.dtype.is_floating_point else sample.sum()
    return f"{values._version} {total.item()!r}"
