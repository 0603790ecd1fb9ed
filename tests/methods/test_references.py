import copy

import pytest
import torch

from harness.contracts import Model
from harness.tables import NO_GOLD
from harness.tracing.notices import RoundingNoise
from harness.tracing.run import Trace
from methods.references.blank_out import BlankOut
from methods.references.input_gradient import InputGradient
from tests.known_model import CLS, FINAL, UNKNOWN, bag, batch_of, sentence


def by_hand(model, ids: list[int], target: int, blank: int | None) -> list[float]:
    """Blank-out of a bag of tokens by its definition, one token at a time."""
    vectors = model.embedding.weight.double()

    def probability(tokens: list[int]) -> float:
        return vectors[tokens].sum(dim=0).softmax(dim=0)[target].item()

    whole = probability(ids)
    changed = []
    for place in range(len(ids)):
        rest = [blank] if blank is not None else []
        changed.append(abs(whole - probability([*ids[:place], *rest, *ids[place + 1 :]])))
    return changed


def test_blank_out_of_a_linear_model_matches_its_closed_form():
    model = bag()
    batch = batch_of(sentence([5, 6, 7, 8], gold=1), sentence([9, 10], gold=0))
    scores = BlankOut(blank_class="gold")(Trace(model, batch))
    assert scores[0].tolist() == pytest.approx(by_hand(model, [CLS, 5, 6, 7, 8, FINAL], 1, UNKNOWN), abs=1e-6)
    assert scores[1, :4].tolist() == pytest.approx(by_hand(model, [CLS, 9, 10, FINAL], 0, UNKNOWN), abs=1e-6)


def test_deleting_a_linear_models_token_removes_its_term():
    model = bag()
    scores = BlankOut(removal="delete", blank_class="gold")(Trace(model, batch_of(sentence([5, 6, 7, 8]))))
    expected = by_hand(model, [CLS, 5, 6, 7, 8, FINAL], 0, None)
    assert scores[0, 1:].tolist() == pytest.approx(expected[1:], abs=1e-6)
    assert scores[0, 0].isnan()  # the explained position itself


def test_blank_out_measures_the_runs_output_or_the_probability_of_the_gold_or_predicted_class():
    model = bag()
    batch = batch_of(sentence([5, 6, 7, 8]))
    predicted = Trace(model, batch).predicted.item()
    wrong = batch_of(sentence([5, 6, 7, 8], gold=1 - predicted))
    trace = Trace(model, wrong, target="predicted", output="probability")
    expected = {target: by_hand(model, [CLS, 5, 6, 7, 8, FINAL], target, UNKNOWN) for target in (0, 1)}
    assert BlankOut(blank_class="target")(trace)[0].tolist() == pytest.approx(expected[predicted], abs=1e-6)
    assert BlankOut(blank_class="predicted")(trace)[0].tolist() == pytest.approx(expected[predicted], abs=1e-6)
    assert BlankOut(blank_class="gold")(trace)[0].tolist() == pytest.approx(expected[1 - predicted], abs=1e-6)
    # with two classes, what one loses the other gains
    doubled = [2 * value for value in expected[predicted]]
    assert BlankOut(blank_class="difference")(trace)[0].tolist() == pytest.approx(doubled, abs=1e-6)
    assert BlankOut(blank_class="target")(Trace(model, wrong))[0].tolist() == pytest.approx(doubled, abs=1e-6)
    # a linear model's logits change by the token's own
    logits = BlankOut()(Trace(model, wrong, output="logit_difference"))[0]
    vectors = model.embedding.weight[[CLS, 5, 6, 7, 8, FINAL]] - model.embedding.weight[UNKNOWN]
    assert logits.tolist() == pytest.approx((vectors[:, 0] - vectors[:, 1]).abs().tolist(), abs=1e-5)


def test_without_gold_labels_the_gold_class_cannot_be_explained():
    trace = Trace(bag(), batch_of(sentence([5, 6, 7], gold=NO_GOLD)))
    with pytest.raises(ValueError, match="target=predicted or target=<class>"):
        BlankOut(blank_class="gold")(trace)
    with pytest.raises(ValueError, match="do not give the right class"):
        Trace(bag(), trace.batch, target="gold")


def test_a_token_that_is_already_the_blank_scores_exactly_zero():
    scores = BlankOut()(Trace(bag(), batch_of(sentence([5, UNKNOWN, 7]), sentence([6, 7, 8, 9, 10]))))
    assert scores[0, 2].item() == 0.0
    assert (scores[0, [1, 3]] > 0).all()


def test_the_final_token_is_scored_zeroed_or_dropped():
    trace = Trace(bag(), batch_of(sentence([5, 6, 7])))
    scored = BlankOut(final_token="score")(trace)[0]
    zero = BlankOut(final_token="zero")(trace)[0]
    dropped = BlankOut(final_token="drop")(trace)[0]
    assert scored[4] > 0
    assert zero[4] == 0
    assert dropped[4].isnan()
    assert torch.equal(scored[:4], zero[:4])
    assert torch.equal(scored[:4], dropped[:4])


def test_a_blank_that_the_vocabulary_lacks_is_refused_with_a_remedy():
    with pytest.raises(ValueError, match="no mask token: set removal to one of unk, pad, delete"):
        BlankOut(removal="mask")(Trace(bag(), batch_of(sentence([5, 6, 7]))))


@pytest.mark.parametrize(
    ("option", "value"), [("removal", "unknown"), ("blank_class", "best"), ("final_token", "keep")]
)
def test_an_unknown_option_is_refused_at_construction(option: str, value: str):
    with pytest.raises(ValueError, match=f"{option} is one of"):
        BlankOut(**{option: value})


def test_blank_out_equals_captums_feature_ablation(trace: Trace, model: Model):
    from captum.attr import FeatureAblation

    def probability(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            logits = model.module(input_ids=ids, attention_mask=mask).logits
        return trace.output(logits)

    batch = trace.batch
    theirs = FeatureAblation(probability).attribute(batch.input_ids, 3, additional_forward_args=batch.attention_mask)
    ours = BlankOut()(trace)
    real = batch.attention_mask.bool()
    assert torch.allclose(ours[real], theirs.abs().double()[real], atol=1e-6)


def test_the_input_gradient_of_a_linear_model_matches_its_closed_form():
    model = bag()
    batch = batch_of(sentence([5, 6, 7]))
    trace = Trace(model, batch, target="gold", output="difference")
    p = trace.logits.double().softmax(dim=-1)[0]
    # d(p0 - p1)/dx = 2 p0 p1 (1, -1) at every token, whatever the token is
    expected = 2 * (p[0] * p[1]).item()
    assert InputGradient("l2")(trace)[0].tolist() == pytest.approx([expected * 2**0.5] * 5, rel=1e-5)
    assert InputGradient("l1")(trace)[0].tolist() == pytest.approx([expected * 2] * 5, rel=1e-5)
    assert InputGradient("mean_abs")(trace)[0].tolist() == pytest.approx([expected] * 5, rel=1e-5)


def test_a_sum_that_cancels_gives_a_warning(trace: Trace):
    # a pre-LN model reads its embedding only through LayerNorms, which ignore a constant shift
    for reduce in ("sum", "abs_sum"):
        with pytest.warns(RoundingNoise, match="rounding noise, or what a LayerNorm's epsilon leaves; use reduce=l2"):
            InputGradient(reduce)(trace)
    real = trace.batch.attention_mask.bool()
    left = trace.gradient.sum(dim=-1).abs()[real] / trace.gradient.norm(dim=-1)[real]
    assert left.median() < 1e-5


def test_abs_sum_is_the_absolute_value_of_sum(trace: Trace):
    with pytest.warns(RoundingNoise):
        assert torch.equal(InputGradient("abs_sum")(trace), InputGradient("sum")(trace).abs())


def test_the_gradient_equals_a_finite_difference(model: Model, examples):
    from harness.tracing.batch import collate
    from tests.conftest import BLANKS

    module = copy.deepcopy(model.module).double()
    trace = Trace(module, collate(examples[2:3], "all", BLANKS))
    direction = torch.randn(trace.embedding.shape, generator=torch.Generator().manual_seed(1)).double()
    index = torch.tensor([0])
    step = 1e-5

    def output(steps: int) -> float:
        with torch.no_grad():
            return trace.forward_from(trace.embedding + steps * step * direction, index).item()

    # fourth order: sharp models curve enough within a step to throw off the plain central difference
    slope = (8 * (output(1) - output(-1)) - (output(2) - output(-2))) / (12 * step)
    assert (trace.gradient * direction).sum().item() == pytest.approx(slope, rel=1e-6)
