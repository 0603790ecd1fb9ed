"""Perturbation metrics: closed forms, naive counterparts on a real checkpoint, and what must hold for every metric."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import pytest
import torch
from captum.metrics import infidelity, sensitivity_max
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy.stats import pearsonr, rankdata
from torch import Tensor

import conf
from harness.tracing.batch import Batch, Example, Role, collate
from harness.tracing.run import Trace
from methods.explainers.attention import Attention
from methods.explainers.saliency import Saliency
from methods.metrics.comprehensiveness import Comprehensiveness
from methods.metrics.faithfulness_correlation import FaithfulnessCorrelation
from methods.metrics.infidelity import Infidelity
from methods.metrics.log_odds import LogOdds
from methods.metrics.monotonicity import Monotonicity
from methods.metrics.naopc import Naopc
from methods.metrics.normalised import NormalisedComprehensiveness, NormalisedSufficiency
from methods.metrics.planted import PlantedMargin, PlantedPrecisionAt1, PlantedReciprocalRank
from methods.metrics.removal_curves import Abpc, LerfArea, MorfArea
from methods.metrics.sensitivity_max import SensitivityMax
from methods.metrics.soft import SoftComprehensiveness, SoftSufficiency, keep_probability
from methods.metrics.sufficiency import Sufficiency
from methods.metrics.violation_ratio import ViolationRatio
from methods.references.blank_out import BlankOut
from methods.seeded import generator
from methods.subsets import coin_flips, of_share
from tasks.classification import Classification
from tasks.pretrained import Pretrained
from tests import architectures
from tests.conftest import shared
from tests.known_model import CLS, FINAL, PAD, UNKNOWN, BagOfTokens, bag, batch_of, sentence

FILES = {path.stem: path for path in sorted((Path(conf.__file__).parent / "metrics").glob("*.yaml"))}
TWO_SIDED = ("source_share",)  # for encoder-decoders alone
METRICS = pytest.mark.parametrize("name", [name for name in FILES if name not in TWO_SIDED])
WAYS = ("unk", "pad", "delete")


def build(name: str):
    """The metric that a yaml file names, with few samples."""
    text = OmegaConf.merge({"seed": 0}, OmegaConf.load(FILES[name]))[name]
    for key, value in {"samples": 6, "draws": 3, "exact": 4, "beam": 2}.items():
        if key in text:
            text[key] = value
    return instantiate(OmegaConf.merge({"seed": 0, name: text})[name])


def measured(name: str, trace: Trace, scores: Tensor) -> Tensor:
    metric = build(name)
    return metric(trace, scores, Attention()) if getattr(metric, "asks_explainer", False) else metric(trace, scores)


# ---- what must hold for every metric


def planted_example(length: int, seed: int) -> Example:
    return replace(architectures.example(length, seed), planted={"subject": [1], "attractors": [2, 3]})


def tiny_trace(*examples: Example, include: str = "content") -> Trace:
    batch = collate(examples, include, architectures.blanks("distilbert"))
    return Trace(architectures.tiny("distilbert"), batch, output="probability")


def attention(trace: Trace) -> Tensor:
    return Attention()(trace).detach()


@METRICS
def test_padding_batching_and_other_layers_change_nothing(name: str):
    short, long = planted_example(3, 1), planted_example(6, 1)
    both = tiny_trace(short, long)
    together = measured(name, both, attention(both))
    assert together.shape == (2, 3)
    assert together.dtype == torch.float64
    assert torch.isfinite(together).all()
    assert torch.equal(measured(name, both, attention(both)), together)
    for row, example in enumerate((short, long)):
        alone = tiny_trace(example)
        assert torch.allclose(measured(name, alone, attention(alone))[0], together[row], rtol=2e-4, atol=2e-6)
        if name != "sensitivity_max":  # which runs the explainer again, all layers at once
            one_layer = measured(name, alone, attention(alone)[:, 1:2])
            assert torch.allclose(one_layer[0, 0], together[row, 1], rtol=2e-4, atol=2e-6)


@METRICS
def test_unranked_scores_may_be_anything_and_ranked_scores_must_be_finite(name: str):
    trace = tiny_trace(planted_example(3, 1), planted_example(6, 1))
    scores = attention(trace)
    expected = measured(name, trace, scores)
    free = scores.masked_fill(~trace.batch.ranked[:, None], torch.nan)
    free[:, 1] = free[:, 1].nan_to_num(torch.inf)
    assert torch.equal(measured(name, trace, free), expected)
    for wrong in (torch.nan, torch.inf, -torch.inf):
        broken = scores.clone()
        broken[1, 2, 4] = wrong
        result = measured(name, trace, broken)
        assert result[1, 2].isnan()
        result[1, 2] = expected[1, 2]
        assert torch.allclose(result, expected, rtol=2e-4, atol=2e-6)  # fewer runs per batch round differently


@METRICS
def test_an_example_that_is_undefined_in_all_layers_changes_no_other(name: str):
    trace = tiny_trace(planted_example(3, 1), planted_example(6, 1))
    scores = attention(trace)
    expected = measured(name, trace, scores)
    scores[1] = torch.nan
    result = measured(name, trace, scores)
    assert result[1].isnan().all()
    assert torch.allclose(result[0], expected[0], rtol=2e-4, atol=2e-6)


@METRICS
def test_without_a_ranked_token_a_metric_is_undefined(name: str):
    trace = tiny_trace(planted_example(3, 1), planted_example(0, 2))
    result = measured(name, trace, attention(trace))
    assert torch.isfinite(result[0]).all()
    assert result[1].isnan().all()


def hooks(trace: Trace) -> list[int]:
    """The number of hooks on each module; transformers 5 leaves some of its own."""
    return [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in trace.model.modules()]


@METRICS
def test_the_model_and_the_trace_are_left_unchanged(name: str):
    trace = tiny_trace(planted_example(4, 1))
    scores = attention(trace)
    kept = {key: getattr(trace, key).clone() for key in ("logits", "attention", "hidden", "embedding")}
    before, state = scores.clone(), torch.get_rng_state()
    ids, hooks_before = trace.batch.input_ids.clone(), hooks(trace)
    result = measured(name, trace, scores)
    assert not result.requires_grad
    assert torch.equal(scores, before)
    assert torch.equal(trace.batch.input_ids, ids)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(getattr(trace, key), value) for key, value in kept.items())
    assert hooks(trace) == hooks_before
    assert not any(module.training for module in trace.model.modules())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in trace.model.parameters())


@pytest.mark.parametrize("name", list(FILES))
def test_a_metrics_file_has_its_stem_as_its_only_key_and_every_parameter(name: str):
    text = OmegaConf.load(FILES[name])
    assert list(text) == [name]
    metric = build(name)
    assert set(text[name]) - {"_target_"} == {field.name for field in fields(metric)}
    assert isinstance(type(metric).higher_is_better, bool)
    with pytest.raises(AttributeError):
        metric.a_new_attribute = 1  # frozen


@pytest.mark.parametrize("name", [name for name in FILES if "removal" in OmegaConf.load(FILES[name])[name]])
def test_an_impossible_removal_is_refused_with_a_remedy(name: str):
    metric = build(name)
    with pytest.raises(ValueError, match="removal is one of run, unk, mask, pad, delete"):
        replace(metric, removal="blank")
    trace = Trace(bag(), batch_of(sentence([5, 6, 7])))
    with pytest.raises(ValueError, match="no mask token: set removal to one of unk, pad, delete"):
        replace(metric, removal="mask")(trace, torch.rand(1, 1, 5))
    roberta = architectures.tiny("roberta")
    with pytest.raises(ValueError, match="set removal to unk, mask, delete, ignore or swap"):
        replace(metric, removal="pad").check_model(roberta)
    metric.check_model(roberta)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (Comprehensiveness, {"bins": "all"}, "bins is one of"),
        (Naopc, {"exact": 30}, "exact is a number from 0 to 16"),
        (Naopc, {"beam": 0}, "beam is a whole number"),
        (SoftSufficiency, {"scale": "softmax"}, "scale is one of"),
        (SoftComprehensiveness, {"draws": 0}, "draws is a whole number"),
        (Infidelity, {"samples": 0}, "samples is a whole number"),
        (Infidelity, {"normalised": "yes"}, "normalised is one of"),
        (SensitivityMax, {"radius": -1}, "radius is a number"),
        (FaithfulnessCorrelation, {"share": 0}, "share is a number"),
        (Monotonicity, {"steps": "some"}, "steps is one of"),
        (PlantedMargin, {"scale": "ranks"}, "scale is one of"),
    ],
)
def test_an_unknown_option_is_refused_at_construction(kind: type, options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        kind(**options)


# ---- one run at a time: p maps a set of removed positions to the probability of the predicted class


Probability = Callable[[Sequence[int]], float]


def best_first(scores: Sequence[float], ranked: Sequence[int]) -> list[int]:
    order: list[int] = []
    rest = list(ranked)
    while rest:
        top = rest[0]
        for place in rest:
            if scores[place] > scores[top]:
                top = place
        rest.remove(top)
        order.append(top)
    return order


def steps_of(n: int, bins: str) -> list[int]:
    if bins == "counts":
        return list(range(1, n + 1))
    return [max(1, math.ceil(round(share * n, 6))) for share in (0.01, 0.05, 0.1, 0.2, 0.5)]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def by_definition(metric, p: Probability, scores: Sequence[float], ranked: Sequence[int]) -> float:
    order = best_first(scores, ranked)
    n = len(order)
    ks = steps_of(n, getattr(metric, "bins", "counts"))
    full, empty = p([]), p(order)
    match metric:
        case Comprehensiveness():
            return mean([full - p(order[:k]) for k in ks])
        case Sufficiency():
            return mean([full - p(order[k:]) for k in ks])
        case LogOdds():
            return mean([math.log(p(order[:k])) - math.log(full) for k in ks])
        case MorfArea():
            return mean([(p(order[: k - 1]) + p(order[:k])) / 2 for k in range(1, n + 1)])
        case LerfArea():
            rising = best_first([-score for score in scores], ranked)
            return mean([(p(rising[: k - 1]) + p(rising[:k])) / 2 for k in range(1, n + 1)])
        case Abpc():
            return by_definition(LerfArea(), p, scores, ranked) - by_definition(MorfArea(), p, scores, ranked)
        case NormalisedSufficiency() | NormalisedComprehensiveness():
            nothing = 1 - max(0.0, full - empty)
            shares = []
            for k in ks:
                if isinstance(metric, NormalisedSufficiency):
                    kept = 1 - max(0.0, full - p(order[k:]))
                    shares.append((kept - nothing) / (1 - nothing) if nothing < 1 - 1e-6 else math.nan)
                else:
                    shares.append(max(0.0, full - p(order[:k])) / (1 - nothing) if nothing < 1 - 1e-6 else math.nan)
            return mean([min(1.0, max(0.0, share)) if share == share else share for share in shares])
        case Naopc():
            aopcs = {
                ranks: mean([full - p(ranks[:k]) for k in range(1, n + 1)]) for ranks in itertools.permutations(ranked)
            }
            low, high = min(aopcs.values()), max(aopcs.values())
            return (aopcs[tuple(order)] - low) / (high - low)
        case Monotonicity():
            values = [p(order[:k]) for k in range(n, -1, -1)]
            held = [later >= earlier - 1e-6 for earlier, later in itertools.pairwise(values)]
            return mean(held) if metric.steps == "share" else float(all(held))
        case ViolationRatio():
            return float(p(order[:1]) > full + 1e-6)
    raise AssertionError(metric)


def of_ids(p: Callable[[list[int]], float], ids: Sequence[int], way: str) -> Probability:
    """Removal by hand on a list of token ids."""
    blank = {"unk": UNKNOWN, "pad": PAD, "delete": None}[way]

    def probability(removed: Sequence[int]) -> float:
        kept = [blank if place in removed else token for place, token in enumerate(ids)]
        return p([token for token in kept if token is not None])

    return probability


def bag_probability(model: BagOfTokens, target: int) -> Callable[[list[int]], float]:
    vectors = model.embedding.weight.double()
    return lambda ids: vectors[ids].sum(dim=0).softmax(dim=0)[target].item()


BY_DEFINITION = [
    *(kind(bins=bins) for kind in (Comprehensiveness, Sufficiency, LogOdds) for bins in ("counts", "eraser")),
    *(
        kind(bins=bins)
        for kind in (NormalisedSufficiency, NormalisedComprehensiveness)
        for bins in ("counts", "eraser")
    ),
    *(MorfArea(), LerfArea(), Abpc(), Naopc(), Monotonicity(), Monotonicity(steps="share"), ViolationRatio()),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("metric", BY_DEFINITION, ids=repr)
def test_on_a_linear_model_every_metric_matches_its_definition(metric, way: str):
    model = bag()
    sentences = [[5, 6, 7, 8, 9], [10, 11, 12], [13, 14, 15, 16]]
    trace = Trace(model, batch_of(*[sentence(ids, str(row)) for row, ids in enumerate(sentences)], include="content"))
    scores = torch.randn(3, 2, 7, generator=torch.Generator().manual_seed(1))
    scores[0, 1, 2] = scores[0, 1, 4]  # a tie
    values = replace(metric, removal=way)(trace, scores)
    for row, ids in enumerate(sentences):
        p = of_ids(bag_probability(model, trace.predicted[row].item()), [CLS, *ids, FINAL], way)
        for layer in range(2):
            expected = by_definition(metric, p, scores[row, layer].tolist(), range(1, len(ids) + 1))
            rounding = 1e-5 if isinstance(metric, Naopc) else 2e-6  # a quotient of small differences
            assert values[row, layer].item() == pytest.approx(expected, abs=rounding, nan_ok=True)


def reader(weight: float = 2.0) -> BagOfTokens:
    """A model that reads one token, 5, and is undecided without it."""
    vectors = torch.zeros(20, 2)
    vectors[5, 0] = weight
    return BagOfTokens(vectors)


def test_a_model_that_reads_one_planted_token_has_its_values_by_hand():
    example = replace(sentence([6, 5, 7, 8]), planted={"subject": [2], "attractors": [3]})
    trace = Trace(reader(), batch_of(example, include="content"))
    n, gain = 4, 1 / (1 + math.exp(-2)) - 0.5
    # the planted token first, second, last; and all scores equal
    scores = torch.tensor([[0, 1, 4, 3, 2, 0], [0, 1, 3, 4, 2, 0], [0, 3, 1, 4, 2, 0], [0, 1, 1, 1, 1, 0.0]])[None]

    def values(metric) -> list[float]:
        return metric(trace, scores)[0].tolist()

    ratio = math.log(0.5 / (0.5 + gain))
    for metric, expected in {
        Comprehensiveness(): [gain, gain * 3 / 4, gain / 4, gain * 3 / 4],
        Comprehensiveness(bins="eraser"): [gain, gain / 5, 0.0, gain / 5],
        Sufficiency(): [0.0, gain / 4, gain * 3 / 4, gain / 4],
        Sufficiency(bins="eraser"): [0.0, gain * 4 / 5, gain, gain * 4 / 5],
        LogOdds(): [ratio, ratio * 3 / 4, ratio / 4, ratio * 3 / 4],
        MorfArea(): [0.5 + gain * (place - 0.5) / n for place in (1, 2, 4, 2)],
        LerfArea(): [0.5 + gain * (place - 0.5) / n for place in (4, 3, 1, 2)],
        Abpc(): [gain * 3 / 4, gain / 4, -gain * 3 / 4, 0.0],
        Naopc(): [1.0, 2 / 3, 0.0, 2 / 3],
        Naopc(exact=0): [1.0, 2 / 3, 0.0, 2 / 3],
        NormalisedSufficiency(): [1.0, 3 / 4, 1 / 4, 3 / 4],
        NormalisedComprehensiveness(): [1.0, 3 / 4, 1 / 4, 3 / 4],
        Monotonicity(): [1.0] * 4,
        ViolationRatio(): [0.0] * 4,
        PlantedPrecisionAt1(): [1.0, 0.0, 0.0, 1 / 4],
        PlantedReciprocalRank(): [1.0, 1 / 2, 1 / 4, (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4],
        PlantedMargin(): [1.0, -1.0, -3.0, 0.0],
        PlantedMargin(scale="range"): [1 / 3, -1 / 3, -1.0, math.nan],
    }.items():
        assert values(metric) == pytest.approx(expected, abs=1e-6, nan_ok=True), metric
    exact = torch.tensor([[[9.0, 0, 3, 0, 0, 9]]])  # correct up to a factor
    assert Infidelity()(trace, exact).item() == pytest.approx(0.0, abs=1e-12)
    assert FaithfulnessCorrelation(share=0.5)(trace, exact).item() == pytest.approx(1.0)
    assert FaithfulnessCorrelation(share=0.5)(trace, -exact).item() == pytest.approx(-1.0)
    assert FaithfulnessCorrelation()(trace, scores)[0, 3].isnan()  # equal scores rank nothing
    # for unrelated scores, the mean is smallest at the factor 0
    share = coin_flips(trace.batch, trace.batch.ranked, 50, 0)[0, :, 2].double().mean().item()
    assert Infidelity()(trace, 0 * exact).item() == pytest.approx(share * gain**2, rel=1e-5)
    assert Infidelity(normalised=False)(trace, exact).item() == pytest.approx(share * (3 - gain) ** 2, rel=1e-5)


def test_a_token_with_the_opposite_effect_is_a_violation_and_breaks_monotonicity():
    vectors = torch.zeros(20, 2)
    vectors[5, 0], vectors[6, 1] = 2.0, 1.0
    trace = Trace(BagOfTokens(vectors), batch_of(sentence([5, 6, 7]), include="content"))
    scores = torch.tensor([[0, 3, 1, 2, 0], [0, 1, 3, 2, 0], [0, 1, 2, 3, 0.0]])[None]
    assert ViolationRatio()(trace, scores)[0].tolist() == [0.0, 1.0, 0.0]
    assert Monotonicity()(trace, scores)[0].tolist() == [0.0] * 3
    assert Monotonicity(steps="share")(trace, scores)[0].tolist() == pytest.approx([2 / 3] * 3)
    # without both, the model keeps .5: (s(1), s(2), s(2)) over the three steps of the first layer
    sigmoid = [1 / (1 + math.exp(-x)) for x in (1, 2, -1)]
    expected = sigmoid[0] - (sigmoid[2] * 2 + 0.5) / 3
    assert Comprehensiveness()(trace, scores)[0, 0].item() == pytest.approx(expected, abs=1e-6)


def test_if_no_token_matters_shares_are_undefined():
    trace = Trace(BagOfTokens(torch.zeros(20, 2)), batch_of(sentence([5, 6, 7]), include="content"))
    scores = torch.rand(1, 2, 5, generator=torch.Generator().manual_seed(0))
    for kind in (Naopc, NormalisedSufficiency, NormalisedComprehensiveness, SoftSufficiency, SoftComprehensiveness):
        assert kind()(trace, scores).isnan().all()
    assert FaithfulnessCorrelation()(trace, scores).isnan().all()
    assert Comprehensiveness()(trace, scores).tolist() == [[0.0, 0.0]]
    assert Naopc()(Trace(reader(), batch_of(sentence([5]), include="content")), torch.rand(1, 1, 3)).isnan().all()


def test_the_explained_position_is_never_deleted_and_the_rest_moves_up():
    model, example = bag(), replace(sentence([5, 6, 7]), position=2)
    trace = Trace(model, batch_of(example))
    scores = torch.tensor([[[1.0, 3.0, 9.0, 2.0, 0.5]]])
    p = of_ids(bag_probability(model, trace.predicted.item()), [CLS, 5, 6, 7, FINAL], "delete")
    for metric in (Comprehensiveness(removal="delete"), Sufficiency(removal="delete"), Naopc(removal="delete")):
        expected = by_definition(metric, p, scores[0, 0].tolist(), [0, 1, 3, 4])
        assert metric(trace, scores).item() == pytest.approx(expected, abs=2e-6)


# ---- planted tokens


def test_ties_with_a_planted_token_score_the_mean_over_all_orders():
    example = replace(sentence([5, 6, 7, 8, 9]), planted={"subject": [1, 4], "attractors": [2]})
    trace = Trace(bag(), batch_of(example))  # CLS and the end token are ranked but are not content
    scores = torch.tensor([[[9, 1, 2, 1, 1, 0, 9], [0, 1, 1, 1, 1, 1, 0], [9, 2, 1, 0, 2, 2, 0.0]]])
    tokens = range(1, 6)
    for metric, value in (
        (PlantedPrecisionAt1(), lambda rank: rank == 1),
        (PlantedReciprocalRank(), lambda rank: 1 / rank),
    ):
        for layer in range(3):
            row = scores[0, layer].tolist()
            ranks = []
            for shuffled in itertools.permutations(tokens):
                order = sorted(shuffled, key=lambda place: -row[place])  # stable: ties keep the shuffled order
                ranks.append(min(order.index(place) + 1 for place in (1, 4)))
            assert metric(trace, scores)[0, layer].item() == pytest.approx(mean([value(rank) for rank in ranks]))


def test_an_example_that_plants_nothing_is_undefined():
    trace = Trace(bag(), batch_of(sentence([5, 6, 7]), replace(sentence([5, 6]), planted={"subject": [1]})))
    scores = torch.rand(2, 1, 5)
    for metric in (PlantedPrecisionAt1(), PlantedReciprocalRank()):
        result = metric(trace, scores)
        assert result[0].isnan().all()
        assert result[1].isfinite().all()
    assert PlantedMargin()(trace, scores).isnan().all()  # no attractor


# ---- normalised AOPC


def oracle(p: Probability, ranked: Sequence[int], best: bool) -> list[float]:
    """Scores in the order of the highest, or the lowest, AOPC among all orders."""
    chosen = (min if best else max)(
        itertools.permutations(ranked), key=lambda order: sum(p(order[:k]) for k in range(1, len(order) + 1))
    )
    scores = [0.0] * (max(ranked) + 2)
    for place, token in enumerate(chosen):
        scores[token] = -float(place)
    return scores


@pytest.mark.parametrize("exact", [10, 0])
def test_the_best_order_of_all_has_naopc_1_and_the_worst_0(exact: int):
    model = bag(3)
    trace = Trace(model, batch_of(sentence([5, 6, 7, 8, 9]), include="content"))
    p = of_ids(bag_probability(model, trace.predicted.item()), [CLS, 5, 6, 7, 8, 9, FINAL], "unk")
    scores = torch.tensor([[oracle(p, range(1, 6), True), oracle(p, range(1, 6), False)]])
    wide = 10 if exact == 0 else 1  # a beam at least as wide as the number of sets of any size is exact
    assert Naopc(exact=exact, beam=wide)(trace, scores)[0].tolist() == pytest.approx([1.0, 0.0], abs=1e-5)


def test_a_narrow_beam_never_exceeds_the_exact_bounds():
    trace = tiny_trace(planted_example(6, 4), planted_example(5, 5))
    low, high = Naopc(exact=6).bounds(trace).unbind(dim=1)
    for beam in (1, 2, 20):
        found_low, found_high = Naopc(exact=0, beam=beam).bounds(trace).unbind(dim=1)
        assert (found_low >= low - 1e-6).all()
        assert (found_high <= high + 1e-6).all()
    assert torch.allclose(found_low, low, atol=1e-6)  # 20 sets of 3 among 6: nothing is left out
    assert torch.allclose(found_high, high, atol=1e-6)


# ---- embeddings kept at random


def test_rank_normalised_scores_have_mean_one_half_and_raw_ones_must_be_probabilities():
    scores = torch.tensor([[[7.0, 5, 5, -1, 100], [9, 0.2, 0.9, 1, 0]]])
    ranked = torch.tensor([[False, True, True, True, True]])
    keep = keep_probability(scores, ranked, "ranks")[0]
    for layer in range(2):
        expected = (rankdata(scores[0, layer, 1:].numpy()) - 0.5) / 4
        assert keep[layer, 1:].tolist() == pytest.approx(expected.tolist())
        assert keep[layer, 1:].mean().item() == pytest.approx(0.5)
    raw = keep_probability(scores, ranked, "raw")[0]
    assert raw[0, 1:].isnan().all()
    assert torch.equal(raw[1, 1:], scores[0, 1, 1:].double())


def test_keeping_all_or_none_of_each_embedding_is_keeping_or_removing_the_token():
    example = sentence([6, 5, 7, 8])
    trace = Trace(reader(), batch_of(example, include="content"))
    scores = torch.tensor([[[9, 0, 1, 0, 0, 9], [9, 1, 0, 1, 1, 9], [9, 1, 1, 1, 1, 9.0]]])
    assert SoftSufficiency(scale="raw")(trace, scores)[0].tolist() == pytest.approx([1, 0, 1], abs=1e-6)
    assert SoftComprehensiveness(scale="raw")(trace, scores)[0].tolist() == pytest.approx([1, 0, 1], abs=1e-6)


@pytest.mark.parametrize("kind", [SoftSufficiency, SoftComprehensiveness])
def test_raw_scores_outside_0_to_1_are_undefined_for_their_example_alone(kind):
    trace = tiny_trace(planted_example(3, 1), planted_example(6, 1))
    scores = attention(trace)
    expected = kind(scale="raw")(trace, scores)
    assert torch.isfinite(expected).all()
    scores[0] += 2
    result = kind(scale="raw")(trace, scores)
    assert result[0].isnan().all()
    assert torch.allclose(result[1], expected[1], rtol=2e-4, atol=2e-6)


# ---- on a real checkpoint


@pytest.fixture(scope="module")
def sst2():
    task = Classification(
        path=str(shared("data", "sst2")), shuffle=False, labels=["negative", "positive"], text="sentence"
    )
    model = Pretrained(path=str(shared("checkpoints", "distilbert-minilm-sst2")))(task, lambda done, total, note: None)
    return model, task.examples(model)


@pytest.fixture(scope="module")
def real(sst2) -> Trace:
    """Sentences of 5, 7 and 12 tokens, including special tokens."""
    model, examples = sst2
    chosen = [next(example for example in examples if len(example.input_ids) == length) for length in (7, 12, 8)]
    tokens = model.tokens
    blanks = {"unk": tokens.unk_token_id, "mask": tokens.mask_token_id, "pad": tokens.pad_token_id}
    return Trace(model.module, collate(chosen, "content", blanks), output="probability")


def one_run_at_a_time(trace: Trace, row: int, way: str = "unk") -> Probability:
    """The model called on one sentence without padding."""
    ids = list(trace.batch.examples[row].input_ids)
    target = trace.predicted[row].item()

    @cache
    def probability(removed: tuple[int, ...]) -> float:
        kept = [None if place in removed else token for place, token in enumerate(ids)]
        if way != "delete":
            kept = [trace.batch.blank_ids[way] if token is None else token for token in kept]
        with torch.no_grad():
            logits = trace.model(input_ids=torch.tensor([[token for token in kept if token is not None]])).logits
        return logits[0].double().softmax(dim=0)[target].item()

    return lambda removed: probability(tuple(sorted(removed)))


def content_of(batch: Batch, row: int) -> list[int]:
    return [place for place, role in enumerate(batch.examples[row].roles) if role == Role.CONTENT]


ON_THE_CHECKPOINT = [
    *(
        Comprehensiveness(),
        Sufficiency(bins="eraser"),
        LogOdds(),
        Abpc(),
        Monotonicity(steps="share"),
        ViolationRatio(),
    ),
    *(NormalisedSufficiency(), NormalisedComprehensiveness(bins="eraser")),
]


@pytest.mark.parametrize(("way", "rows", "layers"), [("mask", (1,), (2, 5)), ("delete", (0, 1), (3,))])
def test_metrics_of_a_real_checkpoint_equal_one_run_at_a_time(real: Trace, way: str, rows, layers):
    scores = attention(real)[:, layers]
    runs = {row: one_run_at_a_time(real, row, way) for row in rows}
    for metric in ON_THE_CHECKPOINT:
        values = replace(metric, removal=way)(real, scores)
        for row in rows:
            for layer in range(len(layers)):
                row_scores = scores[row, layer].tolist()
                expected = by_definition(metric, runs[row], row_scores, content_of(real.batch, row))
                assert values[row, layer].item() == pytest.approx(expected, abs=2e-6, nan_ok=True), metric


def test_naopc_of_a_real_checkpoint_equals_all_orders_one_by_one(real: Trace):
    scores = attention(real)[:1, :2]
    trace = Trace(real.model, replace_examples(real.batch, [0]), output="probability")
    assert len(content_of(trace.batch, 0)) == 5
    values = Naopc()(trace, scores[:, :, :7])
    p = one_run_at_a_time(trace, 0)
    for layer in range(2):
        expected = by_definition(Naopc(), p, scores[0, layer].tolist(), content_of(trace.batch, 0))
        assert values[0, layer].item() == pytest.approx(expected, abs=1e-4)


def replace_examples(batch: Batch, rows: Sequence[int]) -> Batch:
    return collate([batch.examples[row] for row in rows], "content", batch.blank_ids)


def test_faithfulness_correlation_of_a_real_checkpoint_equals_scipys_pearson(real: Trace):
    scores = attention(real)
    values = FaithfulnessCorrelation(share=0.4, samples=12)(real, scores)
    sets = of_share(real.batch, real.batch.ranked, 0.4, 12, 0)
    for row in (0, 1):
        p, chosen = one_run_at_a_time(real, row), [some.nonzero()[:, 0].tolist() for some in sets[row]]
        n = len(content_of(real.batch, row))
        assert {len(some) for some in chosen} == {math.ceil(0.4 * n)}
        assert all(set(some) <= set(content_of(real.batch, row)) for some in chosen)
        falls = [p([]) - p(some) for some in chosen]
        for layer in range(6):
            sums = [scores[row, layer, some].double().sum().item() for some in chosen]
            assert values[row, layer].item() == pytest.approx(pearsonr(sums, falls).statistic, abs=1e-4)


@pytest.mark.parametrize("normalised", [True, False])
def test_infidelity_of_a_real_checkpoint_equals_captums_called_on_one_example(real: Trace, normalised: bool):
    scores = 10 * attention(real)[:, :2]
    values = Infidelity(samples=8, normalised=normalised)(real, scores)
    sets = coin_flips(real.batch, real.batch.ranked, 8, 0)
    for row in (0, 1):
        n = len(real.batch.examples[row].input_ids)
        p, perturbations = one_run_at_a_time(real, row), sets[row, :, :n].double()
        falls = [p([]) - p(some.nonzero()[:, 0].tolist()) for some in perturbations]
        by_hand = torch.tensor(falls, dtype=torch.float64)
        for layer in range(2):
            attributions = scores[row, layer, :n].double()[None]
            expected = infidelity(
                lambda presence, p=p: torch.tensor(
                    [p((one == 0).nonzero()[:, 0].tolist()) for one in presence], dtype=torch.float64
                ),
                lambda presence, perturbations=perturbations: (perturbations, presence - perturbations),
                torch.ones(1, n, dtype=torch.float64),
                attributions,
                n_perturb_samples=8,
                normalize=normalised,
            )
            assert values[row, layer].item() == pytest.approx(expected.item(), abs=1e-6)
            told = perturbations @ attributions[0]
            factor = (told @ by_hand) / (told @ told) if normalised else 1.0
            assert values[row, layer].item() == pytest.approx(
                (factor * told - by_hand).square().mean().item(), abs=1e-6
            )


def test_sensitivity_max_of_a_real_checkpoint_equals_captums_called_on_a_gradient(real: Trace):
    trace = Trace(real.model, replace_examples(real.batch, [0]), output="probability")
    metric, explainer = SensitivityMax(samples=3), Saliency()
    value = metric(trace, explainer(trace), explainer)
    moved = metric.moved_embeddings(trace)[0]  # [sample, token, hidden]

    def saliency(embedding: Tensor) -> Tensor:
        rows = []
        for one in embedding:
            leaf = one[None].clone().requires_grad_()
            with torch.enable_grad():
                output = trace.forward_from(leaf, torch.tensor([0]))
                rows.append(torch.autograd.grad(output.sum(), leaf)[0].norm(dim=-1)[0])
        return torch.stack(rows).masked_fill(~trace.batch.ranked, 0.0).double()

    def captums(inputs):  # a tuple first, then a tensor
        return (saliency(inputs[0]),) if isinstance(inputs, tuple) else saliency(inputs)

    expected = sensitivity_max(captums, trace.embedding.detach(), lambda inputs: moved, n_perturb_samples=3)
    assert value.item() == pytest.approx(expected.item(), rel=1e-4)
    here = saliency(trace.embedding.detach())
    by_hand = max((saliency(one[None]) - here).norm().item() for one in moved) / here.norm().item()
    assert value.item() == pytest.approx(by_hand, rel=1e-4)
    assert value > 0.01


def test_soft_metrics_of_a_real_checkpoint_equal_one_run_at_a_time(real: Trace):
    scores = attention(real)[:, 1:3]
    kept = SoftSufficiency(draws=2)(real, scores)
    lost = SoftComprehensiveness(draws=2, seed=0)(real, scores)
    words = real.model.get_input_embeddings()
    for row, example in enumerate(real.batch.examples):
        n, ranked = len(example.input_ids), content_of(real.batch, row)
        ids = torch.tensor([list(example.input_ids)])
        uniform = torch.from_numpy(generator(0, example.id).random((2, n, words.weight.shape[1])))

        def p(mask: Tensor, ids: Tensor = ids, row: int = row) -> float:
            handle = words.register_forward_hook(lambda _module, _inputs, output: output * mask)
            with torch.no_grad():
                logits = real.model(input_ids=ids).logits
            handle.remove()
            return logits[0].double().softmax(dim=0)[real.predicted[row]].item()

        whole = torch.ones(n, words.weight.shape[1])
        nothing = whole.clone()
        nothing[ranked] = 0
        full, empty = p(whole), p(nothing)
        for layer in range(2):
            ranks = rankdata(scores[row, layer, ranked].numpy())
            shares = {True: [], False: []}
            for draw, keeps in itertools.product(range(2), (True, False)):
                mask = whole.clone()
                for place, rank in zip(ranked, ranks, strict=True):
                    a = (rank - 0.5) / len(ranked)
                    mask[place] = (uniform[draw, place] < (a if keeps else 1 - a)).float()
                loss = max(0.0, full - p(mask)) / (full - empty) if full - empty > 1e-6 else math.nan
                shares[keeps].append(min(1.0, max(0.0, 1 - loss if keeps else loss)) if loss == loss else loss)
            assert kept[row, layer].item() == pytest.approx(mean(shares[True]), abs=1e-4, nan_ok=True)
            assert lost[row, layer].item() == pytest.approx(mean(shares[False]), abs=1e-4, nan_ok=True)


# ---- a trace on a shifted embedding


def test_a_trace_on_its_own_embedding_is_the_same_and_keeps_the_explained_class():
    trace = tiny_trace(planted_example(3, 1), planted_example(6, 1))
    same = trace.moved(trace.embedding)
    assert torch.equal(same.logits, trace.logits)
    assert torch.equal(same.gradient, trace.gradient)
    assert torch.equal(same.attention, trace.attention)
    far = trace.moved(-3 * trace.embedding.detach())
    assert not torch.equal(far.predicted, trace.predicted)
    assert torch.equal(far.target, trace.target)
    assert torch.equal(far.rival, trace.rival)


def test_a_constant_explainer_has_no_sensitivity_and_one_that_reruns_is_refused():
    trace = tiny_trace(planted_example(3, 1))
    scores = torch.rand(1, 2, 5)
    assert SensitivityMax()(trace, scores, lambda trace: scores).tolist() == [[0.0, 0.0]]
    assert SensitivityMax()(trace, 0 * scores, lambda trace: scores).isnan().all()
    with pytest.raises(ValueError, match="a re-run on token ids would ignore"):
        SensitivityMax()(trace, scores[:, :1], lambda trace: BlankOut()(trace)[:, None])


def test_equal_inputs_are_run_once_and_unchanged_ones_never(monkeypatch: pytest.MonkeyPatch):
    trace = Trace(bag(), batch_of(sentence([5, UNKNOWN, 7]), include="content"))
    seen: list[list[int]] = []
    rerun = Trace.rerun

    def spy(self: Trace, inputs, *which):
        seen.extend(inputs["input_ids"].tolist())
        return rerun(self, inputs, *which)

    monkeypatch.setattr(Trace, "rerun", spy)
    scores = torch.rand(1, 40, 5, generator=torch.Generator().manual_seed(0))
    Comprehensiveness()(trace, scores)
    assert sorted(seen) == sorted({tuple(ids): ids for ids in seen}.values())
    assert len(seen) == 3  # without either word, and without both
    assert [CLS, 5, UNKNOWN, 7, FINAL] not in seen
