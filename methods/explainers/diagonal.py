"""A floor for source and target: the nearer a token to the diagonal, the higher its score."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness.tracing.batch import TwoSided
from harness.tracing.run import Trace
from harness.tracing.steps import check_two_sided


@dataclass(frozen=True)
class Diagonal:
    """Minus the distance between how far a source token is in the source and how far the target has come.

    That is -|(i + ½) / n_source - (t + ½) / n_target|, where i is the token's index and t that of the target's token
    that is predicted. Both sides are counted from their first token of a word, so that start tokens and language tokens
    before it move nothing, and up to their end, the end token included; n_target is the length of the whole target, not
    of its prefix. A token of the prefix has its own index over n_target in place of (i + ½) / n_source.
    """

    cost: ClassVar[str] = "no pass"
    layerless: ClassVar[bool] = True
    floor: ClassVar[bool] = True

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError for a model of one text."""
        check_two_sided(model)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, 1, token]
        check_two_sided(trace.model)
        scores = torch.zeros(trace.batch.input_ids.shape, dtype=torch.float64)  # [batch, token]
        for row, example in enumerate(trace.batch.examples):
            assert example.sides is not None
            scores[row, : len(example.input_ids)] = _scores(example.sides, len(example.input_ids))
        return scores[:, None]


def _scores(sides: TwoSided, tokens: int) -> Tensor:
    """Of one example, `[token]`; in whole numbers up to one division, so that equal distances are equal scores."""
    words, start = list(sides.words), sides.source
    before = _before_words(words[:start])
    # Up to the predicted token, of which nothing but its place is known
    skipped = _before_words([*words[start:], sides.next_word])
    index = 2 * torch.arange(tokens + 1) + 1  # twice a token's middle, [token]
    source = (index[:start] - 2 * before) * (sides.target - skipped)
    target = (index[: tokens - start + 1] - 2 * skipped) * (start - before)
    return -(torch.cat([source, target[:-1]]) - target[-1]).abs() / (2.0 * (start - before) * (sides.target - skipped))


def _before_words(words: list[int]) -> int:
    """The number of tokens before the first one of a word; 0 where there is none."""
    return next((place for place, word in enumerate(words) if word >= 0), 0)
