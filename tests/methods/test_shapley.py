"""Shapley values and integrated gradients as references."""

import itertools
import math
from dataclasses import fields

import pytest
import torch
from captum.attr import ShapleyValues

from harness.contracts import Model
from harness.tracing.batch import collate
from harness.tracing.run import Trace
from methods.explainers.integrated_gradients import IntegratedGradients as Explainer
from methods.references.integrated_gradients import IntegratedGradients
from methods.references.shapley import Shapley
from tasks.classification import Classification
from tasks.pretrained import Pretrained
from tests.architectures import blanks, example, tiny
from tests.conftest import shared
from tests.known_model import UNKNOWN, bag, batch_of, sentence

WORDS = [5, 6, 7, 8, 9, 10]


@pytest.fixture(scope="module")
def task() -> Classification:
    path = str(shared("data", "sst2"))
    return Classification(path=path, shuffle=False, labels=["negative", "positive"], text="sentence")


@pytest.fixture(scope="module")
def sst2(task: Classification) -> Model:
    path = str(shared("checkpoints", "distilbert-minilm-sst2"))
    return Pretrained(path=path)(task, lambda done, total, note: None)


def real(sst2: Model, examples) -> Trace:
    tokens = sst2.tokens
    ids = {"unk": tokens.unk_token_id, "mask": tokens.mask_token_id, "pad": tokens.pad_token_id}
    return Trace(sst2.module, collate(examples, "all", ids))


@pytest.fixture(scope="module")
def short(task: Classification, sst2: Model) -> Trace:
    """Sentences with four and with seven players."""
    by_length = sorted(task.examples(sst2), key=lambda example: len(example.input_ids))
    return real(sst2, [next(example for example in by_length if len(example.input_ids) == n) for n in (5, 8)])


def value(trace: Trace, row: int, present, blank: int) -> float:
    """The output with absent tokens replaced: one plain run of the model."""
    n = len(trace.batch.examples[row].input_ids)
    ids = trace.batch.input_ids[row, :n].tolist()
    position = int(trace.batch.position[row])
    kept = [id if place in present or place == position else blank for place, id in enumerate(ids)]
    with torch.no_grad():
        logits = trace.model(input_ids=torch.tensor([kept]), attention_mask=torch.ones(1, n, dtype=torch.long)).logits
    return trace.output(logits, torch.tensor([row])).item()


def from_the_definition(trace: Trace, row: int, blank: int) -> list[float]:
    """Shapley's formula, one player and one coalition at a time; NaN for the explained position."""
    n = len(trace.batch.examples[row].input_ids)
    position = int(trace.batch.position[row])
    players = [place for place in range(n) if place != position]
    values = {
        subset: value(trace, row, subset, blank)
        for size in range(n)
        for subset in itertools.combinations(players, size)
    }
    scores = [math.nan] * n
    for player in players:
        scores[player] = 0.0
        for subset in values:
            if player in subset:
                continue
            s = len(subset)
            weight = math.factorial(s) * math.factorial(len(players) - s - 1) / math.factorial(len(players))
            joined = tuple(sorted((*subset, player)))
            scores[player] += weight * (values[joined] - values[subset])
    return scores


def near(ours: torch.Tensor, theirs, **tolerance) -> bool:
    return ours.tolist() == pytest.approx(list(theirs), nan_ok=True, **tolerance)


def test_on_a_linear_model_they_are_each_tokens_own_contribution():
    model = bag()
    trace = Trace(model, batch_of(sentence(WORDS), sentence([11, 12, 5], id="b")), target=0, output="logit")
    own = (model.embedding(trace.batch.input_ids) - model.embedding.weight[UNKNOWN])[:, :, 0].double()
    own[:, 0] = torch.nan
    own[1, 5:] = torch.nan
    for exact in (8, 0):
        scores = Shapley(exact=exact, permutations=4, sign="signed")(trace)
        assert torch.allclose(scores, own, atol=1e-6, equal_nan=True)
        assert torch.allclose(Shapley(exact=exact)(trace), own.abs(), atol=1e-6, equal_nan=True)
    # on a linear model every order gives the same
    assert Shapley(exact=0).standard_error(trace)[:, 1:5].max() < 1e-6


@pytest.mark.parametrize("output", ["difference", "probability"])
def test_exact_values_match_the_definition(output: str):
    trace = Trace(bag(), batch_of(sentence(WORDS), sentence([9, 6], id="b")), output=output)
    scores = Shapley(sign="signed")(trace)
    assert near(scores[0], from_the_definition(trace, 0, UNKNOWN), abs=1e-6)
    assert near(scores[1, :4], from_the_definition(trace, 1, UNKNOWN), abs=1e-6)
    assert scores[1, 4:].isnan().all()
    assert torch.equal(Shapley().standard_error(trace)[0, 1:], torch.zeros(7, dtype=torch.float64))
    assert all(torch.equal(half.nan_to_num(), scores.nan_to_num()) for half in Shapley(sign="signed").halves(trace))


def test_on_a_real_sentence_they_match_the_definition(short: Trace):
    scores = Shapley(sign="signed")(short)[0, :5]
    assert near(scores, from_the_definition(short, 0, short.batch.blank_ids["unk"]), abs=2e-6)


def test_on_a_real_sentence_they_match_captums(short: Trace):
    ids = short.batch.input_ids[:1, :5]
    blank = torch.full_like(ids, short.batch.blank_ids["mask"])
    blank[0, 0] = ids[0, 0]
    features = torch.tensor([[0, 0, 1, 2, 3]])  # CLS is grouped with the first word and is never replaced

    def output(ids: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            logits = short.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        return short.output(logits, torch.zeros(len(ids), dtype=torch.long))

    theirs = ShapleyValues(output).attribute(ids, blank, feature_mask=features, perturbations_per_eval=4)
    ours = Shapley(removal="mask", sign="signed")(short)
    assert near(ours[0, 1:5], theirs[0, 1:].tolist(), abs=5e-6)


@pytest.mark.parametrize("exact", [0, 7])
def test_they_add_up_to_the_change_in_output_when_every_player_is_removed(short: Trace, exact: int):
    method = Shapley(exact=exact, permutations=4, sign="signed")
    whole = short.output(short.logits)
    for scores in (method(short), *method.halves(short)):
        for row, n in enumerate((5, 8)):
            nothing = value(short, row, (), short.batch.blank_ids["unk"])
            assert scores[row, 1:n].sum().item() == pytest.approx(whole[row].item() - nothing, abs=1e-6)
    # sampled and exact use the same runs with no players and with all
    exactly = Shapley(exact=7, sign="signed")(short).nansum(dim=1)
    assert torch.allclose(method(short).nansum(dim=1), exactly, rtol=0, atol=1e-12)


def test_equal_tokens_have_equal_values_and_a_blank_has_none():
    trace = Trace(bag().double(), batch_of(sentence([5, 7, UNKNOWN, 7, 9])), target=0)
    for exact in (8, 0):
        scores = Shapley(exact=exact, sign="signed")(trace)[0]
        assert scores[3].item() == 0.0
        assert (scores[1] != 0) & (scores[5] != 0)
        if exact:
            assert scores[2].item() == pytest.approx(scores[4].item(), abs=1e-12)


def test_samples_are_unbiased_and_their_error_estimate_is_right():
    trace = Trace(tiny("bert"), collate([example(6)], "all", blanks("bert")), output="logit")
    exact = Shapley(sign="signed")(trace)[0, 1:]
    draws = [Shapley(exact=0, permutations=8, sign="signed", seed=seed) for seed in range(120)]
    scores = torch.stack([draw(trace)[0, 1:] for draw in draws])
    errors = torch.stack([draw.standard_error(trace)[0, 1:] for draw in draws])
    spread = scores.std(dim=0)
    assert ((scores.mean(dim=0) - exact).abs() < 4 * spread / len(draws) ** 0.5).all()
    assert ((errors.square().mean(dim=0).sqrt() / spread - 1).abs() < 0.3).all()
    assert len({tuple(row.tolist()) for row in scores}) > 100


def test_a_sample_is_the_mean_over_the_drawn_permutations(short: Trace):
    """One permutation and one player at a time."""
    method = Shapley(exact=0, permutations=4, sign="signed")
    n = 5
    ranks = method._ranks(short.batch.examples[0].id, n - 1)
    assert ranks is not None
    assert sorted(map(tuple, (ranks[:, 0] + ranks[:, 1]).tolist())) == [(n - 2,) * (n - 1)] * 2  # reversed
    total = [math.nan, *[0.0] * (n - 1)]
    for rank in ranks.reshape(4, -1).tolist():
        order = sorted(range(1, n), key=lambda place: rank[place - 1])
        for step, place in enumerate(order):
            before, after = (value(short, 0, order[:stop], short.batch.blank_ids["unk"]) for stop in (step, step + 1))
            total[place] += (after - before) / 4
    assert near(method(short)[0, :n], total, abs=2e-6)


def test_the_mean_of_the_halves_is_the_scores(short: Trace):
    signed = Shapley(exact=0, permutations=12, sign="signed")
    one, other = signed.halves(short)
    assert torch.allclose((one + other) / 2, signed(short), rtol=0, atol=1e-12, equal_nan=True)
    assert not torch.allclose(one, other, equal_nan=True)
    absolute = Shapley(exact=0, permutations=12)
    assert torch.equal(absolute(short).nan_to_num(), signed(short).abs().nan_to_num())
    sizes = absolute.halves(short)
    assert all(torch.equal(size.nan_to_num(), half.abs().nan_to_num()) for size, half in zip(sizes, (one, other)))  # noqa: B905


def test_equal_inputs_run_once_and_halves_need_no_run(sst2: Model, short: Trace):
    rows = 0

    def count(_module, _inputs, given):
        nonlocal rows
        rows += len(given["input_ids"])

    trace = Trace(sst2.module, short.batch)
    hook = sst2.module.register_forward_pre_hook(count, with_kwargs=True)
    try:
        method = Shapley(exact=4, permutations=4)
        method(trace)
        assert 2**4 - 1 < rows <= 2**4 - 1 + 4 * 6 + 1  # every subset except the full one; 4 permutations of 7 players
        before = rows
        assert method.halves(trace)[0].shape == method.standard_error(trace).shape
        assert rows == before
        Shapley(exact=4, permutations=8)(trace)
        assert rows > before
    finally:
        hook.remove()


def test_the_explained_position_is_never_a_player(sst2: Model, short: Trace):
    from dataclasses import replace

    moved = [replace(one, position=2) for one in short.batch.examples]
    scores = Shapley(permutations=4)(real(sst2, moved))
    assert scores[:, 2].isnan().all()
    assert torch.isfinite(scores[:, [0, 1, 3]]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"removal": "cut"}, "removal is one of run, unk, mask, pad"),
        ({"sign": "both"}, "sign is one of absolute, signed"),
        ({"permutations": 6}, "permutations is a multiple of 4, two halves of pairs, got 6"),
        ({"permutations": 0}, "at least 4"),
        ({"exact": -1}, "at least 0"),
    ],
)
def test_an_unknown_option_is_refused_at_construction(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Shapley(**options)


def test_an_unusable_blank_is_refused_with_a_remedy():
    with pytest.raises(ValueError, match="no mask token: set removal to one of unk, pad"):
        Shapley(removal="mask")(Trace(bag(), batch_of(sentence(WORDS))))
    with pytest.raises(ValueError, match="set removal to unk, mask, delete, ignore or swap"):
        Shapley(removal="pad").check_model(tiny("roberta"))
    Shapley(removal="pad").check_model(tiny("bert"))


@pytest.mark.filterwarnings("ignore::harness.tracing.notices.Inexact")
def test_integrated_gradients_equal_the_explainers(short: Trace):
    theirs = Explainer(baseline="mask", steps=5, reduce="sum")(short)
    assert torch.equal(IntegratedGradients(baseline="mask", steps=5, reduce="sum")(short), theirs[:, 0])
    with pytest.raises(ValueError, match="baseline is one of"):
        IntegratedGradients(baseline="word")
    assert [field.name for field in fields(IntegratedGradients)] == [field.name for field in fields(Explainer)]


def test_integrated_gradients_of_a_linear_model_match_the_closed_form():
    model = bag()
    trace = Trace(model, batch_of(sentence(WORDS)), target=0, output="logit")
    own = (model.embedding.weight[WORDS] - model.embedding.weight[UNKNOWN])[:, 0]
    assert near(IntegratedGradients(steps=2, reduce="sum")(trace)[0, 1:7], own.tolist(), abs=1e-6)
