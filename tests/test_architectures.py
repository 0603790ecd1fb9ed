"""Every method on every type of model gives the numbers of the plain model, whatever the padding, or says why not."""

import pytest
import torch

from harness.tracing.batch import collate
from harness.tracing.notices import RoundingNoise
from harness.tracing.run import Trace
from methods.references.blank_out import BlankOut
from tests.architectures import KINDS, blanks, example, tiny
from tests.test_contracts import CASES, METHODS, build, close, left_as_it_was, scored

ARCHITECTURES = pytest.mark.parametrize("kind", list(KINDS))
NOT_FOR_ALL = (
    "which only a causal model computes",
    "this model's layers are post-LN",
    "this model's are post-LN",
    "this model's head is not linear",
    "its published rules have none for RMSNorm and for gated feed-forwards",
)
UNKNOWN = ("albert", "deberta-v2", "mpnet")  # not in the table: see there, or an unknown type
pytestmark = [
    pytest.mark.filterwarnings("ignore::harness.tracing.notices.Inexact"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),  # transformers' own, in DeBERTa
]


def traced(kind: str, *examples) -> Trace:
    return Trace(tiny(kind), collate(examples, "all", blanks(kind)))


@ARCHITECTURES
def test_logits_through_the_trace_equal_the_plain_models(kind: str):
    trace = traced(kind, example(9), example(5, seed=1))
    with torch.no_grad():
        plain = tiny(kind)(**trace.batch.inputs).logits
    assert torch.allclose(trace.logits, plain, rtol=0, atol=1e-6)
    index = torch.tensor([1, 0, 1])
    again = trace.forward_from(trace.embedding[index], index)
    assert torch.allclose(again, trace.output(trace.logits)[index], atol=1e-6)


@ARCHITECTURES
def test_the_gradient_equals_that_of_the_model_called_with_embeddings(kind: str):
    """An independent path: the library's own `inputs_embeds`, which replaces the word embedding in these models."""
    trace = traced(kind, example(7))
    vectors = tiny(kind).get_input_embeddings()(trace.batch.input_ids).detach().requires_grad_()
    positions = {}
    if kind in ("roberta", "mpnet"):  # without ids they cannot count their padding
        first = KINDS[kind]["pad_token_id"] + 1
        positions["position_ids"] = torch.arange(first, first + vectors.shape[1])[None]
    logits = tiny(kind)(inputs_embeds=vectors, attention_mask=trace.batch.attention_mask, **positions).logits
    (expected,) = torch.autograd.grad(trace.output(logits).sum(), vectors)
    assert torch.allclose(trace.gradient, expected, rtol=1e-4, atol=1e-6)


def refused(method: object, kind: str) -> str:
    """Why a method refuses a model type; empty if it supports it."""
    try:
        getattr(method, "check_model", lambda module: None)(tiny(kind))
    except ValueError as error:
        return str(error)
    return ""


@METHODS
@ARCHITECTURES
def test_padding_and_neighbours_change_nothing(kind: str, group: str, name: str):
    method = build(group, name)
    refusal = refused(method, kind)
    if refusal and any(reason in refusal for reason in NOT_FOR_ALL):
        return
    if refusal:  # for a type in none of our tables, a method says that it reads inner layers
        assert kind in UNKNOWN, refusal
        assert f"model type '{kind}'" in refusal
        return
    short, long = example(4), example(11, seed=2)
    if (kind, name) in (("deberta-v2", "input_x_gradient"), ("modernbert", "layer_gradient_x_activation")):
        # A LayerNorm directly follows and ignores scale, so input times gradient adds up to zero
        with pytest.warns(RoundingNoise):
            method(traced(kind, short))
        return
    traces = [traced(kind, one) for one in (short, long)]
    alone = [method(trace) for trace in traces]
    together = method(traced(kind, short, long))
    for index, one in enumerate((short, long)):
        n = len(one.input_ids)
        assert close(alone[index][0], together[index][..., :n])
        assert torch.isfinite(alone[index][scored(alone[index], traces[index], group)]).all()


@pytest.mark.filterwarnings("ignore:layer gradient × activation")  # of a pre-LN model's last layers
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in UNKNOWN])
def test_no_method_changes_the_model_or_another_methods_scores(kind: str):
    """On one trace in order, on another in reverse and under another grad mode; the shapes follow the contract."""
    first, second = (traced(kind, example(4), example(11, seed=2)) for _ in range(2))
    served = [case for case in CASES if not refused(build(*case), kind)]
    batch, layers, heads, _, token = first.attention.shape
    forward, backward = {}, {}
    for case in served:
        with left_as_it_was(first):
            forward[case] = build(*case)(first)
        shapes = {(batch, 1, token), (batch, layers, token), (batch, layers, heads, token)}
        assert tuple(forward[case].shape) in ({(batch, token)} if case[0] == "references" else shapes), case
    with torch.no_grad():
        for case in reversed(served):
            backward[case] = build(*case)(second)
    assert not [case for case in served if not close(forward[case], backward[case])]


@pytest.mark.parametrize("kind", ["bert", "electra", "deberta-v2"])
def test_the_model_is_given_which_of_two_texts_a_token_belongs_to(kind: str):
    pair = example(8, pair=True)
    trace = traced(kind, pair, example(4, seed=1))
    mask = torch.ones(1, 10, dtype=torch.long)
    ids, types = torch.tensor([pair.input_ids]), torch.tensor([pair.token_types])
    with torch.no_grad():
        told = tiny(kind)(input_ids=ids, attention_mask=mask, token_type_ids=types).logits
        untold = tiny(kind)(input_ids=ids, attention_mask=mask).logits
    assert torch.allclose(trace.logits[:1], told, atol=1e-6)
    if kind != "deberta-v2":  # which has no such embedding by default
        assert not torch.allclose(told, untold, atol=1e-3)
    blanked = BlankOut(removal="delete")(trace)[0, 3]
    kept = [index for index in range(10) if index != 3]
    with torch.no_grad():
        shorter = tiny(kind)(input_ids=ids[:, kept], attention_mask=mask[:, kept], token_type_ids=types[:, kept]).logits
    index = torch.tensor([0])
    expected = (trace.output(shorter, index) - trace.output(trace.logits[:1], index)).abs()
    assert blanked.item() == pytest.approx(expected.item(), abs=1e-6)


def test_a_pad_in_place_of_a_word_is_refused_where_it_would_shift_positions():
    with pytest.raises(ValueError, match="set removal to unk, mask, delete, ignore or swap"):
        BlankOut(removal="pad").check_model(tiny("roberta"))
    BlankOut(removal="pad").check_model(tiny("bert"))
