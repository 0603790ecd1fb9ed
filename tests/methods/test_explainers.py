import numpy as np
import pytest
import torch

from harness.contracts import Model
from harness.tracing.batch import Batch, collate
from harness.tracing.notices import Inexact, RoundingNoise
from harness.tracing.run import Trace
from methods.completeness import completeness_gap, difference
from methods.explainers.attention import Attention
from methods.explainers.flow import Flow
from methods.explainers.input_x_gradient import InputXGradient
from methods.explainers.integrated_gradients import IntegratedGradients
from methods.explainers.layer_gradient_x_activation import LayerGradientXActivation
from methods.explainers.position import Position
from methods.explainers.random import Random
from methods.explainers.rollout import Rollout
from methods.explainers.saliency import Saliency
from tasks.agreement.encoder import Encoder, Sizes
from tests.conftest import BLANKS
from tests.known_model import UNKNOWN, bag, batch_of, sentence

# Two layers, one head, three tokens: every product below can be worked out on paper.
FIRST = torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.4, 0.0], [0.1, 0.1, 0.8]])
SECOND = torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.2, 0.6], [0.3, 0.3, 0.4]])


@pytest.fixture
def by_hand() -> Trace:
    attention = torch.stack([FIRST, SECOND])[:, None, None]  # [layer, 1, head, query, key]
    model = bag(attention=attention)
    model.embedding.requires_grad_(False)
    return Trace(_on_the_graph(model), batch_of(sentence([5])))


def _on_the_graph(model):
    """The given attention is a constant; gradients need it on the graph."""
    given = model.attention

    def forward(input_ids, attention_mask, **options):
        result = type(model).forward(model, input_ids, attention_mask, **options)
        if result.attentions is not None:
            result.attentions = tuple(layer + 0 * result.logits.sum() for layer in result.attentions)
        return result

    assert given is not None
    model.forward = forward
    return model


def test_attention_is_the_explained_positions_row_without_residual(by_hand: Trace):
    scores = Attention()(by_hand)
    assert scores[0].tolist() == [pytest.approx(row, abs=1e-6) for row in ([0.2, 0.3, 0.5], [0.5, 0.5, 0.0])]


def test_rollout_is_the_product_of_half_identity_half_attention(by_hand: Trace):
    scores = Rollout()(by_hand)
    # layer 1: (0.6, .15, .25); layer 2: .75 * row 0 of layer 1 + .25 * row 1 of layer 1, (.3, .7, 0)
    assert scores[0, 0].tolist() == pytest.approx([0.6, 0.15, 0.25], abs=1e-6)
    assert scores[0, 1].tolist() == pytest.approx([0.525, 0.2875, 0.1875], abs=1e-6)


def test_rollout_without_residual_is_the_product_of_attention(by_hand: Trace):
    assert Rollout(residual=0.0)(by_hand)[0, 1].tolist() == pytest.approx([0.4, 0.35, 0.25], abs=1e-6)
    assert Rollout(residual=1.0)(by_hand)[0, 1].tolist() == pytest.approx([1, 0, 0], abs=1e-6)


def test_flow_of_two_layers_is_the_sum_of_the_smaller_capacities(by_hand: Trace):
    scores = Flow()(by_hand)
    assert scores[0, 0].tolist() == pytest.approx([0.6, 0.15, 0.25], abs=1e-6)
    # capacities from the source (.75, .25, 0); into token j via the middle: min(.75, .6) + min(.25, .3) = .85;
    # min(.75, .15) + min(.25, .7) = .4; min(.75, .25) + min(.25, 0) = .25
    assert scores[0, 1].tolist() == pytest.approx([0.85 / 1.5, 0.4 / 1.5, 0.25 / 1.5], abs=1e-6)


@pytest.mark.parametrize("heads", ["mean", "max", "min"])
def test_rollout_rows_sum_to_one(trace: Trace, heads: str):
    sums = Rollout(heads=heads)(trace).sum(dim=-1)
    assert torch.allclose(sums, torch.ones_like(sums))


def test_layer_one_of_flow_is_layer_one_of_rollout(trace: Trace):
    assert torch.allclose(Flow()(trace)[:, 0], Rollout()(trace)[:, 0], atol=1e-12)


@pytest.mark.parametrize("read_out", ["row", "max", "mean", "sum"])
def test_numba_and_networkx_find_the_same_flow(trace: Trace, read_out: str):
    fast, slow = (Flow(read_out=read_out, engine=engine)(short(trace)) for engine in ("numba", "networkx"))
    assert torch.allclose(fast, slow, atol=1e-9)


def short(trace: Trace) -> Trace:
    """The trace of the two shortest sentences, for the slow engine."""
    return Trace(trace.model, collate(trace.batch.examples[:2], "all", BLANKS))


def test_read_outs_reduce_over_the_examples_own_queries(trace: Trace):
    attention = trace.attention.mean(dim=2).double()
    for example, n in enumerate(trace.batch.length.tolist()):
        own = attention[example, :, :n, :n] / attention[example, :, :n, :n].sum(dim=-1, keepdim=True)
        assert torch.allclose(Attention(read_out="max")(trace)[example, :, :n], own.amax(dim=1))
        assert torch.allclose(Attention(read_out="mean")(trace)[example, :, :n], own.mean(dim=1))
        assert torch.allclose(Attention(read_out="sum")(trace)[example, :, :n], own.sum(dim=1))


def test_each_head_is_rolled_out_over_the_averaged_layers_below(trace: Trace):
    attention = trace.attention.double()
    attention = attention / attention.sum(dim=-1, keepdim=True).where(attention.sum(dim=-1, keepdim=True) > 0, 1.0)
    n = int(trace.batch.length[0])
    identity = torch.eye(n, dtype=torch.float64)
    below = identity
    rolled = Rollout(heads="each")(trace)
    for layer in range(attention.shape[1]):
        for head in range(attention.shape[2]):
            own = (0.5 * identity + 0.5 * attention[0, layer, head, :n, :n]) @ below
            assert torch.allclose(rolled[0, layer, head, :n], own[0], atol=1e-6)
        below = (0.5 * identity + 0.5 * attention[0, layer, :, :n, :n].mean(dim=0)) @ below
    assert torch.allclose(Attention(heads="each")(trace).mean(dim=2), Attention()(trace), atol=1e-6)


def test_single_head_flow_in_layer_one_is_that_heads_mixing(trace: Trace):
    flow, rollout = Flow(heads="each")(trace), Rollout(heads="each")(trace)
    assert torch.allclose(flow[:, 0], rollout[:, 0], atol=1e-12)
    assert not torch.allclose(flow[:, 1], rollout[:, 1], atol=1e-3)


def test_random_scores_depend_only_on_the_example_and_the_seed(batch: Batch, model: Model):
    backwards = collate(batch.examples[::-1], "all", BLANKS)
    here, there = (Random(seed=3)(Trace(model.module, each)) for each in (batch, backwards))
    for index, example in enumerate(batch.examples):
        n = len(example.input_ids)
        assert torch.equal(here[index, 0, :n], there[-1 - index, 0, :n])
    assert not torch.equal(Random(seed=4)(Trace(model.module, batch)), here)


def test_position_ranks_the_first_token_first(trace: Trace):
    scores = Position()(trace)[0, 0]
    assert (scores[:-1] > scores[1:]).all()


def test_saliency_is_the_traces_gradient(trace: Trace):
    real = trace.batch.attention_mask.bool()
    ours, theirs = Saliency()(trace)[:, 0][real], trace.gradient.norm(dim=-1)[real]
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-9)


def test_input_x_gradient_is_the_product(trace: Trace):
    real = trace.batch.attention_mask.bool()
    expected = (trace.embedding.detach() * trace.gradient).sum(dim=-1)[real]
    assert torch.allclose(InputXGradient("sum")(trace)[:, 0][real], expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("baseline", ["pad", "unk", "zero"])
def test_integrated_gradients_add_up_to_the_outputs_difference(batch: Batch, baseline: str):
    """On initial weights: training can make the path so steep that even hundreds of steps miss part of it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fresh = Encoder(Sizes(vocabulary=3000, layers=3)).eval().requires_grad_(False)
    trace = Trace(fresh, batch)
    method = IntegratedGradients(baseline=baseline, steps=100)
    assert completeness_gap(method.attribute(trace), difference(trace, baseline)).max() < 1e-3


def test_too_few_steps_give_a_warning(trace: Trace):
    with pytest.warns(Inexact, match="steps=1: in half of a batch's examples the scores are off adding up"):
        IntegratedGradients(steps=1)(trace)


def test_integrated_gradients_of_the_linear_part_are_the_inputs_share():
    model = bag()
    trace = Trace(model, batch_of(sentence([5, 6, 7])), output="logit")
    scores = IntegratedGradients(baseline="unk", steps=4, reduce="sum")(trace)[0, 0]
    weight = model.embedding.weight[:, trace.target[0]]
    expected = [0.0, *((weight[token] - weight[UNKNOWN]).item() for token in (5, 6, 7)), 0.0]
    assert scores.tolist() == pytest.approx(expected, abs=1e-6)


def test_a_baseline_that_the_vocabulary_lacks_is_refused_with_a_remedy(trace: Trace):
    with pytest.raises(ValueError, match="no mask token: set baseline to one of unk, pad, zero"):
        IntegratedGradients(baseline="mask")(trace)


def test_layer_gradients_come_from_each_layers_own_output(trace: Trace):
    live, states = _states_on_the_graph(trace)
    gradients = torch.autograd.grad(live.sum(), states)
    # pre-LN: after the second-to-last layer a token is only read through a LayerNorm, which ignores its length
    with pytest.warns(RoundingNoise, match="layer gradient × activation with reduce=sum .* cancel in layer 2, 3:"):
        scores = LayerGradientXActivation("sum")(trace)
    real = trace.batch.attention_mask.bool()
    for layer, (state, gradient) in enumerate(zip(states, gradients, strict=True)):
        expected = (state * gradient).sum(dim=-1)
        assert torch.allclose(scores[:, layer][real], expected[real].detach(), rtol=1e-4, atol=1e-7)
    # the head reads the last layer only at CLS
    assert (scores[:, -1, 1:] == 0).all()


def _states_on_the_graph(trace: Trace) -> tuple[torch.Tensor, list[torch.Tensor]]:
    with torch.enable_grad():
        inputs = trace.model.get_input_embeddings()(trace.batch.input_ids).detach().requires_grad_()
        handle = trace.model.get_input_embeddings().register_forward_hook(lambda *_: inputs)
        result = trace.model(
            input_ids=trace.batch.input_ids, attention_mask=trace.batch.attention_mask, output_hidden_states=True
        )
        handle.remove()
        return trace.output(result.logits), list(result.hidden_states[1:])


@pytest.mark.parametrize(
    ("method", "options", "text"),
    [
        (Rollout, {"residual": 1.5}, "residual is a number from 0 to 1, got 1.5"),
        (Rollout, {"residual": True}, "residual is a number from 0 to 1, got True"),
        (Attention, {"heads": "all"}, "heads is one of mean, max, min, each, got 'all'"),
        (Flow, {"read_out": "rows"}, "read_out is one of head, row, max, mean, sum, got 'rows'; did you mean row"),
        (Flow, {"engine": "scipy"}, "engine is one of numba, networkx, got 'scipy'"),
        (Saliency, {"reduce": "max"}, "reduce is one of l2, l1, sum, abs_sum, mean_abs, got 'max'"),
        (IntegratedGradients, {"steps": 0}, "steps is a whole number, at least 1, got 0"),
        (IntegratedGradients, {"baseline": "none"}, "baseline is one of run, pad, unk, mask, zero, got 'none'"),
    ],
)
def test_a_wrong_parameter_is_refused_at_construction(method, options: dict, text: str):
    with pytest.raises(ValueError, match=text):
        method(**options)


def test_max_and_min_over_heads_match_their_definition(trace: Trace):
    n = int(trace.batch.length[0])
    for how in ("max", "min"):
        over = np.asarray(getattr(trace.attention[0, :, :, :n, :n].double(), f"a{how}")(dim=1))
        own = over / over.sum(axis=-1, keepdims=True)
        assert np.allclose(Attention(heads=how)(trace)[0, :, :n], own[:, 0])
