"""What every method reads in a decoder: a tiny, randomly initialised model of every causal type that Assay knows."""

import pytest
import torch

from harness.tracing.batch import collate
from harness.tracing.model_parts import logit_steps
from harness.tracing.run import Trace
from methods.decomposition import add_residual, summands, transformed
from methods.explainers.alti_logit import AltiLogit
from methods.explainers.logit import Logit
from methods.explainers.progressive_inference import ProgressiveInference
from tests.architectures import DECODERS, blanks, example, tiny
from tests.test_contracts import refused, scored

DECODER = pytest.mark.parametrize("kind", list(DECODERS))
pytestmark = [
    pytest.mark.filterwarnings("ignore::harness.tracing.notices.Inexact"),
    pytest.mark.filterwarnings("ignore::harness.tracing.notices.RoundingNoise"),
]


def traced(kind: str, *lengths: int, **options) -> Trace:
    examples = [example(length, seed=number, kind=kind) for number, length in enumerate(lengths)]
    return Trace(tiny(kind), collate(examples, "prompt", blanks(kind)), **options)


@DECODER
def test_logits_equal_the_plain_models_next_word_logits(kind: str):
    trace = traced(kind, 9, 5)
    for index, one in enumerate(trace.batch.examples):
        with torch.no_grad():
            plain = tiny(kind).inner(torch.tensor([one.input_ids])).logits[0, -1, list(one.candidates)]
        assert torch.allclose(trace.logits[index], plain, atol=1e-5)
    index = torch.tensor([1, 0, 1])
    again = trace.forward_from(trace.embedding[index], index)
    assert torch.allclose(again, trace.output(trace.logits)[index], atol=1e-5)


@DECODER
def test_the_trace_knows_that_the_model_is_causal_and_so_do_its_copies(kind: str):
    trace = traced(kind, 7)
    for one in (trace, trace.on(tiny(kind)), trace.moved(trace.embedding)):
        assert one.causal
    assert trace.attention.triu(1).max() == 0


@DECODER
def test_a_layers_parts_make_up_the_models_states(kind: str):
    """Of every layer, its last state before the final norm included; attention's parts and the rest are the state."""
    trace = traced(kind, 9, 5)
    real = trace.batch.attention_mask.bool()
    rows = torch.arange(real.shape[1]).expand(len(real), -1)
    for number, run in enumerate(trace.layer_runs):
        state = trace.hidden[:, number + 1]
        assert ((run.output - state)[real].norm() / state[real].norm()) < 1e-5
        parts = add_residual(run, rows, summands(run, transformed(run), rows)).sum(dim=2)
        norm = run.layer.attention_output_norm
        bias = run.layer.attention_output.bias
        if norm is not None:
            bias = norm.shares(bias.expand_as(run.mixed)[:, :, None], run.mixed)[:, :, 0] + norm.bias
        assert ((parts + bias - run.attended)[real].norm() / run.attended[real].norm()) < 1e-5


@DECODER
def test_the_last_state_leads_to_the_logits(kind: str):
    trace = traced(kind, 9, 5)
    for index, one in enumerate(trace.batch.examples):
        state = trace.hidden[index, -1, one.position]
        for step in logit_steps(trace.model, torch.tensor(one.candidates)):
            state = step(state)
        assert torch.allclose(state, trace.logits[index], atol=1e-5)


@DECODER
def test_every_method_serves_a_decoder_or_says_why_not(kind: str):
    """Padding, neighbours, order and grad mode change nothing, and no score depends on what comes later."""
    both, again = traced(kind, 4, 11), traced(kind, 4, 11)
    alone = [Trace(tiny(kind), collate([one], "prompt", blanks(kind))) for one in both.batch.examples]
    refusals = refused(both, again, alone, scored)
    unserved = {"transformer_attribution"} | ({"logit", "alti_logit", "ifr"} if kind == "opt post-LN" else set())
    assert {name.split()[0] for _, name in refusals} <= unserved, refusals


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_head_that_is_not_the_described_one_is_noticed(kind: str):
    """As if the last state were behind the final norm already, as the library returns it."""
    trace = traced(kind, 9, 5, output="logit_difference")
    trace.states = (*trace.states[:-1], logit_steps(trace.model)[0](trace.states[-1]) * 2)
    for method in (ProgressiveInference(), Logit(), AltiLogit()):
        with pytest.raises(ValueError, match=r"its head is not the one|computes other states than its parts do"):
            method(trace)
