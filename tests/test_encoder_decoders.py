"""What every method reads in an encoder-decoder: a tiny, randomly initialised model of every such type Assay knows."""

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForSeq2SeqLM

from harness.tracing import prefix, reruns
from harness.tracing.batch import Example, Role, collate
from harness.tracing.model_parts import logit_steps
from harness.tracing.run import Trace
from harness.tracing.steps import Side
from methods.decomposition import add_residual, summands, transformed
from methods.explainers.alti import Alti
from methods.explainers.attention import Attention
from methods.explainers.flow import Flow
from methods.explainers.generic_relevance import GenericRelevance
from methods.explainers.rollout import Rollout
from methods.removal import logits_without
from tasks.target_word_model import TargetWordModel
from tests.architectures import ENCODER_DECODERS, STACKS, UNK, blanks, source_of, tiny, two_sided
from tests.test_contracts import refused, scored

TYPE = pytest.mark.parametrize("kind", list(ENCODER_DECODERS))
pytestmark = [
    pytest.mark.filterwarnings("ignore::harness.tracing.notices.Inexact"),
    pytest.mark.filterwarnings("ignore::harness.tracing.notices.RoundingNoise"),
]
PAIRS = [(4, 3), (7, 5), (3, 4)]  # words of the source, tokens of the prefix
UNSERVED = {
    *("attention_attribution", "decompx", "decompx_by_layer", "effective_attention", "effective_flow"),
    *("effective_rollout", "generalized_attention_flow", "hidden_token_attribution", "layer_integrated_gradients"),
    *("hidden_token_attribution_by_head", "hidden_token_attribution_sampled", "layer_gradient_x_activation"),
    *("progressive_inference", "transformer_attribution"),
}
POST_NORM = ("marian", "bart")


def examples() -> list[Example]:
    return [two_sided(*sizes, seed=number) for number, sizes in enumerate(PAIRS)]


def traced(kind: str, chosen: Sequence[Example] | None = None, include: str = "prompt", **options) -> Trace:
    batch = collate(chosen or examples(), include, blanks(kind))
    return Trace(tiny(kind), batch, **({"removal": "ignore"} | options))


@TYPE
def test_logits_equal_the_plain_models(kind: str):
    trace = traced(kind)
    inner = tiny(kind).inner
    for index, one in enumerate(trace.batch.examples):
        source, target = one.input_ids[: source_of(one)], one.input_ids[source_of(one) :]
        with torch.no_grad():
            plain = inner(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([target])).logits
        assert torch.allclose(trace.logits[index], plain[0, -1, list(one.candidates)], atol=1e-5)
    index = torch.tensor([2, 0, 1])
    again = trace.forward_from(trace.embedding[index], index)
    assert torch.allclose(again, trace.output(trace.logits)[index], atol=1e-5)


@TYPE
def test_attention_lies_where_the_model_reads_and_its_rows_sum_to_one(kind: str):
    """Against the model's own three kinds of attention, of each example alone."""
    trace = traced(kind)
    inner = tiny(kind).inner
    for index, one in enumerate(trace.batch.examples):
        size, n = source_of(one), len(one.input_ids)
        ids = torch.tensor([one.input_ids])
        own = inner(input_ids=ids[:, :size], decoder_input_ids=ids[:, size:], output_attentions=True)
        expected = []
        for weights in own.encoder_attentions:
            expected.append(torch.zeros(4, n, n))
            expected[-1][:, :size, :size] = weights[0]
        for within, across in zip(own.decoder_attentions, own.cross_attentions, strict=True):
            expected.append(torch.zeros(4, n, n))
            expected[-1][:, size:, size:] = within[0]
            expected.append(torch.zeros(4, n, n))
            expected[-1][:, size:, :size] = across[0]
        ours = trace.attention[index]
        assert len(ours) == len(expected) == len(trace.steps)
        assert torch.allclose(ours[..., :n, :n], torch.stack(expected), atol=1e-5)
        assert ours[..., n:, :].abs().sum() == ours[..., :, n:].abs().sum() == 0
        sums = ours.sum(dim=-1)[:, :, :n]  # [step, head, query]
        assert torch.allclose(sums, trace.reads[index, :, None, :n].float().expand_as(sums), atol=1e-5)
    stacked = torch.stack(list(trace.attention_steps()), dim=1)
    assert torch.equal(stacked, trace.attention)


@TYPE
def test_gradients_of_both_sides_equal_finite_differences(kind: str):
    module = copy.deepcopy(tiny(kind)).double()
    trace = Trace(module, collate(examples(), "prompt", blanks(kind)), output="logit_difference")
    index = torch.tensor([1])
    direction = torch.randn(trace.embedding.shape[1:], generator=torch.Generator().manual_seed(1)).double()
    # T5 computes the scale of its norms in float32
    step = (1e-2 if kind.startswith("t5") else 1e-6) / direction.norm()
    ends = [trace.forward_from(trace.embedding[index] + sign * step * direction, index) for sign in (1, -1)]
    slope = ((ends[0] - ends[1]) / (2 * step)).item()
    assert slope == pytest.approx((trace.gradient[1] * direction).sum().item(), rel=1e-3)
    for side in (Side.SOURCE, Side.TARGET):
        assert (trace.gradient.norm(dim=-1)[trace.batch.side == side] > 0).all()
        assert (trace.first_layer_gradient.norm(dim=-1)[trace.batch.side == side] > 0).all()
    assert trace.gradient.norm(dim=-1)[trace.batch.side == Side.PADDING].sum() == 0


@TYPE
def test_a_steps_parts_make_up_the_models_states(kind: str):
    trace = traced(kind)
    token = trace.batch.input_ids.shape[1]
    rows = torch.arange(token).expand(len(trace.batch.examples), -1)
    for run, step in zip(trace.layer_runs, trace.steps, strict=True):
        assert (run.then is not None) == step.name.startswith("self")
        parts = add_residual(run, rows, summands(run, transformed(run), rows)).sum(dim=2)
        theirs = run.attended[run.reads]
        ours = (parts + run.layer.attention_output.bias)[run.reads]
        assert ((ours - theirs).norm() / theirs.norm()) < 1e-5
        if run.then is not None:  # what the cross-attention makes of the same queries is its own output
            again = run.then.from_queries(run.output)[run.reads]
            assert ((again - run.then.output[run.reads]).norm() / again.norm()) < 1e-5


@TYPE
def test_the_last_state_leads_to_the_logits(kind: str):
    trace = traced(kind)
    for index, one in enumerate(trace.batch.examples):
        state = trace.hidden[index, -1, one.position]
        for step in logit_steps(trace.model, torch.tensor(one.candidates)):
            state = step(state)
        assert torch.allclose(state, trace.logits[index], atol=1e-5)


@TYPE
def test_every_method_serves_an_encoder_decoder_or_says_why_not(kind: str):
    """Padding, neighbours, order and grad mode change nothing."""
    both, again = traced(kind, examples()[:2]), traced(kind, examples()[:2])
    alone = [traced(kind, [one]) for one in both.batch.examples]

    def defined(scores: Tensor, trace: Trace, group: str) -> Tensor:
        """A reference may have no value for special tokens."""
        return scored(scores, trace, group) & (trace.batch.text if group == "references" else True)

    refusals = refused(both, again, alone, defined)
    unserved = UNSERVED | ({"logit", "alti_logit", "ifr"} if kind in POST_NORM else set())
    assert {name.split()[0] for _, name in refusals} == unserved, refusals
    assert all(len(reason) > 20 for reason in refusals.values())


@TYPE
@pytest.mark.parametrize("removal", ["unk", "ignore", "delete", "zero"])
def test_a_removal_of_one_token_equals_the_plain_model_on_the_changed_text(kind: str, removal: str):
    trace = traced(kind)
    one = trace.batch.examples[1]
    inner, size, n = tiny(kind).inner, source_of(one), len(one.input_ids)
    for gone in (0, 4, size + 1, size + 3):
        removed = torch.zeros(1, trace.batch.input_ids.shape[1], dtype=torch.bool)
        removed[0, gone] = True
        ours = logits_without(trace, removed, removal, torch.tensor([1]))[0, 0]
        ids, mask = torch.tensor([one.input_ids]), torch.ones(1, n, dtype=torch.long)
        hook = None
        if removal == "unk":
            ids[0, gone] = UNK
        elif removal == "ignore":
            mask[0, gone] = 0
        elif removal == "delete":
            kept = [place for place in range(n) if place != gone]
            ids, mask = ids[:, kept], mask[:, kept]
        else:
            stack, place = (inner.get_encoder(), gone) if gone < size else (inner.get_decoder(), gone - size)
            length = size if gone < size else n - size
            hook = stack.embed_tokens.register_forward_hook(zeroing(place, length))
        cut = size - (removal == "delete" and gone < size)
        with torch.no_grad():
            plain = inner(
                input_ids=ids[:, :cut],
                attention_mask=mask[:, :cut],
                decoder_input_ids=ids[:, cut:],
                decoder_attention_mask=mask[:, cut:],
            ).logits[0, -1, list(one.candidates)]
        if hook is not None:
            hook.remove()
        assert torch.allclose(ours, plain, rtol=1e-4, atol=1e-5), gone


def zeroing(place: int, length: int):
    """A hook that sets one token's embedding to zero, in the one of two stacks that has so many tokens."""

    def hook(_module: object, _inputs: object, output: Tensor) -> Tensor:
        output = output.clone()
        if output.shape[1] == length:
            output[:, place] = 0.0
        return output

    return hook


@TYPE
@pytest.mark.parametrize("start", [0, 1000])
def test_what_is_kept_of_the_first_run_changes_no_rerun(kind: str, start: int, monkeypatch: pytest.MonkeyPatch):
    """With runs that cost nothing every prefix is continued, with dear ones only the encoder's states are kept."""
    monkeypatch.setattr(prefix, "START", start)
    trace = traced(kind)
    token = trace.batch.input_ids.shape[1]
    removed = torch.eye(token).bool().repeat(3, 1)
    row = torch.arange(3).repeat_interleave(token)
    kept = trace.batch.attention_mask.bool().flatten() & (removed.long().argmax(dim=1) != trace.batch.position[row])
    encoded: list[int] = []
    hook = (
        tiny(kind)
        .inner.get_encoder()
        .register_forward_hook(lambda _module, _inputs, output: encoded.append(len(output.last_hidden_state)))
    )
    for removal in ("unk", "ignore", "delete"):
        encoded.clear()
        ours = logits_without(trace, removed[kept], removal, row[kept])
        sources = int((trace.batch.side[row[kept]] == Side.SOURCE)[removed[kept]].sum())
        assert sum(encoded) == sources  # only where a token of the source is removed
        monkeypatch.setattr(reruns, "starts", lambda _prefix, inputs, _example, since: torch.full_like(since, -1))
        plain = logits_without(trace, removed[kept], removal, row[kept])
        monkeypatch.undo()
        monkeypatch.setattr(prefix, "START", start)
        assert ((ours - plain).abs().max() / plain.abs().max()) < 1e-5
    hook.remove()


@pytest.mark.parametrize("removal", ["ignore", "delete"])
def test_a_position_that_sees_nothing_on_one_side_has_no_output(removal: str):
    trace = traced("marian")
    removed = trace.batch.side == Side.SOURCE  # [batch, token]
    assert logits_without(trace, removed, removal).isnan().all()
    assert torch.isfinite(logits_without(trace, removed, "unk")).all()
    removed[0, 0] = False
    assert logits_without(trace, removed, removal).isnan().all(dim=2).tolist() == [[False, True, True]]
    removed[:, 0] = False
    assert torch.isfinite(logits_without(trace, removed, removal)).all()


def test_whether_a_model_continues_a_prefix_is_looked_at_where_there_is_one():
    """Not on a batch whose prefixes are all the start token, where nothing can go wrong."""
    module = copy.deepcopy(tiny("marian"))
    trace = Trace(module, collate([two_sided(4, 1)], "prompt", blanks("marian")))
    assert trace._prefix is not None
    assert module not in prefix._CONTINUES
    # the longest pair has the shortest prefix
    trace = Trace(module, collate([two_sided(9, 1), two_sided(3, 4)], "prompt", blanks("marian")))
    cache: Any = trace._cache
    for layer in cache.self_attention_cache.layers:
        layer.keys = layer.keys + 1.0  # of another kind of cache
        layer.values = layer.values + 1.0
    assert trace._prefix is None
    assert prefix._CONTINUES[module] is False


def test_a_pad_in_a_words_place_is_refused_where_it_would_move_positions():
    trace = traced("m2m_100")
    removed = torch.zeros_like(trace.batch.ranked)
    removed[:, 0] = True
    with pytest.raises(ValueError, match="counts positions without padding"):
        logits_without(trace, removed, "pad")
    assert torch.isfinite(logits_without(traced("marian"), removed, "pad")).all()


def test_an_encoder_and_a_decoder_with_other_numbers_of_heads():
    """Methods over heads serve them, and those that read each head say why they do not."""
    config = AutoConfig.for_model("bart", **(STACKS | {"encoder_attention_heads": 2}))
    module = TargetWordModel(AutoModelForSeq2SeqLM.from_config(config, attn_implementation="eager").eval())
    trace = Trace(module, collate(examples(), "prompt", blanks("bart")))
    scores = Rollout()(trace)
    assert torch.allclose(scores.sum(dim=-1), torch.ones(3, 3).double())
    Alti()(trace)
    for method in (Attention(heads="each"), GenericRelevance()):
        with pytest.raises(
            ValueError, match=r"reads heads one by one, and encoder and decoder differ in theirs: \[2, 4"
        ):
            method(trace)


def test_ranked_tokens_are_those_of_the_side_that_is_asked_for():
    whole = traced("t5", include="content").batch
    for include, side in (("source", Side.SOURCE), ("target", Side.TARGET)):
        ranked = traced("t5", include=include).batch.ranked
        assert torch.equal(ranked, (whole.role == Role.CONTENT) & (whole.side == side))
        assert ranked.any()
    with pytest.raises(ValueError, match="include=source ranks the tokens of one side of an encoder-decoder"):
        collate([copy.copy(_one_text())], "source", blanks("bert"))


def _one_text() -> Example:
    return Example("one", [50, 5, 51], [Role.CLS, Role.CONTENT, Role.FINAL], 0, 0)


def test_a_model_without_attention_weights_is_told_how_to_load_it():
    inner = copy.deepcopy(tiny("marian").inner)
    inner.set_attn_implementation("sdpa")
    module = type(tiny("marian"))(inner.eval())
    with pytest.raises(ValueError, match="attn_implementation='eager'"):
        Trace(module, collate(examples(), "all", blanks("marian")))


def test_flow_with_feedback_ends_in_the_source_and_the_start_token():
    trace = traced("marian")
    scores = Flow(feedback=True)(trace)  # [batch, 1, token]
    assert scores.shape == (3, 1, trace.batch.input_ids.shape[1])
    assert Flow(feedback=True).saturated(trace).shape == (3, 1)
    for row, one in enumerate(trace.batch.examples):
        size, n = source_of(one), len(one.input_ids)
        alone = Flow(feedback=True)(traced("marian", [one]))[0, 0]
        assert torch.allclose(scores[row, 0, :n], alone)
        assert scores[row, 0, : size + 1].sum().item() == pytest.approx(1.0)
        assert scores[row, 0, size + 1 :].abs().sum() == 0
    # the first decision has no earlier one to feed it: feedback changes nothing there
    first = traced("marian", [two_sided(4, 1)])
    assert torch.allclose(Flow(feedback=True)(first)[0, 0], Flow()(first)[0, -1], atol=1e-9)
    with pytest.raises(ValueError, match="feedback has no form for a model with one text"):
        Flow(feedback=True).check_model(tiny("bert"))
    with pytest.raises(ValueError, match="feedback=true goes with neither heads=each"):
        Flow(feedback=True, heads="each")
