"""One example at a time, for methods that sample or slide over tokens: neighbours in a batch must change no number."""

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harness.tracing.batch import Role
from harness.tracing.run import Trace
from methods.blanks import baseline_embedding


@dataclass(frozen=True)
class SingleExample:
    """The words of one example of a trace; its special tokens stay as they are, its padding is cut off.

    Args:
        trace: that of its batch.
        row: which example of the batch.
        places: the indices of its words, `[word]`.
        inputs: the word embedding's output, `[1, word, hidden]`.
        baseline: what replaces each absent word, `[1, word, hidden]`.
        at_once: number of variants that one run of the model may hold.
    """

    trace: Trace
    row: int
    places: Tensor
    inputs: Tensor
    baseline: Tensor
    at_once: int

    @property
    def players(self) -> Tensor:
        """The index of each word as a Captum feature, `[1, word, 1]`."""
        return torch.arange(len(self.places), device=self.places.device).view(1, -1, 1)

    def forward(self, words: Tensor) -> Tensor:
        """The output of changed words, `[variant, word, hidden] -> [variant]`, differentiable."""
        whole = self.trace.embedding.detach()[self.row].expand(len(words), -1, -1)
        index = torch.full((len(words),), self.row, device=words.device)
        return self.trace.forward_from(whole.index_copy(1, self.places, words), index)


def one_by_one(
    trace: Trace, baseline: str, attribute: Callable[[SingleExample], Tensor], seed: int | None = None
) -> Tensor:
    """The scores before reduction of every example, `[batch, token, hidden]`, zero but on words.

    With a seed, each example's random numbers depend only on it and the example's id, whichever library draws them.
    """
    inputs = trace.embedding.detach()
    blank = baseline_embedding(trace, baseline)
    scores = torch.zeros_like(inputs)
    at_once = max(1, trace.token_budget // inputs.shape[1])
    for row, example in enumerate(trace.batch.examples):
        places = (trace.batch.role[row] == Role.CONTENT).nonzero()[:, 0]
        if len(places):
            single = SingleExample(trace, row, places, inputs[row, None, places], blank[row, None, places], at_once)
            with _random_numbers(None if seed is None else f"{seed}:{example.id}"):
                scores[row, places] = attribute(single).detach()[0].to(scores.dtype)
    return scores


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
