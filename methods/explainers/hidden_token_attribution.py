"""Hidden token attribution: how sensitive a hidden state is to each input token (Brunner et al. 2020, section 5).

https://arxiv.org/abs/1908.04211; for single heads: Pascual et al. 2021, section 3. https://arxiv.org/abs/2004.05916
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm

from harness import check
from harness.tracing.layer import Layer
from harness.tracing.layer_calls import layer_calls
from harness.tracing.model_parts import layer_parts
from harness.tracing.run import Trace
from harness.tracing.steps import check_one_sided
from methods.layer_jacobian import Heads, LayerJacobian, Workspace, through_rest

OUTPUTS = ("layer", "head")
Call = Callable[[Tensor], tuple[Tensor, Tensor]]  # a layer's input -> its heads' outputs side by side, and its output


class Squares(NamedTuple):
    """Squared norms, float64, zero on padding."""

    layer: Tensor  # [batch, layer, token]
    head: Tensor  # [batch, layer, head, token]


@dataclass(frozen=True)
class HiddenTokenAttribution:
    """Frobenius norm of the Jacobian of the explained position's state w.r.t. each input token; rows sum to 1.

    The input is what the first layer reads: word and position embeddings together, after their LayerNorm where the
    model has one there. A row whose derivatives are all zero is NaN.

    Memory for the exact Jacobian grows as tokens x (layers + 15) x hidden^2, whatever the token budget. The states of
    layers and of heads come from one computation. Where attention is more than the softmax of queries and keys (in a
    decoder, or with rotations), the model's own layers are differentiated instead, whose exact Jacobian takes hidden x
    layers^2 / 2 backward passes through one layer: choose `samples` there.

    Args:
        of: the state: each `layer`'s output, or each `head`'s, before the output projection.
        samples: None for the exact Jacobian, or the number of normal random directions u, whose mean ||J^T u||^2 is
            an unbiased estimate of the squared norm.
        seed: of the directions, together with the example's id: the same in any batch.
    """

    cost: ClassVar[str] = "layer arithmetic"

    of: str = "layer"
    samples: int | None = None
    seed: int = 0

    def __post_init__(self):
        check.choice("of", self.of, OUTPUTS)
        if self.samples is not None:
            check.count("samples", self.samples)

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for an encoder-decoder, or a model whose layers' parts cannot be found."""
        check_one_sided(model)
        layer_parts(model)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, (head,) token]
        norms = self.squares(trace).sqrt()
        rows = norms / norms.sum(dim=-1, keepdim=True)
        real = trace.batch.attention_mask.bool()
        return rows.masked_fill(~real.view(len(real), *[1] * (rows.dim() - 2), -1), 0.0)

    def squares(self, trace: Trace) -> Tensor:
        """The squared norms, or their estimates, float64, `[batch, layer, (head,) token]`, zero on padding."""
        layers, rows = [run.layer for run in trace.layer_runs], []
        closed = all(layer.query is not None for layer in layers)
        if self.samples is None and closed:
            return getattr(trace.once(jacobian_squares), self.of)
        for index, states in enumerate(_states(trace, layers)):
            calls: Sequence[Call] = [_call(layer) for layer in layers] if closed else layer_calls(trace, index)
            sizes = [
                layer.attention_output.weight.shape[1] if self.of == "head" else states.shape[-1] for layer in layers
            ]
            directions = self._directions(trace.batch.examples[index].id, layers[0].heads, sizes).to(states)
            squares = self._pulled_back(calls, states, int(trace.position[index]), directions, trace.token_budget)
            squares = squares.sum(dim=2) if self.samples is None else squares.mean(dim=2)
            rows.append(_padded(squares if self.of == "head" else squares[:, 0], trace))
        return torch.stack(rows)

    def _directions(self, example: str, heads: int, sizes: Sequence[int]) -> Tensor:
        """Cotangents at the explained state, `[layer, group, direction, hidden]`; a group is a head, or all of it."""
        groups, size = heads if self.of == "head" else 1, sizes[0]
        if self.samples is None:
            unit = torch.eye(size).unflatten(0, (groups, -1))
            return unit.expand(len(sizes), -1, -1, -1)
        digest = hashlib.sha256(f"{self.seed}:{example}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)
        shape = (len(sizes), groups, self.samples, size // groups)
        drawn = torch.randn(shape, dtype=torch.float64, generator=generator)
        own = torch.eye(groups, dtype=torch.float64)[:, None, :, None]  # a head's directions are zero in the others
        return (drawn[:, :, :, None] * own).flatten(-2)

    def _pulled_back(
        self, calls: Sequence[Call], states: Tensor, position: int, directions: Tensor, token_budget: int
    ) -> Tensor:
        """One example's squares, `[layer, group, direction, token]`; all layers' cotangents go back together."""
        pending = states.new_empty(0, *states.shape[1:])  # [row, token, hidden], the last layer's first
        for call, state, start in reversed(list(zip(calls, states, directions, strict=False))):
            rows = start.flatten(0, 1)
            at_end = state.new_zeros(len(rows), len(state), rows.shape[-1])
            at_end[:, position] = rows
            with torch.enable_grad():
                leaf = state.detach().requires_grad_(True)
                heads, output = call(leaf)
            if self.of == "head":
                above, own = _pulled(output, leaf, pending, token_budget), _pulled(heads, leaf, at_end, token_budget)
                pending = torch.cat([above, own])
            else:
                pending = _pulled(output, leaf, torch.cat([pending, at_end]), token_budget)
        squares = pending.square().sum(dim=-1).double().unflatten(0, directions.shape[:3])
        return squares.flip(0)


def _call(layer: Layer) -> Call:
    def run(state: Tensor) -> tuple[Tensor, Tensor]:
        heads = layer.heads_output(state, layer.attention(state))
        return heads, layer.rest(layer.attended(state, layer.attention_output(heads)), state)

    return run


def _pulled(output: Tensor, leaf: Tensor, rows: Tensor, token_budget: int) -> Tensor:
    """Cotangents `[row, token, hidden]` at an output as those at the leaf."""
    pieces = rows.split(max(1, token_budget // len(leaf)))
    pulled = (
        torch.autograd.grad(output, leaf, piece, retain_graph=True, is_grads_batched=True)[0]
        for piece in pieces
        if len(piece)  # no cotangents come from above the last layer
    )
    return torch.cat([rows[:0], *pulled])


@torch.no_grad()
def jacobian_squares(trace: Trace) -> Squares:
    """Squared Frobenius norms of the Jacobians of the explained position's states w.r.t. every token's input."""
    layers = [run.layer for run in trace.layer_runs]
    of_layers, of_heads = [], []
    for index, states in enumerate(_states(trace, layers)):
        position = int(trace.position[index])
        jacobians = _jacobians(layers, states, position)  # [token, in, heads] of each layer
        squares = torch.stack([vector_norm(one, dim=1).double().square().T for one in jacobians])
        of_heads.append(_padded(squares.unflatten(1, (layers[0].heads, -1)).sum(dim=2), trace))
        # a layer's output is made of its heads' outputs and, by the residual, of the output of the layer before
        squares, before = [], None
        for run in trace.layer_runs:
            layer = run.layer
            rest = through_rest(layer, run.attended[index, position][None])[0]  # [out, in]
            output = jacobians.pop(0) @ (rest @ layer.attention_output.weight).T  # [token, in, out]
            if before is None:
                output[position] += rest.T
            else:
                output.flatten(0, 1).addmm_(before.flatten(0, 1), rest.T)
            squares.append(vector_norm(output, dim=(1, 2)).double().square())
            before = output
        of_layers.append(_padded(torch.stack(squares), trace))
    return Squares(torch.stack(of_layers), torch.stack(of_heads))


def _jacobians(layers: Sequence[Layer], states: Tensor, position: int) -> list[Tensor]:
    """Jacobians of each layer's head outputs at a position w.r.t. the first layer's input: `[token, in, heads]`."""
    jacobians: list[Tensor] = []
    spare = states.new_empty(*states.shape[1:], states.shape[-1])
    space = Workspace.of(spare, layers[0].heads)
    for layer, state in reversed(list(zip(layers, states, strict=False))):
        heads = Heads(layer, state)
        if jacobians:
            below = LayerJacobian(heads)
            for index, rows in enumerate(jacobians):
                below.pull(rows, space, out=spare)
                jacobians[index], spare = spare, rows
        jacobians.insert(0, heads.at(position))
    return jacobians


def _states(trace: Trace, layers: Sequence[Layer]) -> list[Tensor]:
    """Each example's layer inputs, and the last one's output, `[layer + 1, token, hidden]`.

    Raises ValueError where the model's attention is not the function that is differentiated here.
    """
    examples = []
    for index, n in enumerate(trace.batch.length.tolist()):
        states = trace.hidden[index, :, :n]
        examples.append(states)
        if any(layer.query is None for layer in layers):
            continue
        for number, (layer, state) in enumerate(zip(layers, states, strict=False), start=1):
            gap = (layer.attention(state) - trace.attention[index, number - 1, :, :n, :n]).abs().max()
            if gap > 1e-3:
                raise ValueError(
                    f"attention of layer {number} is not the softmax of its queries and keys alone (off by "
                    f"{gap:.1e}), so that its derivative is not known"
                )
    return examples


def _padded(squares: Tensor, trace: Trace) -> Tensor:
    """`[..., token]` as wide as the batch."""
    return nn.functional.pad(squares, (0, trace.batch.input_ids.shape[1] - squares.shape[-1]))
