"""The model's layers computed again from their parts, step by step, and compared with the model's own states."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from harness.tracing.batch import Batch
from harness.tracing.layer import LayerRun, layer_run
from harness.tracing.model_parts import layer_parts
from harness.tracing.steps import Step, reading


def layer_runs(
    model: nn.Module,
    inputs: Sequence[Tensor | None],
    last: Tensor,
    attention: Iterable[Tensor],
    steps: Sequence[Step],
    batch: Batch,
) -> tuple[LayerRun, ...]:
    """What each step's layer computes between its input and its output, without gradients.

    Args:
        model: whose layers they are.
        inputs: what each step reads, `[batch, token, hidden]`; None where the model does not return it.
        last: the states after the last step, `[batch, token, hidden]`.
        attention: of each step, `[batch, head, query, key]`.
        steps: how the model mixes tokens.
        batch: the examples.

    Raises:
        ValueError: a model type that is not known, or whose layers compute something else.
    """
    runs: list[LayerRun] = []
    for number, (layer, step, weights) in enumerate(zip(layer_parts(model), steps, attention, strict=True)):
        state = inputs[number]
        if state is None:  # between a decoder layer's two attentions
            state = torch.where(runs[-1].reads[..., None], runs[-1].output, runs[-1].state)
        reads, read = (reading(batch.side, side) for side in (step.queries, step.keys))
        runs.append(layer_run(layer, state.detach(), weights, reads, read))
        if number and not steps[number - 1].ends:
            runs[-2] = replace(runs[-2], then=runs[-1])
        after = last if number + 1 == len(steps) else _after(step, steps[number + 1], inputs[number + 1])
        if after is not None:
            _check(runs[-1].output[reads], after.detach()[reads], step)
    return tuple(runs)


def _after(step: Step, following: Step, its_input: Tensor | None) -> Tensor | None:
    """The model's own states after a step; None where it does not return them, behind an encoder's final norm."""
    return its_input if step.queries == following.queries else None


def _check(ours: Tensor, theirs: Tensor, step: Step) -> None:
    if (ours - theirs).norm() > (1e-3 if ours.dtype.itemsize > 2 else 5e-2) * theirs.norm():
        raise ValueError(
            f"{step.name} of the model computes other states than its parts do: its configuration changes a layer's "
            "arithmetic in a way that Assay does not know"
        )
