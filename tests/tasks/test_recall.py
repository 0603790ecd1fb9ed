"""Recall: sequences whose truth is known by construction, and the decoder that learns them."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.contracts import Model
from harness.tracing.batch import Role, collate
from tasks.recall.recall import Recall
from tasks.recall.recall_decoder import FACTS, RecallDecoder
from tasks.recall.training import RecallTraining
from tests.tasks.test_agreement_transformer import quiet
from tests.tasks.test_contract import build, obeys

SMALL = Recall(fewest=2, most=4, vocabulary=8, test=200)
QUICK = RecallDecoder(layers=2, hidden=32, training=RecallTraining(learning_rate=3e-3, dropout_steps=200))
UNTRAINED = replace(QUICK, training=RecallTraining(steps=1, dropout_steps=1))


@pytest.fixture(scope="module")
def recaller(_one_cache: None) -> Model:
    return QUICK(SMALL, quiet)


def test_a_small_decoder_learns_to_recall(recaller: Model):
    assert recaller.facts["accuracy"] >= 0.95
    assert recaller.causal
    assert recaller.longest == 18


def test_its_examples_obey_the_contract(recaller: Model):
    obeys(SMALL, recaller)
    obeys(Recall(), replace(recaller, tokens=Recall().tokens))


def test_the_value_asked_for_is_the_right_class_and_is_planted(recaller: Model):
    for example in SMALL.examples(recaller):
        names = recaller.tokens.convert_ids_to_tokens(example.input_ids)
        (value,), (key,), (foil,) = (example.planted[name] for name in ("value", "key", "foil"))
        assert names[key] == names[-1]
        assert value == key + 1 != foil
        assert names[-2] == ";"
        assert names[0] == "<cls>"
        assert recaller.tokens.convert_ids_to_tokens(example.candidates or []) == [names[value], names[foil]]
        assert names.count(names[value]) == names.count(names[foil]) == 1
        assert example.roles == [Role.CLS, *[Role.CONTENT] * (len(names) - 2), Role.PREDICTS]
        assert example.tags == {"pairs": (len(names) - 3) // 2}


def test_a_position_says_nothing_about_the_value():
    """Ranked by position, the value is in the middle on average: of 2n + 1 ranked tokens, one of 2, 4 ... 2n."""
    lines = Recall(test=4000).lines
    counts = Counter((len(line.keys), line.asked) for line in lines)
    for pairs in range(3, 9):
        shares = [counts[pairs, asked] / sum(counts[pairs, each] for each in range(pairs)) for asked in range(pairs)]
        assert all(abs(share - 1 / pairs) < 0.06 for share in shares)
    middle = sum((2 * line.asked + 2) / (2 * len(line.keys) + 2) for line in lines) / len(lines)
    assert middle == pytest.approx(0.5, abs=0.01)


def test_swaps_are_other_sequences_of_the_same_form(recaller: Model):
    for example in SMALL.examples(recaller)[:50]:
        assert len(example.swaps) == 4
        for swap in example.swaps:
            names = recaller.tokens.convert_ids_to_tokens(swap)
            own = recaller.tokens.convert_ids_to_tokens(example.input_ids)
            assert [name[0] for name in names] == [name[0] for name in own]
            assert {*names} & {*own} == {"<cls>", ";"}


def test_the_model_chooses_the_value_and_not_the_foil(recaller: Model):
    chosen = SMALL.examples(recaller)
    right = 0
    for example in chosen:
        batch = collate([example], "all", recaller.blank_ids)
        with torch.no_grad():
            right += int(recaller.module(**batch.inputs).logits.argmax()) == 0
    assert right / len(chosen) >= 0.95


def test_sequences_are_all_different_and_always_the_same():
    lines = Recall(test=500).lines
    assert len({line.words for line in lines}) == 500
    assert lines == Recall(test=500).lines
    assert lines[:100] == Recall(test=100).lines
    assert lines != Recall(test=500, seed=1).lines
    assert Recall().digest != Recall(seed=1).digest


def test_a_model_serves_any_number_of_test_sequences(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    calls: list[int] = []
    first = UNTRAINED(SMALL, lambda done, total, note: calls.append(done))
    assert calls
    calls.clear()
    second = UNTRAINED(replace(SMALL, test=10), lambda done, total, note: calls.append(done))
    assert not calls
    assert first.identity == second.identity
    folder = tmp_path / "models" / UNTRAINED.key(SMALL)
    assert RecallDecoder(path=str(folder))(SMALL, quiet).identity == first.identity
    with pytest.raises(ValueError, match=r"was trained with 21 words, and the task has 37: set task.vocabulary"):
        RecallDecoder(path=str(folder))(Recall(), quiet)
    (folder / FACTS).write_text("{}")
    with pytest.raises(ValueError, match=r"holds no recall model that can be read .*model.path=<folder>"):
        RecallDecoder(path=str(folder))(SMALL, quiet)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fewest": 1}, "fewest is a whole number, at least 2, got 1"),
        (
            {"most": 9},
            "most is from fewest=3 to half of vocabulary=16, so that others are left to put in the keys' place",
        ),
        ({"fewest": 9}, "most is from fewest=9"),
        ({"test": 0}, "test is a whole number"),
    ],
)
def test_sequences_that_cannot_be_made_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Recall(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "encoder"}, "kind is one of gpt2, llama, got 'encoder'"),
        ({"heads": 3}, "hidden is a multiple of heads, got hidden=64 and heads=3"),
        ({"layers": 0}, "layers is a whole number"),
    ],
)
def test_a_wrong_size_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RecallDecoder(**options)


def test_task_and_model_need_each_other(recaller: Model, model: Model):
    with pytest.raises(ValueError, match="trained for the recall task and cannot serve MinimalPair"):
        RecallDecoder()(build("task", "minimal_pair"), quiet)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="served only by its own model: choose model=recall_decoder"):
        Recall().examples(model)
