"""Rollout and flow in relation to the receptive field, on graphs done by hand."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from harness.tracing.batch import collate
from harness.tracing.run import Trace
from methods.explainers.flow import Flow
from methods.explainers.lime import Lime
from methods.explainers.recency import Recency
from methods.explainers.rollout import Rollout
from methods.receptive_field import RECEPTIVE_FIELDS, permuted_keys
from methods.single_example import removed_one_by_one
from methods.surrogate import Lasso
from tests.architectures import blanks, example, tiny

KIND = "llama"


@pytest.fixture
def trace() -> Trace:
    return Trace(tiny(KIND), collate([example(7, kind=KIND), example(4, seed=1, kind=KIND)], "prompt", blanks(KIND)))


def product(attention: Tensor) -> Tensor:
    """The last row of the product of `[layer, query, key]` with half of the identity."""
    rolled, rows = torch.eye(attention.shape[-1], dtype=torch.float64), []
    for one in attention.double():
        rolled = (one / 2 + torch.eye(len(one)) / 2) @ rolled
        rows.append(rolled[-1])
    return torch.stack(rows)


def test_rollout_by_size_multiplies_each_row_by_the_keys_that_it_sees(trace: Trace):
    scores = Rollout(receptive_field="size")(trace)
    for index, n in enumerate((8, 5)):
        attention = trace.attention.mean(dim=2)[index, :, :n, :n]
        expected = product(attention * torch.arange(1, n + 1)[:, None])
        assert torch.allclose(scores[index, :, :n], expected, rtol=1e-6)


def test_rollout_by_uniform_divides_by_the_rollout_of_uniform_attention(trace: Trace):
    scores = Rollout(receptive_field="uniform")(trace)
    for index, n in enumerate((8, 5)):
        attention = trace.attention.mean(dim=2)[index, :, :n, :n]
        even = (torch.ones(n, n).tril() / torch.arange(1, n + 1)[:, None]).expand(len(attention), -1, -1)
        assert torch.allclose(scores[index, :, :n], product(attention) / product(even), rtol=1e-6)


def test_rollout_by_rows_shuffled_divides_by_the_mean_over_shuffles_of_what_a_query_sees(trace: Trace):
    scores = Rollout(receptive_field="rows_shuffled", draws=3, seed=5)(trace)
    layers = trace.attention.shape[1]
    for index, n in enumerate((8, 5)):
        attention = trace.attention.mean(dim=2)[index, :, :n, :n]
        expected = torch.zeros(layers, n, dtype=torch.float64)
        for draw in range(3):
            source = permuted_keys(trace, 5, draw)[index, :, :n, :n]
            for query in range(n):
                assert (source[:, query, : query + 1].sort(dim=-1).values == torch.arange(query + 1)).all()
                assert (source[:, query, query + 1 :] == torch.arange(query + 1, n)).all()
            expected += product(attention.gather(-1, source)) / 3
        assert torch.allclose(scores[index, :, :n], product(attention) / expected, rtol=1e-6)


def test_flows_utilisation_is_its_share_of_the_most_that_can_leave_a_token(trace: Trace):
    plain, scores = Flow()._maximum(trace, mixed(trace))[:, :, 0], Flow(receptive_field="utilisation")(trace)
    for index, n in enumerate((8, 5)):
        first = mixed(trace)[index, 0, :n, :n]
        most = first.sum(dim=0).clamp(max=1.0)
        share = plain[index, :, :n] / most
        assert torch.allclose(scores[index, :, :n], share / share.sum(dim=-1, keepdim=True), rtol=1e-6)
        assert (share <= 1 + 1e-9).all()


def mixed(trace: Trace) -> Tensor:
    real = trace.batch.attention_mask.double()
    return trace.attention.double().mean(dim=2) / 2 + torch.diag_embed(real)[:, None] / 2


@pytest.mark.parametrize("how", [*RECEPTIVE_FIELDS[1:], "utilisation"])
def test_no_normalisation_moves_anything_where_all_attention_is_uniform(how: str, trace: Trace):
    """Every token's share is then what its place alone gives, so a division leaves nothing to tell apart."""
    n = 8
    even = (torch.ones(n, n).tril() / torch.arange(1, n + 1)[:, None]).expand(trace.attention.shape)
    trace = Trace(tiny(KIND), collate([example(7, kind=KIND)], "prompt", blanks(KIND)))
    trace.attention = even[:1].clone()
    if how in ("uniform", "rows_shuffled"):
        scores = Rollout(receptive_field=how)(trace)
        assert torch.allclose(scores, scores[..., :1].expand_as(scores), rtol=1e-9)
    flow = Flow(receptive_field=how)(trace)
    assert torch.isfinite(flow).all()


def test_an_unknown_way_is_refused_at_construction():
    with pytest.raises(ValueError, match="receptive_field is one of none, size, uniform, rows_shuffled, got 'half'"):
        Rollout(receptive_field="half")
    with pytest.raises(ValueError, match="receptive_field is one of none, size, uniform, rows_shuffled"):
        Rollout(receptive_field="utilisation")
    with pytest.raises(ValueError, match="draws is a whole number, at least 1"):
        Flow(draws=0)


def test_recency_is_minus_position(trace: Trace):
    assert Recency()(trace)[0, 0].tolist() == list(range(8))
    assert Recency.floor is True


def test_context_cite_leaves_out_what_changes_nothing():
    """A sparse model finds the two features that matter among ten, and sets the others to zero."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randint(0, 2, (64, 10), generator=generator).double()
    outputs = 3 * features[:, 2] - 2 * features[:, 7] + 1
    lasso = Lasso(0.01)
    lasso.fit([(features[:40], outputs[:40], torch.ones(40)), (features[40:], outputs[40:], torch.ones(24))])
    found = lasso.representation()
    assert (found.nonzero()[:, 0] == torch.tensor([2, 7])).all()
    # with features that vary alone, the penalty takes alpha / deviation from each
    assert found[2] == pytest.approx(3 - 0.01 / features[:, 2].std(correction=0).item(), abs=0.02)
    assert torch.allclose(lasso(features), outputs, atol=0.1)
    with pytest.raises(ValueError, match="fit this model before"):
        Lasso(1.0).representation()


def test_context_cite_weighs_all_samples_alike(trace: Trace):
    scores = Lime(samples=64, width=None, lasso=0.01, removal="delete")(trace)
    assert scores.shape == (2, 1, 8)
    assert (scores[0, 0, 1:7] != 0).any()
    assert scores[0, 0, 7] == 0  # the explained position cannot be deleted


def test_context_cite_over_sentences_gives_each_word_its_sentences_coefficient():
    """With one sentence that can go, that is the output with it less the output without it."""
    whole = replace(example(6, kind="llama"), sentence=[0, 0, 0, 0, 0, 0, 1])
    model = tiny("llama")
    trace = Trace(model, collate([whole], "content", blanks("llama")), output="logit_difference")
    lasso = Lime(samples=40, width=None, lasso=1e-9, removal="delete", units="sentences")
    scores = lasso(trace)[0, 0]
    rest = replace(whole, input_ids=[whole.input_ids[0], whole.input_ids[-1]], position=1)
    rest = replace(rest, roles=[whole.roles[0], whole.roles[-1]], sentence=[0, 1])
    alone = Trace(model, collate([rest], "content", blanks("llama")), target=trace.target, output="logit_difference")
    lost = (trace.output(trace.logits) - alone.output(alone.logits)).item()
    assert scores[1:6].tolist() == pytest.approx([lost] * 5, abs=1e-5)
    assert (scores[0], scores[6]) == (0, 0)


def test_a_sentence_is_removed_as_a_whole_and_no_other_is():
    """Each word's score here is the output of the text that has its own sentence alone."""
    whole = replace(example(6, kind="llama"), sentence=[0, 0, 0, 1, 1, 1, 2])
    model = tiny("llama")
    trace = Trace(model, collate([whole], "content", blanks("llama")), output="logit_difference")
    own = torch.eye(2)  # a text with the first sentence alone, and one with the second
    scores = removed_one_by_one(trace, "delete", lambda one: one.forward(own)[None], units="sentences")[0]
    for kept in ([1, 2], [3, 4, 5]):
        ids, roles = ([row[index] for index in (0, *kept, 6)] for row in (whole.input_ids, whole.roles))
        rest = replace(whole, input_ids=ids, roles=roles, position=len(kept) + 1, sentence=())
        alone = Trace(
            model, collate([rest], "content", blanks("llama")), target=trace.target, output="logit_difference"
        )
        expected = alone.output(alone.logits).item()
        assert scores[kept].tolist() == pytest.approx([expected] * len(kept), abs=1e-5)


def test_sentences_need_a_task_that_says_where_they_end(trace: Trace):
    with pytest.raises(ValueError, match="the task does not say where sentences end: set units=words"):
        Lime(units="sentences")(trace)
    with pytest.raises(ValueError, match="units is one of words, sentences"):
        Lime(units="lines")
