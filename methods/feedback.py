"""Flow through an encoder-decoder whose earlier target tokens are its own decisions, after Metzger et al. 2022.

The input of a prefix token is fed by the top node of the position before it, which decided on that token, with
capacity 1. So the flow from the explained position ends in the source's tokens, or in the start token, which nothing
decided. https://arxiv.org/abs/2205.15389

The graph has no cycle, and is unrolled in time for `methods.maximum_flow`: positions from the explained one down to
the start, and in each the decoder's steps from the top, send on what they hold, each once, while every other node
passes on what it has. Then come the encoder's steps. Node (m, k), prefix token k below m self-attentions, has slot
`source + k * M + m` of one axis, M the number of self-attentions, behind the slots of the source. So (M, k - 1) and
(0, k) have one slot: the edge between them, of capacity 1, never binds, since rows sum to 1.

With S source tokens, explained position p of the prefix, E encoder steps and D decoder steps, of which M
self-attentions, there are E + D (p + 1) steps over N = S + M (p + 1) + 1 slots. The stack takes 8 bytes for each of
steps * N * N capacities, and the solver's tables 16 bytes for each of steps * steps * N bounds: for six layers on each
side and 20 tokens on each, 246 steps, 141 slots, 39 MB and 137 MB; for 50 tokens, 0.6 GB and 2 GB. Measured, with the
solver's other buffers: 0.5 GB and 3 seconds at 20 tokens on each side, 1.7 GB and 11 seconds at 30.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.tracing.steps import Side, Step
from methods.maximum_flow import maximum_flow

Floats = NDArray[np.float64]
ROUNDING = 1e-6  # by which a row's sum may exceed 1
LARGEST = 4 * 2**30  # bytes of the stack and of the solver's tables


@dataclass(frozen=True)
class Unrolled:
    """A network with feedback as a stack of square steps.

    Args:
        capacity: `[step, slot, slot]`, the last step first in the flow.
        top: the slot of the explained position, from which the flow starts at the top.
        terminals: the slots of the source's tokens and of the start token, `[source + 1]`, at the bottom. They are also
            the indices of these tokens in the example.
    """

    capacity: Floats
    top: int
    terminals: NDArray[np.int64]


def unrolled(capacity: Floats, steps: Sequence[Step], source: int, position: int) -> Unrolled:
    """Feedback as square steps, for one example of an encoder-decoder.

    Takes capacity [step, token, token] over [source | prefix], as `steps` describes them, rows of tokens that read in a
    step summing to at most 1; other rows are not read. `source` counts the source's tokens, and `position` is the
    explained token of the prefix. Raises ValueError for another kind of model, larger rows, and a position outside of
    the prefix.
    """
    encoder = _encoder_steps(steps, len(capacity))
    tokens = capacity.shape[1]
    if not 0 < source <= position < tokens:
        raise ValueError(
            f"position is a token of the prefix, from {source} to {tokens - 1}, got {position}: count the source's "
            "tokens, and at least one, before it"
        )
    levels = sum(step.keys == Side.TARGET for step in steps)
    explained, size = position - source, source + levels * (position - source + 1) + 1
    firing = encoder + (len(steps) - encoder) * (explained + 1)
    if (needed := 8 * firing * size**2 + 16 * firing**2 * size) > LARGEST:
        raise ValueError(
            f"flow with feedback would take {needed / 2**30:.0f} GiB for {source} tokens of the source and "
            f"{explained + 1} of the prefix: leave out longer texts, or set feedback=false"
        )
    stack = np.zeros((firing, size, size))
    stack[:, np.arange(size), np.arange(size)] = 1.0  # no more than 1 leaves the top, so passing on never binds
    stack[:encoder, :source, :source] = capacity[:encoder, :source, :source]
    at = encoder
    for token in range(explained + 1):
        level = 0
        for number in range(encoder, len(steps)):
            row, below = capacity[number, source + token], level
            level += steps[number].keys == Side.TARGET
            sent = np.zeros(size)
            sent[:source] = row[:source]
            # prefix tokens are read in the level below; a cross-attention stays in its own, and reads none but itself
            sent[source + np.arange(token + 1) * levels + below] += row[source : source + token + 1]
            stack[at, source + token * levels + level] = sent
            at += 1
    largest = stack.sum(axis=2).max()
    if largest > 1 + ROUNDING:
        raise ValueError(f"with feedback a reading token's row sums to at most 1, got {largest:g}: normalise the rows")
    return Unrolled(stack, source + (explained + 1) * levels, np.arange(source + 1))


def feedback_flow(capacity: Floats, steps: Sequence[Step], source: int, position: int) -> Floats:
    """Maximum flow with feedback from the explained position at the top to each token, [token]; see `unrolled`.

    0 for the tokens of the prefix but the start token.
    """
    network = unrolled(capacity, steps, source, position)
    flow = np.zeros(capacity.shape[1])  # [token]
    flow[: source + 1] = maximum_flow(network.capacity, network.top)[-1, network.terminals]
    return flow


def _encoder_steps(steps: Sequence[Step], given: int) -> int:
    """How many steps are the encoder's."""
    reading = [step.queries for step in steps]
    encoder = reading.count(Side.SOURCE)
    if None in reading or reading != [Side.SOURCE] * encoder + [Side.TARGET] * (len(steps) - encoder):
        raise ValueError("feedback has no form for this model: it needs the steps of an encoder and then a decoder's")
    if len(steps) != given:
        raise ValueError(f"expected a square of capacities for each of the {len(steps)} steps, got {given}")
    return encoder
