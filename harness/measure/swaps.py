"""Texts to swap tokens from, for examples whose task gives no counterfactual."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from harness.tracing.batch import TEXT, Example, Role
from harness.tracing.steps import Side

Slot = tuple[int, int, int]  # side, role and place


def with_swaps(examples: Sequence[Example], pool: Sequence[Example], draws: int, seed: int = 0) -> list[Example]:
    """The examples, each with `draws` texts of its own length.

    A text that the task gives is a counterfactual, and stays what it is where it differs from the example. Each of the
    other tokens of the text is replaced by another token that stands in the same slot of an example of the pool: the
    same index from the start, or, for the token that predicts the next word, the same role. Where the pool has no other
    one there, any other token of its texts is taken; where it has none at all, nothing can be swapped. In an
    encoder-decoder, all this is done on either side by itself. Special tokens stay. The draws depend on the seed and on
    the example's id.
    """
    slots: dict[Slot, list[int]] = defaultdict(list)
    for example in pool:
        for slot, token in zip(_slots(example), example.input_ids, strict=True):
            if slot is not None:
                slots[slot].append(token)
    banks = {slot: np.asarray(tokens) for slot, tokens in slots.items()}
    every = {
        side: np.unique(np.concatenate([bank for slot, bank in banks.items() if slot[0] == side]))
        for side in {slot[0] for slot in banks}
    }
    if all(len(tokens) < 2 for tokens in every.values()):
        return list(examples)
    return [replace(example, swaps=_drawn(example, banks, every, draws, seed)) for example in examples]


def _slots(example: Example) -> list[Slot | None]:
    """Of each token of the text; one text alone counts as a target."""
    source = 0 if example.sides is None else example.sides.source
    slots: list[Slot | None] = []
    for index, role in enumerate(example.roles):
        side = Side.SOURCE if index < source else Side.TARGET
        place = 0 if role == Role.PREDICTS else index - source * (side == Side.TARGET)
        slots.append((side, role, place) if role in TEXT else None)
    return slots


def _drawn(
    example: Example, banks: Mapping[Slot, np.ndarray], every: Mapping[int, np.ndarray], draws: int, seed: int
) -> list[list[int]]:
    digest = hashlib.sha256(f"{seed}:{example.id}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:16]))
    columns = []
    for slot, token in zip(_slots(example), example.input_ids, strict=True):
        if slot is None:
            columns.append([token] * draws)
            continue
        bank = banks[slot][banks[slot] != token]
        bank = bank if len(bank) else every[slot[0]][every[slot[0]] != token]
        columns.append(generator.choice(bank, draws).tolist() if len(bank) else [token] * draws)
    drawn = [list(text) for text in zip(*columns, strict=True)]
    if not example.swaps:
        return drawn
    given = [example.swaps[draw % len(example.swaps)] for draw in range(max(draws, len(example.swaps)))]
    return [
        [
            told if told != own else other
            for told, own, other in zip(text, example.input_ids, drawn[draw % draws], strict=True)
        ]
        for draw, text in enumerate(given)
    ]
