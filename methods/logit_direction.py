"""What each part of the residual stream adds to the explained logits, in models whose last state is a plain sum.

A pre-LN model's last state at the explained position is the sum of its embedding and of what every attention and
feed-forward block writes there. The final norm, with its actual scale, and the output embedding are linear, so the
logits are a sum too (Ferrando et al. 2023, section 3). https://arxiv.org/abs/2305.12535
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.tracing.layer import LayerRun, Linear, Norm
from harness.tracing.model_parts import Step, layer_parts, logit_steps
from harness.tracing.run import Trace
from harness.tracing.steps import by_layer
from methods.decomposition import at_rows

TINY = 1e-30  # stands for zero, where a slope through the origin is its limit


def check_direct(model: nn.Module) -> None:
    """Raise ValueError for a model whose logits are no sum over what its layers write."""
    steps = logit_steps(model)
    order = [0 if isinstance(step, Norm) else 1 if isinstance(step, Linear) else 2 for step in steps]
    if not all(layer.pre_norm for layer in layer_parts(model)):
        raise ValueError("it sums what layers write to the residual stream, and this model's layers are post-LN")
    if order != sorted(order) or order.count(0) > 1:
        raise ValueError("it sums what layers write to the residual stream, and this model's head is not linear")


def direction(trace: Trace) -> tuple[Tensor, Tensor]:
    """How the explained scalar grows with the last layer's output, `[batch, hidden]`, and its constant, `[batch]`.

    The scalar is the explained logit, or the difference of logits where the run explains a difference; a probability,
    which is no sum, is explained by its logit. Capped logits are linear with the slope from the origin. Float64.
    """
    words = trace.batch.inputs.get("candidates")
    states = at_rows(trace.hidden[:, -1], trace.position[:, None])[:, 0].double()
    pulled = []
    for index, state in enumerate(states):
        steps = logit_steps(trace.model, None if words is None else words[index])
        weights = torch.zeros_like(trace.logits[index], dtype=torch.float64)
        weights[trace.target[index]] = 1.0
        if trace.kind.endswith("difference") and trace.exclusive:
            weights[trace.rival[index]] -= 1.0
        pulled.append(_pulled(steps, state, weights))
    directions, constants = zip(*pulled, strict=True)
    return torch.stack(directions), torch.stack(constants)


def _pulled(steps: Sequence[Step], state: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of the logits, `[class]`, pulled back along the steps to the state, and what the biases add."""
    seen = [state]
    for step in steps:
        seen.append(double(step)(seen[-1]) if isinstance(step, Norm | Linear) else step(seen[-1]))
    constant = weights.new_zeros(())
    for step, before, after in reversed(list(zip(steps, seen[:-1], seen[1:], strict=True))):
        if isinstance(step, Norm | Linear):
            constant = constant + weights @ step.bias.double()
        if isinstance(step, Linear):
            weights = weights @ step.weight.double()
        elif isinstance(step, Norm):
            weights = through_norm(step, weights, before)
        else:
            weights = weights * after / before.where(before != 0, TINY)
    return weights, constant


def double(step: Norm | Linear) -> Norm | Linear:
    """The same in float64."""
    if isinstance(step, Linear):
        return Linear(step.weight.double(), step.bias.double())
    return Norm(step.gain.double(), step.bias.double(), step.epsilon, step.centred)


def through_norm(norm: Norm, directions: Tensor, total: Tensor) -> Tensor:
    """Directions `[..., hidden]` at a norm's output as those at its input, whose scale is that of `total`."""
    directions = directions * norm.gain
    if norm.centred:
        directions = directions - directions.mean(dim=-1, keepdim=True)
    return directions / norm.scale(total)


@dataclass(frozen=True)
class Terms:
    """What adds up to the explained scalar, float64.

    Attributes:
        attention: what attention reads from each token, `[batch, step, token]`; zero in an encoder-decoder's encoder.
        layers: the same of each layer, `[batch, layer, token]`.
        attention_bias: what its output's biases add, `[batch, layer]`.
        feed_forward: `[batch, layer]`; they belong to no token.
        embedding: of the explained position's own input to the first layer, `[batch]`.
        constant: of the final norm's and the head's biases, `[batch]`.
    """

    attention: Tensor
    layers: Tensor
    attention_bias: Tensor
    feed_forward: Tensor
    embedding: Tensor
    constant: Tensor

    @property
    def unassigned(self) -> Tensor:
        """What each layer adds that belongs to no token, `[batch, layer]`."""
        return self.feed_forward + self.attention_bias

    @property
    def unassigned_up_to(self) -> Tensor:
        """What belongs to no token up to each layer, the embedding and the constant included, `[batch, layer]`."""
        return self.unassigned.cumsum(dim=1) + (self.embedding + self.constant)[:, None]

    @property
    def total(self) -> Tensor:
        """Their sum, `[batch]`: the explained scalar."""
        return self.attention.sum(dim=(1, 2)) + self.unassigned_up_to[:, -1]


@torch.no_grad()
def terms(trace: Trace) -> Terms:
    """The terms of the explained scalar."""
    towards, constant = direction(trace)
    attention: list[Tensor] = []
    biases, feed_forward = (torch.zeros(*trace.hidden.shape[:1], trace.layers).to(towards) for _ in range(2))
    for run, step in zip(trace.layer_runs, trace.steps, strict=True):
        parts, bias = _attention_terms(trace, run, towards)
        if step.layer is None:  # the explained position does not read there
            attention.append(torch.zeros_like(parts))
            continue
        attention.append(parts)
        biases[:, step.layer] += bias
        written = at_rows(run.output - run.attended, trace.position[:, None])[:, 0]
        feed_forward[:, step.layer] += (written.double() * towards).sum(dim=-1)
    first = at_rows(trace.hidden[:, 0], trace.position[:, None])[:, 0].double()
    found = Terms(
        torch.stack(attention, dim=1),
        by_layer(attention, trace.steps, trace.batch.side),
        biases,
        feed_forward,
        (first * towards).sum(dim=-1),
        constant,
    )
    kind = "logit_difference" if trace.kind.endswith("difference") else "logit"
    check_parts(found.total, trace.output(trace.logits, kind=kind), trace)
    return found


def unassigned_share(unassigned: Tensor, scores: Tensor) -> Tensor:
    """The size of what belongs to no token, over it and the sizes of scores `[batch, layer, token]`."""
    rest = unassigned.abs()
    return rest / (rest + scores.abs().sum(dim=-1))


def check_parts(ours: Tensor, theirs: Tensor, trace: Trace) -> None:
    """Raise ValueError where outputs made from parts, `[batch]`, are not the model's: its head is another one."""
    off = (ours - theirs).abs().max() / trace.logits.abs().max()
    if off > (1e-2 if trace.logits.dtype.itemsize > 2 else 0.1):
        raise ValueError(
            f"what the parts add up to is not the model's output (off by {off:.0%}): its head is not the one that its "
            "architecture describes"
        )


def _attention_terms(trace: Trace, run: LayerRun, towards: Tensor) -> tuple[Tensor, Tensor]:
    """One layer's `[batch, token]` and `[batch]`."""
    layer, rows = run.layer, trace.position[:, None]
    if layer.attention_output_norm is not None:
        mixed = at_rows(run.mixed, rows)[:, 0].double()
        outside = (towards * layer.attention_output_norm.bias).sum(dim=-1)
        towards = through_norm(layer.attention_output_norm, towards, mixed)
    else:
        outside = torch.zeros_like(towards[:, 0])
    to_heads = (towards @ layer.attention_output.weight.double()).unflatten(
        -1, (layer.heads, -1)
    )  # [batch, head, size]
    weights = at_rows(run.attention.transpose(1, 2), rows)[:, 0].double()  # [batch, head, key]
    read = torch.einsum("bhk,bhks,bhs->bk", weights, run.value.double(), to_heads)
    return read, towards @ layer.attention_output.bias.double() + outside
