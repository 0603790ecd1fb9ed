"""Steps: how a model mixes tokens, one square map of attention after the other, over one axis of all tokens.

Each layer of an encoder or a decoder is one step, in which every token reads the others. An encoder-decoder has the
tokens of the source and those of the target's prefix on one axis, [source | prefix]: each layer of its encoder is a
step of the source's tokens, and each layer of its decoder two steps of the prefix's tokens, which read the prefix and
then the source. Tokens that do not read in a step stay what they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property

import torch
from torch import Tensor, nn


class Side(IntEnum):
    """Where a token stands: in the source, in the target's prefix, or in padding."""

    PADDING = -1
    SOURCE = 0
    TARGET = 1


@dataclass(frozen=True)
class Step:
    """One map of attention.

    Args:
        name: for messages, e.g. `layer 2`, `encoder 1`, `self-attention 3` or `cross-attention 3`.
        queries: the side whose tokens read; None for all tokens.
        keys: the side that they read; None for all tokens.
        causal: whether a token reads only itself and earlier ones.
        layer: the layer, from 0, whose row of scores it belongs to; None for an encoder's layer in an encoder-decoder,
            after which the explained position has read nothing yet.
        ends: whether this is its layer's last step.
    """

    name: str
    queries: Side | None = None
    keys: Side | None = None
    causal: bool = False
    layer: int | None = None
    ends: bool = True

    @property
    def closes(self) -> bool:
        """Whether scores are read after it: at the end of a layer of them."""
        return self.ends and self.layer is not None

    @property
    def crosses(self) -> bool:
        """Whether it reads the other side."""
        return self.queries != self.keys


def layer_steps(layers: int, causal: bool) -> tuple[Step, ...]:
    """Those of an encoder or a decoder."""
    return tuple(Step(f"layer {layer + 1}", causal=causal, layer=layer) for layer in range(layers))


def encoder_decoder_steps(encoder: int, decoder: int) -> tuple[Step, ...]:
    """Those of an encoder-decoder with so many layers."""
    source, target = Side.SOURCE, Side.TARGET
    steps = [Step(f"encoder {layer + 1}", source, source) for layer in range(encoder)]
    for layer in range(decoder):
        steps.append(Step(f"self-attention {layer + 1}", target, target, causal=True, layer=layer, ends=False))
        steps.append(Step(f"cross-attention {layer + 1}", target, source, layer=layer))
    return tuple(steps)


def encoder_steps(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps of an encoder-decoder with layers of scores that are the encoder's, for positions of the source."""
    layers = iter(range(len(steps)))
    return tuple(replace(step, layer=next(layers) if step.queries == Side.SOURCE else None) for step in steps)


def two_sided(model: nn.Module) -> bool:
    """Whether a model is an encoder-decoder, with source and prefix on one axis: its module declares `steps`."""
    return getattr(model, "steps", None) is not None


def check_one_sided(model: nn.Module) -> None:
    """Raise ValueError for an encoder-decoder."""
    if two_sided(model):
        raise ValueError("it has no form for encoder-decoders")


def check_two_sided(model: nn.Module) -> None:
    """Raise ValueError for a model of one text."""
    if not two_sided(model):
        raise ValueError("it needs an encoder-decoder, with a source and a target")


@dataclass(frozen=True)
class Sides:
    """Source and prefix of a batch, apart and on the one axis.

    Args:
        side: a `Side` for each token, `[batch, token]`; an example's source comes first, then its prefix.
    """

    side: Tensor

    @cached_property
    def source_length(self) -> Tensor:
        """`[batch]`."""
        return (self.side == Side.SOURCE).sum(dim=1)

    @cached_property
    def target_length(self) -> Tensor:
        """`[batch]`."""
        return (self.side == Side.TARGET).sum(dim=1)

    @cached_property
    def widths(self) -> tuple[int, int]:
        """Tokens of the longest source and of the longest prefix."""
        return int(self.source_length.max()), int(self.target_length.max())

    def on(self, side: Side) -> Tensor:
        """Whether a slot of the side alone holds a token, `[batch, slot]`."""
        length = self.source_length if side == Side.SOURCE else self.target_length
        return torch.arange(self.widths[side], device=self.side.device) < length[:, None]

    def apart(self, values: Tensor, side: Side, filler: int | float = 0) -> Tensor:
        """`[batch, token, ...]` of one side alone, `[batch, slot, ...]`; differentiable."""
        start = torch.zeros_like(self.source_length) if side == Side.SOURCE else self.source_length
        slots = torch.arange(self.widths[side], device=values.device)
        index = (start[:, None] + slots).clamp(max=self.side.shape[1] - 1)
        rows = torch.arange(len(values), device=values.device)[:, None]
        there = self.on(side).view(*index.shape, *[1] * (values.dim() - 2))
        return torch.where(there, values[rows, index], filler)

    @cached_property
    def _slot(self) -> Tensor:
        """Each token's slot among those of the source and then those of the prefix, `[batch, token]`."""
        places = torch.arange(self.side.shape[1], device=self.side.device)
        shifted = self.widths[0] + places - self.source_length[:, None]
        return torch.where(self.side == Side.TARGET, shifted, places).masked_fill(self.side == Side.PADDING, 0)

    def together(self, source: Tensor, target: Tensor) -> Tensor:
        """States of both sides, `[batch, slot, ...]`, on one axis, `[batch, token, ...]`, zero on padding."""
        rows = torch.arange(len(source), device=source.device)[:, None]
        joint = torch.cat([source, target], dim=1)[rows, self._slot]
        padding = (self.side == Side.PADDING).view(*self.side.shape, *[1] * (joint.dim() - 2))
        return joint.masked_fill(padding, 0.0)

    def square(self, weights: Tensor, step: Step) -> Tensor:
        """A step's weights `[batch, head, query, key]` on one axis of all tokens; zero where nothing is read."""
        assert step.queries is not None
        assert step.keys is not None
        size = sum(self.widths)
        start = (0, self.widths[0])
        rows = slice(start[step.queries], start[step.queries] + weights.shape[2])
        columns = slice(start[step.keys], start[step.keys] + weights.shape[3])
        whole = weights.new_zeros(*weights.shape[:2], size, size)
        whole[:, :, rows, columns] = weights
        batch = torch.arange(len(weights), device=weights.device)[:, None, None, None]
        heads = torch.arange(weights.shape[1], device=weights.device)[:, None, None]
        joint = whole[batch, heads, self._slot[:, None, :, None], self._slot[:, None, None, :]]
        reads = (self.side == step.queries)[:, None, :, None] & (self.side == step.keys)[:, None, None, :]
        return joint.masked_fill(~reads, 0.0)


def reading(side: Tensor, side_of: Side | None) -> Tensor:
    """Tokens of a side, or all tokens for None, `[batch, token]`; no padding."""
    return side != Side.PADDING if side_of is None else side == side_of


def by_layer(rows: Sequence[Tensor] | Tensor, steps: Sequence[Step], side: Tensor) -> Tensor:
    """Each step's row of scores, `[batch, step, (head,) token]`, as each layer's, `[batch, layer, (head,) token]`.

    A layer of an encoder-decoder has the source's scores from its cross-attention, and the prefix's from its
    self-attention.
    """
    rows = rows if isinstance(rows, Tensor) else torch.stack(list(rows), dim=1)
    if all(step.queries is None for step in steps):
        return rows
    layers: dict[int, Tensor] = {}
    for number, step in enumerate(steps):
        if step.layer is None:
            continue
        own = reading(side, step.keys).view(len(side), *[1] * (rows.dim() - 3), -1)
        part = rows[:, number].masked_fill(~own, 0.0)
        layers[step.layer] = layers[step.layer] + part if step.layer in layers else part
    return torch.stack(list(layers.values()), dim=1)
