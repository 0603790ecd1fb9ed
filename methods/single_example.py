"""One example at a time, for methods that sample or slide over tokens: neighbours in a batch must change no number."""

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harness.tracing.batch import Example
from harness.tracing.run import Trace
from methods.removal import logits_without, players

UNITS = ("words", "sentences")


@dataclass(frozen=True)
class SingleExample:
    """The units of one example of a trace, its words or sentences, as present or absent; special tokens stay.

    Args:
        trace: that of its batch.
        row: which example of the batch.
        places: the indices of its words, `[word]`.
        unit: which unit each word belongs to, `[word]`: itself, or its sentence.
        removal: how absent words are removed.
        at_once: number of variants that one run of the model may hold.
    """

    trace: Trace
    row: int
    places: Tensor
    unit: Tensor
    removal: str
    at_once: int

    @property
    def present(self) -> Tensor:
        """All units present, `[1, unit]`."""
        return torch.ones(1, int(self.unit.max()) + 1, device=self.places.device)

    def forward(self, present: Tensor) -> Tensor:
        """The output with some units present (1) and others absent (0), `[variant, unit] -> [variant]`."""
        removed = torch.zeros(len(present), self.trace.batch.input_ids.shape[1], dtype=torch.bool)
        removed = removed.to(present.device).index_copy(1, self.places, present[:, self.unit] < 0.5)
        index = torch.full((len(present),), self.row, device=present.device)
        drawn = logits_without(self.trace, removed, self.removal, index)
        return torch.stack([self.trace.output(logits, index) for logits in drawn]).mean(dim=0)


def removed_one_by_one(
    trace: Trace,
    removal: str,
    attribute: Callable[[SingleExample], Tensor],
    seed: int | None = None,
    units: str = "words",
) -> Tensor:
    """The scores of every example's words, `[batch, token]`, zero elsewhere, from `attribute`, `[1, unit]` of each.

    A sentence's score is that of each of its words. The words are those of `removal.players`.
    """
    scores = torch.zeros(trace.batch.input_ids.shape, dtype=torch.float64, device=trace.logits.device)
    at_once = max(1, trace.token_budget // scores.shape[1])
    for row, places in one_by_one(trace, players(trace, removal), seed):
        unit = torch.arange(len(places), device=places.device)
        if units == "sentences":
            unit = _sentences(trace.batch.examples[row], places)
        single = SingleExample(trace, row, places, unit, removal, at_once)
        scores[row, places] = attribute(single).detach()[0].to(scores)[unit]
    return scores


def _sentences(example: Example, places: Tensor) -> Tensor:  # [word]
    if not example.sentence:
        raise ValueError("the task does not say where sentences end: set units=words")
    return torch.tensor(example.sentence, device=places.device)[places].unique(return_inverse=True)[1]


def one_by_one(trace: Trace, words: Tensor, seed: int | None = None) -> Iterator[tuple[int, Tensor]]:
    """Each example's row and the indices of its words, of `words`, `[batch, token]`; examples without any are left out.

    With a seed, each example's random numbers depend only on it and the example's id, whichever library draws them.
    """
    for row, example in enumerate(trace.batch.examples):
        places = words[row].nonzero()[:, 0]
        if len(places):
            with _random_numbers(None if seed is None else f"{seed}:{example.id}"):
                yield row, places


@contextmanager
def _random_numbers(name: str | None) -> Iterator[None]:
    """All random generators seeded by a name inside the context, and restored after it."""
    if name is None:
        yield
        return
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    python, state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(state)
