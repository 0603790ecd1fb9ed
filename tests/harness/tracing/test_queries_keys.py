"""Queries and keys are the ones whose product's softmax is attention, in every model type."""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from harness.tracing.batch import Batch, collate
from harness.tracing.queries_keys import QueriesKeys, queries_keys
from harness.tracing.run import Trace
from tasks.word_choice_model import WordChoiceModel
from tests.architectures import DECODER, DECODERS, ENCODER_DECODERS, KINDS, blanks, example, tiny, two_sided

BIASED = ("deberta-v2", "mpnet", "t5", "t5 gated")  # logits have a part that depends on positions
CAPPED = 5.0  # of gemma2
EVERY = (*KINDS, *DECODERS, *ENCODER_DECODERS)


def batch_of(kind: str) -> Batch:
    one = two_sided(6, 4) if kind in ENCODER_DECODERS else example(8, kind=kind)
    return collate([one], "all", blanks(kind))


def traced(kind: str) -> Trace:
    return Trace(tiny(kind), batch_of(kind))


def own_attention(trace: Trace, number: int, shape: torch.Size) -> Tensor:
    """The trace's attention of a step, in an encoder-decoder without the other side's rows and columns."""
    if trace.sides is None:
        return trace.attention[:, number].double()
    step = trace.steps[number]
    rows, columns = ((trace.batch.side[0] == side).nonzero()[:, 0] for side in (step.queries, step.keys))
    cut = trace.attention[:, number][:, :, rows][..., columns].double()
    assert cut.shape == shape
    return cut


def hidden_by_hand(trace: Trace, number: int, attention: Tensor) -> Tensor:
    """Keys that a query does not see: later ones in a causal step, and those that a window leaves out."""
    config: Any = trace.model.config
    n = attention.shape[-1]
    if trace.steps[number].crosses:
        return torch.zeros_like(attention, dtype=torch.bool)
    away = torch.arange(attention.shape[-2])[:, None] - torch.arange(n)
    hidden = (away < 0) & trace.steps[number].causal
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * len(trace.steps)
    if config.model_type == "mistral" or (trace.causal and kinds[number] == "sliding_attention"):
        hidden |= away >= config.sliding_window
    if config.model_type == "modernbert" and number % config.global_attn_every_n_layers:
        hidden |= away.abs() > config.local_attention // 2
    return hidden.expand_as(attention)


@pytest.mark.parametrize("kind", [kind for kind in EVERY if kind not in BIASED])
def test_the_softmax_of_queries_times_keys_is_the_traces_attention(kind: str):
    trace = traced(kind)
    found = queries_keys(trace)
    assert [one.step for one in found] == list(trace.steps)
    for number, one in enumerate(found):
        expected = own_attention(trace, number, one.logits.shape)
        hidden = hidden_by_hand(trace, number, expected)
        assert torch.equal(hidden, ~one.visible)
        logits = torch.einsum("bhqd,bhkd->bhqk", one.queries, one.keys)
        if kind == "gemma2":
            assert one.left_out.max() > 0.1  # the cap
            logits = CAPPED * (logits / CAPPED).tanh()
        else:
            assert one.left_out.max() < 1e-5
        weights = logits.masked_fill(hidden, -torch.inf).softmax(dim=-1)
        assert torch.allclose(weights, expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["mpnet", "t5", "t5 gated"])
def test_what_a_position_bias_adds_depends_on_positions_alone(kind: str):
    trace = traced(kind)
    for number, one in enumerate(queries_keys(trace)):
        bias = one.logits - one.product
        shared = [(bias.diagonal(away, -2, -1), one.visible.diagonal(away, -2, -1)) for away in range(-3, 4)]
        for values, seen in shared:  # [batch, head, query]
            if seen.all():
                assert torch.allclose(values, values[..., :1].expand_as(values), atol=1e-4)
        weights = (one.product + bias).softmax(dim=-1)
        assert torch.allclose(weights, own_attention(trace, number, one.logits.shape), atol=1e-4)
        crosses = trace.steps[number].crosses  # T5 has no bias between the sides
        assert (one.left_out.max() < 1e-5) == crosses
        assert (bias[one.visible].abs().max() < 1e-4) == crosses


def test_the_part_of_positions_in_deberta_is_left_out():
    trace = traced("deberta-v2")
    attention: Any = tiny("deberta-v2").deberta.encoder.layer[0].attention.self
    with torch.no_grad():
        state = trace.hidden[:, 0]
        queries, keys = (
            map_(state).unflatten(-1, (4, 8)).transpose(1, 2) for map_ in (attention.query_proj, attention.key_proj)
        )
    one = queries_keys(trace)[0]
    content = queries @ keys.transpose(-1, -2) / (8 * 3) ** 0.5  # over content and both kinds of positions
    assert torch.allclose(one.product, content.double(), atol=1e-4)
    assert one.left_out.max() > 0.05


def test_keys_that_several_heads_share_are_repeated():
    one = queries_keys(traced("llama"))[0]
    assert one.queries.shape == one.keys.shape == (1, 4, 9, 8)
    assert torch.equal(one.keys[:, 0], one.keys[:, 1])
    assert not torch.allclose(one.keys[:, 1], one.keys[:, 2])


@pytest.mark.parametrize("kind", ["bert", "gpt2", "marian"])
def test_the_trace_and_the_model_are_as_before(kind: str):
    trace = traced(kind)
    before = trace.attention.clone()
    first, second = queries_keys(trace), queries_keys(trace)
    assert all(torch.equal(one.queries, two.queries) for one, two in zip(first, second, strict=True))
    assert torch.equal(trace.attention, before)
    assert torch.equal(traced(kind).attention, before)


def test_padding_changes_no_query_and_no_key():
    short, long = (example(length, seed=length) for length in (4, 9))
    both = queries_keys(Trace(tiny("bert"), collate([short, long], "all", blanks("bert"))))
    alone = queries_keys(Trace(tiny("bert"), collate([short], "all", blanks("bert"))))
    for joint, one in zip(both, alone, strict=True):
        assert torch.allclose(joint.queries[:1, :, :6], one.queries, atol=1e-4)
        assert torch.allclose(joint.keys[:1, :, :6], one.keys, atol=1e-4)
        assert not joint.visible[0, :, :, 6:].any()
        assert joint.visible[1].all()


def of_other_type(kind: str, **more: object) -> Trace:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        config = AutoConfig.for_model(kind, **DECODER, **more)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval().requires_grad_(False)
    return Trace(WordChoiceModel(model, causal=True), batch_of("gpt2"))


def test_keys_that_all_heads_share_are_served_too():
    trace = of_other_type("falcon")  # a type that is in none of our tables
    one = queries_keys(trace)[0]
    assert one.queries.shape == one.keys.shape == (1, 4, 9, 8)
    assert torch.equal(one.keys[:, 0], one.keys[:, 3])
    weights = one.product.masked_fill(~one.visible, -torch.inf).softmax(dim=-1)
    assert torch.allclose(weights, trace.attention[:, 0].double(), atol=1e-4)


def test_attention_that_is_computed_in_another_way_is_refused():
    trace = of_other_type("bloom", n_layer=3, n_head=4)  # bias and product are one operation
    with pytest.raises(ValueError, match=r"attention of layer 1 does not come from the softmax of a product .*'bloom'"):
        queries_keys(trace)


def test_a_model_without_attention_weights_is_refused():
    trace = traced("bert")
    trace.lacks = "it reads attention weights, and there are none"
    with pytest.raises(ValueError, match="there are none"):
        queries_keys(trace)


def test_what_is_left_out_is_the_largest_difference_of_a_weight():
    logits = torch.tensor([[[[1.0, 0.0], [0.0, -1e9]]]], dtype=torch.float64)  # the second query sees one key
    queries, keys = torch.tensor([[[[0.0], [3.0]]]]).double(), torch.tensor([[[[1.0], [2.0]]]]).double()
    one = QueriesKeys(traced("bert").steps[0], queries, keys, logits, logits.softmax(dim=-1))
    assert one.visible.tolist() == [[[[True, True], [True, False]]]]
    assert one.left_out.item() == pytest.approx(torch.tensor(1.0).sigmoid().item() - 0.5)
