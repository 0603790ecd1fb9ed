"""Batch: the tokens, and what is known of them; examples are packed into batches by length."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import torch
from torch import Tensor

from harness import check

INCLUDE = ("all", "no_cls", "content")


class Role(IntEnum):
    """What a token is: part of the text, the classifier's own token, the end token, or padding."""

    PADDING = -1
    CONTENT = 0
    CLS = 1
    FINAL = 2


@dataclass(frozen=True)
class Example:
    """One encoded sentence.

    Args:
        id: stable over runs; seeds, resumed runs and scores files hang on it.
        input_ids: `[token]`.
        roles: `[token]`, a `Role` each.
        position: the token whose last state feeds the head.
        gold: the right class.
        planted: token indices known to matter, by name, e.g. `subject`.
        tags: facts to group by, e.g. the number of attractors.
    """

    id: str
    input_ids: Sequence[int]
    roles: Sequence[int]
    position: int
    gold: int
    planted: Mapping[str, Sequence[int]] = field(default_factory=dict)
    tags: Mapping[str, int | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """Examples side by side, padded on the right."""

    examples: tuple[Example, ...]
    input_ids: Tensor  # [batch, token]
    attention_mask: Tensor  # [batch, token]  0 on padding
    role: Tensor  # [batch, token]
    ranked: Tensor  # [batch, token]  True where scores enter the correlation
    position: Tensor  # [batch]
    gold: Tensor  # [batch]
    blank_ids: Mapping[str, int | None]  # unk, mask, pad: the ids that can stand for a removed token

    @property
    def length(self) -> Tensor:
        """Tokens of each example without padding, `[batch]`."""
        return self.attention_mask.sum(dim=1)


def collate(
    examples: Sequence[Example], include: str, blank_ids: Mapping[str, int | None], device: torch.device | str = "cpu"
) -> Batch:
    """Put examples side by side; `include` says which tokens are ranked: all, no_cls or content."""
    check.choice("include", include, INCLUDE)
    width = max(len(example.input_ids) for example in examples)
    pad_id = blank_ids["pad"]

    def padded(rows: Iterator[Sequence[int]], filler: int) -> Tensor:  # [batch, token]
        return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows], device=device)

    role = padded((example.roles for example in examples), Role.PADDING)
    left_out = {"all": [], "no_cls": [Role.CLS], "content": [Role.CLS, Role.FINAL]}[include]
    ranked = role != Role.PADDING
    for excluded in left_out:
        ranked &= role != excluded
    return Batch(
        examples=tuple(examples),
        input_ids=padded((example.input_ids for example in examples), 0 if pad_id is None else pad_id),
        attention_mask=(role != Role.PADDING).long(),
        role=role,
        ranked=ranked,
        position=torch.tensor([example.position for example in examples], device=device),
        gold=torch.tensor([example.gold for example in examples], device=device),
        blank_ids=blank_ids,
    )


def pack(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Indices of examples in groups of like length, each of at most `token_budget` tokens with padding.

    A single example longer than the budget makes a group of its own.
    """
    check.count("token_budget", token_budget)
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        if groups and lengths[index] * (len(groups[-1]) + 1) <= token_budget:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups
