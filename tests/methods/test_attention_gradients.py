import pytest
import torch

from harness.tracing.batch import collate
from harness.tracing.run import Trace
from methods.attention_steps import ReplacedAttention
from methods.explained_output import explaining
from methods.explainers.attention_attribution import AttentionAttribution
from methods.explainers.attention_x_gradient import AttentionXGradient
from methods.explainers.generic_relevance import GenericRelevance
from methods.explainers.token_frequency import TokenFrequency
from methods.gradient_attention import without_own_entry
from tests.architectures import KINDS, blanks, example, tiny
from tests.known_model import bag, batch_of, sentence
from tests.model_by_hand import ModelByHand, differentiated, worst
from tests.real_model import MASKED, SST2, real_model, real_trace

CHECKPOINTS = pytest.mark.parametrize("name", [SST2, MASKED])


@CHECKPOINTS
def test_attention_x_gradient_matches_its_definition_one_head_at_a_time(name: str):
    trace = real_trace(name)
    ours = AttentionXGradient()(trace)
    for index, n in enumerate(trace.batch.length.tolist()):
        model, gradients = differentiated(name, index)
        for layer, step in enumerate(model.steps):
            row = torch.zeros(n, dtype=torch.float64)
            for attention, gradient in zip(step.attention, gradients[layer], strict=True):
                for key in range(n):
                    row[key] += max(0.0, (attention * gradient)[model.position, key].item()) / model.heads
            error = worst(ours[index, layer, :n], row)
            print(f"{name} layer {layer + 1} {error:.1e}")
            assert error < 1e-4


@CHECKPOINTS
def test_generic_relevance_matches_its_definition_one_layer_at_a_time(name: str):
    trace = real_trace(name)
    ours = GenericRelevance()(trace)
    for index, n in enumerate(trace.batch.length.tolist()):
        model, gradients = differentiated(name, index)
        relevance = torch.eye(n, dtype=torch.float64)
        for layer, step in enumerate(model.steps):
            mean = torch.zeros_like(relevance)
            for attention, gradient in zip(step.attention, gradients[layer], strict=True):
                mean += (attention * gradient).clamp(min=0).detach() / model.heads
            relevance = relevance + mean @ relevance
            row = relevance[model.position].tolist()
            row[model.position] = min(value for place, value in enumerate(row) if place != model.position)
            error = worst(ours[index, layer, :n], torch.tensor(row, dtype=torch.float64))
            print(f"{name} layer {layer + 1} {error:.1e}")
            assert error < 1e-4


def test_the_gradient_is_that_of_the_logit_whatever_the_run_explains():
    rows = [GenericRelevance()(real_trace(SST2, output=output)) for output in ("logit", "probability", "difference")]
    for row in rows[1:]:
        assert torch.allclose(row, rows[0], rtol=1e-5, atol=1e-9)
    own = [GenericRelevance(output="run")(real_trace(SST2, output=output)) for output in ("logit", "probability")]
    assert torch.equal(own[0], rows[0])
    assert not torch.allclose(own[1], rows[0], rtol=0.1)


def test_explaining_another_output_leaves_the_trace_unchanged():
    trace = real_trace(SST2, output="probability")
    before = trace.attention_gradient.clone()
    other = explaining(trace, "logit")
    assert trace.kind == "probability"
    assert other.kind == "logit"
    assert not torch.equal(other.attention_gradient, before)
    assert torch.equal(trace.attention_gradient, before)
    assert explaining(trace, "run") is trace


def test_the_explained_positions_own_entry_is_the_minimum_of_the_others():
    trace = Trace(bag(), batch_of(sentence([5, 6, 7]), sentence([8])))
    trace.batch.position[1] = 2
    rows = torch.tensor([[[9.0, 3.0, 2.0, 5.0, 4.0]], [[3.0, 4.0, 9.0, 0.0, 0.0]]])
    expected = torch.tensor([[[2.0, 3.0, 2.0, 5.0, 4.0]], [[3.0, 4.0, 3.0, 0.0, 0.0]]])
    assert torch.equal(without_own_entry(trace, rows), expected)


@CHECKPOINTS
@pytest.mark.parametrize("rule", ["left", "midpoint", "right"])
def test_attention_attribution_matches_its_definition_one_step_and_layer_at_a_time(name: str, rule: str):
    """On the shorter sentence alone; the contract suite covers both in one batch."""
    trace = real_trace(name)
    ours = AttentionAttribution(steps=2, rule=rule).attribute(trace)
    index = 1
    n = int(trace.batch.length[index])
    model = ModelByHand(name, index)
    model.words = model.words.clone().requires_grad_()
    shares = {"left": [0.0, 0.5], "midpoint": [0.25, 0.75], "right": [0.5, 1.0]}[rule]
    for layer in (0, 2, 5):
        total = torch.zeros(model.heads, n, n, dtype=torch.float64)
        for share in shares:
            probability = model.run(scale={layer: share}).softmax(dim=0)[model.target]
            total += torch.stack(model.attention_gradients(probability)[layer]) / len(shares)
        model.run()
        theirs = total * torch.stack(model.steps[layer].attention)
        error = worst(ours[index, layer, :, :n, :n], theirs.detach())
        print(f"{name} {rule} layer {layer + 1} {error:.1e}")
        assert error < 1e-4


@CHECKPOINTS
def test_a_layers_attribution_adds_up_to_the_probability_minus_that_without_attention(name: str):
    module, batch = real_model(name)
    batch = collate(batch.examples[1:], "all", batch.blank_ids)
    trace = Trace(module, batch)
    total = AttentionAttribution(steps=100).attribute(trace).sum(dim=(2, 3, 4))  # [batch, layer]
    whole = trace.output(trace.logits, kind="probability")
    for layer in range(6):
        mode = ReplacedAttention(layer, torch.zeros_like(trace.attention[:, layer]))
        with torch.no_grad(), mode:
            without = trace.output(module(**batch.inputs).logits, kind="probability")
        error = (total[:, layer] - (whole - without)).abs().max().item()
        print(f"{name} layer {layer + 1} {error:.1e}")
        assert error < 3e-3


def test_one_step_at_full_attention_is_attention_times_gradient():
    trace = real_trace(SST2, output="probability")
    ours = AttentionAttribution(steps=1, rule="right").attribute(trace)
    expected = trace.attention.double() * trace.attention_gradient
    assert torch.allclose(ours, expected, rtol=1e-4, atol=1e-7 * expected.abs().max().item())


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_model_type_that_runs_eager_attention_is_supported(kind: str):
    trace = Trace(tiny(kind), collate([example(6)], "all", blanks(kind)), output="probability")
    ours = AttentionAttribution(steps=1, rule="right").attribute(trace)
    expected = trace.attention.double() * trace.attention_gradient
    assert torch.allclose(ours, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


def test_a_model_whose_attention_cannot_be_scaled_is_refused():
    attention = torch.rand(2, 2, 5, 5, generator=torch.Generator().manual_seed(0)).softmax(dim=-1)
    trace = Trace(bag(attention=attention), batch_of(sentence([5, 6, 7])))
    with pytest.raises(ValueError, match="expected one softmax over the keys in each of 2 layers, saw 0"):
        AttentionAttribution()(trace)


def test_parameters_are_checked():
    for wrong, message in (
        (lambda: AttentionAttribution(rule="middle"), "rule is one of"),
        (lambda: AttentionAttribution(steps=0), "steps is a whole number"),
        (lambda: GenericRelevance(output="logits"), "output is one of .* did you mean logit"),
        (lambda: AttentionXGradient(read_out="cls"), "read_out is one of"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()


def test_a_rare_token_scores_more_than_a_frequent_one(tmp_path):
    path = tmp_path / "counts.txt"
    path.write_text("5 1000\n6 3\n1 7\n2 7\n")
    trace = Trace(bag(), batch_of(sentence([5, 6, 7])))
    assert TokenFrequency(str(path))(trace).tolist() == [[[-7.0, -1000.0, -3.0, 0.0, -7.0]]]
    assert TokenFrequency.floor
    for text, message in (
        ("5 1\n5 2\n", "line 2: token 5 is there twice"),
        ("the 5\n", "expected a token id and a count"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            TokenFrequency(str(path))(trace)
    with pytest.raises(FileNotFoundError, match="expected a file with lines of token id and count"):
        TokenFrequency(str(tmp_path / "none"))
