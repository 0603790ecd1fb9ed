"""The share of the scores that lies on the source, by hand."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from harness.tracing.batch import Example, Role, TwoSided, collate
from harness.tracing.run import Trace
from harness.tracing.steps import encoder_decoder_steps
from methods.metrics.source_share import SourceShare
from tests.known_model import bag, batch_of, sentence


def share(scores: Tensor, *sizes: tuple[int, int]) -> list[list[float]]:
    """Of scores `[batch, layer, token]`; `sizes` are the tokens of each example's source and prefix."""
    examples = []
    for source, prefix in sizes:
        n = source + prefix
        roles = [Role.CONTENT] * (n - 1) + [Role.PREDICTS]
        sides = TwoSided(source, prefix + 1, [-1] * n)
        examples.append(Example(f"{source}-{prefix}", [5] * n, roles, n - 1, 0, sides=sides))
    module = nn.Identity()
    module.steps = encoder_decoder_steps(1, 2)
    trace = SimpleNamespace(model=module, batch=collate(examples, "source", {"pad": 0}))
    return SourceShare()(trace, scores).tolist()


def test_the_share_is_that_of_absolute_scores_whatever_is_ranked_and_whatever_stands_in_padding():
    scores = torch.tensor(
        [
            [[1.0, -2.0, 0.5, 0.5, 1.0], [0.0, 0.0, 0.0, 3.0, 0.0]],
            [[3.0, 1.0, 9.0, 9.0, 9.0], [0.0, 2.0, torch.nan, 9.0, 9.0]],
        ]
    )
    assert share(scores, (2, 3), (1, 1)) == [[pytest.approx(3 / 5), 0.0], [pytest.approx(3 / 4), 0.0]]
    assert share(scores[:1], (4, 1)) == [[pytest.approx(4 / 5), 1.0]]


def test_the_share_is_undefined_without_scores_or_with_one_that_is_not_finite():
    zero, broken, endless = [0.0, 0.0, 0.0], [1.0, torch.nan, 1.0], [1.0, torch.inf, 1.0]
    values = torch.tensor(share(torch.tensor([[zero, broken], [endless, [1.0, 0.0, 0.0]]]), (2, 1), (2, 1)))
    assert values.isnan().tolist() == [[True, True], [True, False]]


def test_a_model_of_one_text_has_no_source():
    with pytest.raises(ValueError, match="needs an encoder-decoder"):
        SourceShare().check_model(bag())
    with pytest.raises(ValueError, match="needs an encoder-decoder"):
        SourceShare()(Trace(bag(), batch_of(sentence([5, 6, 7]))), torch.ones(1, 1, 5))
