"""Texts to swap tokens from, for examples whose task gives no counterfactual."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.tracing.batch import TEXT, Example, Role


def with_swaps(examples: Sequence[Example], pool: Sequence[Example], draws: int, seed: int = 0) -> list[Example]:
    """The examples, each with `draws` texts of its own length.

    A text that the task gives is a counterfactual, and stays what it is where it differs from the example. Each of the
    other tokens of the text is replaced by another token that stands in the same slot of an example of the pool: the
    same index from the start, or, for the token that predicts the next word, the same role. Where the pool has no other
    one there, any other token of its texts is taken; where it has none at all, nothing can be swapped. Special tokens
    stay. The draws depend on the seed and on the example's id.
    """
    slots: dict[tuple[int, int], list[int]] = defaultdict(list)
    for example in pool:
        for slot, token in zip(_slots(example), example.input_ids, strict=True):
            if slot is not None:
                slots[slot].append(token)
    banks = {slot: np.asarray(tokens) for slot, tokens in slots.items()}
    every = np.unique(np.concatenate([*banks.values(), np.empty(0, dtype=int)]))
    if len(every) < 2:
        return list(examples)
    return [replace(example, swaps=_drawn(example, banks, every, draws, seed)) for example in examples]


def _slots(example: Example) -> list[tuple[int, int] | None]:
    predicts = Role.PREDICTS
    return [
        (role, 0 if role == predicts else index) if role in TEXT else None for index, role in enumerate(example.roles)
    ]


def _drawn(
    example: Example, banks: dict[tuple[int, int], np.ndarray], every: np.ndarray, draws: int, seed: int
) -> list[list[int]]:
    digest = hashlib.sha256(f"{seed}:{example.id}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:16]))
    columns = []
    for slot, token in zip(_slots(example), example.input_ids, strict=True):
        if slot is None:
            columns.append([token] * draws)
            continue
        bank = banks[slot][banks[slot] != token]
        columns.append(generator.choice(bank if len(bank) else every[every != token], draws).tolist())
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
