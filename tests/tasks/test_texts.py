"""Texts given as parameters, and a model that is already in memory."""

from typing import Any

import numpy as np
import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from harness.tables import NO_GOLD
from tasks.classification import Classification
from tasks.pretrained import Pretrained
from tasks.texts import Texts
from tests.conftest import shared


@pytest.fixture(scope="module")
def folder() -> str:
    return str(shared("checkpoints", "distilbert-minilm-sst2"))


@pytest.fixture(scope="module")
def loaded(folder):
    module = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager")
    return module.eval(), AutoTokenizer.from_pretrained(folder)


def test_given_texts_are_encoded_like_those_from_a_file(loaded, tmp_path):
    (tmp_path / "validation.csv").write_text("text,label\na dull film,0\nmoving,1\na dull film,0\n")
    classes = ["negative", "positive"]
    given = Texts(["a dull film", "moving", "a dull film"], labels=["negative", 1, 0], classes=classes)
    read = Classification(labels=classes, path=str(tmp_path), shuffle=False)
    model = Pretrained.of(*loaded, given)
    assert given.examples(model) == read.examples(model)
    assert given.facts == read.facts


def test_pairs_and_texts_without_a_label(loaded):
    task = Texts([("a dull film", "it was boring"), "moving"])
    first, second = task.examples(Pretrained.of(*loaded, task))
    assert len(first.input_ids) > len(second.input_ids)
    assert first.gold == second.gold == NO_GOLD


def test_the_digest_is_that_of_the_content():
    assert Texts(["a", "b"]).digest == Texts(["a", "b"]).digest
    assert len({Texts(["a", "b"]).digest, Texts(["b", "a"]).digest, Texts(["a", "b"], labels=[0, 1]).digest}) == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"texts": "a dull film"}, "put it into a list"),
        ({"texts": [("a", "b", "c")]}, "or a pair of strings"),
        ({"texts": ["a"], "labels": [0, 1]}, "one for each of the 1 texts, got 2"),
        ({"texts": ["a"], "labels": ["good"], "classes": ["bad", "fine"]}, "one of bad, fine"),
    ],
)
def test_input_that_is_not_a_text_or_label_is_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Texts(**arguments)


def test_a_model_in_memory_is_left_unchanged(loaded):
    module, tokens = loaded
    model = Pretrained.of(module, tokens, Texts())
    assert model.module is module
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert model.identity == Pretrained.of(module, tokens, Texts()).identity
    assert model.identity.startswith(f"{type(module).__name__}@")
    assert model.classes is not None
    assert len(model.classes) == 2


def test_a_model_in_train_mode_is_refused(loaded):
    module, tokens = loaded
    module.train()
    try:
        with pytest.raises(ValueError, match=r"call model\.eval\(\)"):
            Pretrained.of(module, tokens, Texts())
    finally:
        module.eval()


def test_classes_in_another_order_are_refused_with_the_right_parameter(loaded):
    module, _ = loaded
    names = [str(name) for name in reversed(module.config.id2label.values())]
    with pytest.raises(ValueError, match=r"set task\.classes in the model's order"):
        Pretrained.of(*loaded, Texts(classes=names))


@pytest.mark.parametrize("odd", [None, float("nan"), 7, b"bytes", ("one", "two", "three")])
def test_what_is_no_text_is_refused_in_a_sentence(odd: Any):
    with pytest.raises(ValueError, match="a text is a string, or a pair of strings"):
        Texts(["fine", odd])


def test_a_mapping_is_no_list_of_texts():
    given: Any = {"a": "b"}
    with pytest.raises(ValueError, match="got a mapping with the keys a"):
        Texts(given)


def test_labels_may_be_numpy_numbers_and_must_be_clear():
    given: Any = list(np.array([1, 0]))
    assert [row.gold for row in Texts(["a", "b"], labels=given, classes=["x", "y"]).rows] == [1, 0]
    with pytest.raises(ValueError, match="calls several classes 'x'"):
        Texts(["a"], labels=["x"], classes=["x", "x"])
