import pytest
import torch
from torch import nn

from methods.explainers.attn_lrp import AttnLRP
from methods.explainers.cp_lrp import CPLRP
from methods.explainers.transformer_attribution import TransformerAttribution
from methods.gradient_rules import GradientRules, gradient_x_input
from methods.relevance_rules import RelevanceRules
from tests.architectures import tiny
from tests.model_by_hand import ModelByHand, differentiated, propagated, worst
from tests.real_model import MASKED, SST2, real_model, real_trace

CHECKPOINTS = pytest.mark.parametrize("name", [SST2, MASKED])
RULES = pytest.mark.parametrize(("rules", "softmax"), [("attn", "gradient"), ("cp", "constant")])


@CHECKPOINTS
def test_the_model_by_hand_equals_the_model(name: str):
    module, batch = real_model(name, torch.float64)
    logits = module(**batch.inputs).logits
    for index in range(len(logits)):
        assert torch.allclose(ModelByHand(name, index).run(), logits[index], rtol=0, atol=1e-10)


@CHECKPOINTS
@RULES
def test_gradient_x_input_is_relevance_propagated_one_token_and_head_at_a_time(name: str, rules: str, softmax: str):
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-9)):
        trace = real_trace(name, dtype)
        for at in ("word", "first_layer"):
            ours = gradient_x_input(trace, softmax, at)
            for index, n in enumerate(trace.batch.length.tolist()):
                propagation = propagated(name, index, rules)
                theirs = propagation.words if at == "word" else propagation.first_layer
                error = worst(ours[index, :n].sum(dim=-1), theirs.sum(dim=-1))
                print(f"{name} {rules} {at} {dtype} {error:.1e}")
                assert error < tolerance
                assert worst(ours[index, :n], theirs) < tolerance


@CHECKPOINTS
@RULES
def test_words_plus_what_is_lost_to_biases_positions_and_softmax_add_up_to_the_logit(
    name: str, rules: str, softmax: str
):
    trace = real_trace(name)
    logits = trace.output(trace.logits, kind="logit")
    shares = gradient_x_input(trace, softmax, "word").sum(dim=(1, 2))
    for index in range(len(logits)):
        lost = propagated(name, index, rules).lost
        assert shares[index].item() + lost == pytest.approx(logits[index].item(), rel=1e-4)


def test_without_softmax_biases_and_positions_the_words_get_the_whole_logit():
    """CP-LRP of a model in which no part adds anything of its own."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 6, bias=False), nn.GELU(), nn.LayerNorm(6), nn.Tanh(), nn.Linear(6, 1, bias=False)
    )
    inputs = torch.randn(5, 4, requires_grad=True)
    with GradientRules("constant"):
        output = model(inputs)
    (gradient,) = torch.autograd.grad(output.sum(), inputs)
    assert torch.allclose((gradient * inputs).sum(dim=1), output[:, 0], atol=1e-6)
    assert torch.allclose(model(inputs), output, atol=1e-6)


def test_the_rules_leave_a_models_values_unchanged():
    for name in (SST2, MASKED):
        module, batch = real_model(name)
        plain = module(**batch.inputs).logits
        for rules in (GradientRules("gradient"), GradientRules("constant"), RelevanceRules()):
            with rules:
                assert torch.allclose(module(**batch.inputs).logits.float(), plain, atol=1e-4)
        assert torch.equal(module(**batch.inputs).logits, plain)


@CHECKPOINTS
def test_relevance_of_attention_is_propagated_one_token_and_head_at_a_time(name: str):
    trace = real_trace(name)
    ours = TransformerAttribution().relevance(trace)
    index, n = 1, int(trace.batch.length[1])
    theirs = torch.stack([torch.stack(layer) for layer in propagated(name, index, "positive").attention])
    error = worst(ours[index, ..., :n, :n], theirs)
    print(f"{name} relevance of attention {error:.1e}")
    assert error < 1e-6


@CHECKPOINTS
def test_positive_relevance_is_conserved_down_to_the_first_layer(name: str):
    assert propagated(name, 1, "positive").first_layer.sum().item() == pytest.approx(1.0, abs=1e-9)


@CHECKPOINTS
@pytest.mark.parametrize(("start", "normalize"), [(1, True), (1, False), (3, True)])
def test_transformer_attribution_matches_its_definition(name: str, start: int, normalize: bool):
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-8)):
        trace = real_trace(name, dtype)
        ours = TransformerAttribution(start, normalize)(trace)
        assert ours[:, : start - 1].isnan().all()
        index, n = 1, int(trace.batch.length[1])
        model, gradients = differentiated(name, index)
        relevance = propagated(name, index, "positive").attention
        product = torch.eye(n, dtype=torch.float64)
        for layer in range(start - 1, len(gradients)):
            matrix = torch.eye(n, dtype=torch.float64)
            for one, other in zip(gradients[layer], relevance[layer], strict=True):
                matrix = matrix + (one * other).clamp(min=0) / model.heads
            if normalize:
                matrix = matrix / matrix.sum(dim=1, keepdim=True)
            product = matrix @ product
            row = product[model.position].clone()
            row[model.position] = min(value for place, value in enumerate(row) if place != model.position)
            error = worst(ours[index, layer, :n], row)
            assert error < tolerance, (layer, error)


def test_a_start_beyond_the_last_layer_is_refused():
    with pytest.raises(ValueError, match="start_layer is one of the model's 6 layers, got 7"):
        TransformerAttribution(start_layer=7).check_model(real_trace(SST2).model)
    with pytest.raises(ValueError, match="got 7"):
        TransformerAttribution(start_layer=7)(real_trace(SST2))


@pytest.mark.parametrize(
    "method", [AttnLRP(), CPLRP(), TransformerAttribution()], ids=lambda method: type(method).__name__
)
def test_a_model_with_steps_that_have_no_rule_is_refused(method):
    with pytest.raises(ValueError, match="model type 'albert'"):
        method.check_model(tiny("albert"))
    method.check_model(tiny("bert"))
    model = tiny("bert")
    before = model.config.hidden_act
    try:
        model.config.hidden_act = "laplace"
        with pytest.raises(ValueError, match=r"has none for the activation 'laplace': it knows gelu, "):
            method.check_model(model)
    finally:
        model.config.hidden_act = before
