"""What people pass to attribution libraries, by the trackers of captum, inseq, shap, Quantus, datasets and hydra."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from transformers import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

import harness
from tests.architectures import SIZES
from tests.tasks.folders import add_weights, bert, edit, saved, tokenizer

pytestmark = pytest.mark.filterwarnings("ignore::harness.tracing.notices.Inexact")
LINES = ["a dull film", "moving and funny", "not very good"]
TWO = SIZES | {"num_labels": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bert(tmp_path_factory.mktemp("models") / "bert")


def evaluated(data: Any, model: Any, **options: Any):
    return harness.evaluate(data, model, ("random", "rollout", "saliency"), ("blank_out",), threads=1, **options)


def statuses(data: Any, model: Any, **options: Any) -> set[str]:
    return set(evaluated(data, model, **options).tables["rows"]["status"])


SHORT = "fewer than 3 tokens"
SERVED: dict[str, tuple[Any, set[str]]] = {
    "one word": (["good", *LINES], {"ok", SHORT}),
    "an empty text": (["", *LINES], {"ok", SHORT}),
    "nothing but an empty text": ([""], {SHORT}),
    "spaces and a zero-width space": (["\u200b", "  ", *LINES], {"ok", SHORT}),
    "a numpy array": (np.array(LINES), {"ok"}),
    "a pandas Series": (pd.Series(LINES), {"ok"}),
    "a generator": ((line for line in LINES), {"ok"}),
    "words that the vocabulary lacks": (["xx yy zz ww", *LINES], {"ok", "constant reference"}),
    "one word over and over": (["film film film film"], {"ok"}),
    "a NUL character": (["a \0 dull film", *LINES], {"ok"}),
    "one text many times": (["a dull film"] * 5, {"ok"}),
}


@pytest.mark.parametrize("name", list(SERVED))
def test_odd_texts_are_explained_or_say_why_not(folder: Path, name: str):
    data, expected = SERVED[name]
    assert statuses(data, folder) == expected


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "bytes": ([b"a dull film"], {}, "a text is a string"),
    "none": ([None, *LINES], {}, "a text is a string"),
    "not a number": ([float("nan"), *LINES], {}, "a text is a string"),
    "a mapping": ({"text": "a dull film"}, {}, "got a dict"),
    "half a surrogate pair": (["a dull \ud83d film"], {}, "half of a surrogate pair"),
    "a text that is too long": (["film " * 100], {}, "longer than the 40 tokens"),
    "a label that no class has": (LINES, {"labels": [0, 1, 5]}, "an index from 0 to 1, got 5"),
    "too few labels": (LINES, {"labels": [0]}, "labels are one for each of the 3 texts"),
    "a truth value as label": (LINES, {"labels": [True, False, True]}, "got True"),
    "an index as target": (LINES, {"target": 1}, "target is one of predicted, gold, LABEL_0, LABEL_1"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_cannot_be_explained_is_refused_in_a_sentence(folder: Path, name: str):
    data, options, sentence = REFUSED[name]
    with pytest.raises(ValueError, match=sentence):
        evaluated(data, folder, **options)


def in_memory(folder: Path, kind: Any = AutoModelForSequenceClassification, attention: str = "eager", **options: Any):
    return kind.from_pretrained(folder, attn_implementation=attention, **options).eval(), tokenizer()


MODELS: dict[str, tuple[Callable[[Path, Path], Any], str]] = {
    "in train mode": (lambda folder, _: (in_memory(folder)[0].train(), tokenizer()), "call model.eval"),
    "with sdpa": (lambda folder, _: in_memory(folder, attention="sdpa"), "load the model with attn_implementation"),
    "without a head": (lambda folder, _: in_memory(folder, AutoModel), "returns no logits"),
    "for token classification": (
        lambda _, new: saved(new, "bert", AutoModelForTokenClassification, **TWO),
        "has no weights of the right shape for bert.pooler",
    ),
    "for questions": (lambda _, new: saved(new, "bert", AutoModelForQuestionAnswering, **TWO), "has no weights"),
    "with weights that are not finite": (
        lambda _, new: spoilt(new, bert__pooler__dense__weight=torch.full((32, 32), torch.nan)),
        "logits that are not finite",
    ),
}


def spoilt(new: Path, **weights: torch.Tensor) -> Path:
    folder = bert(new)
    add_weights(folder, **weights)
    return folder


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(MODELS))
def test_a_model_that_cannot_be_explained_is_refused_in_a_sentence(folder: Path, tmp_path: Path, name: str):
    make, sentence = MODELS[name]
    if name == "with sdpa" and transformers.__version__ < "5":  # which computes attention weights all the same
        assert statuses(LINES, make(folder, tmp_path / "model")) == {"ok"}
        return
    with pytest.raises(ValueError, match=sentence):
        evaluated(LINES, make(folder, tmp_path / "model"))


def test_weights_that_need_gradients_are_left_without_them(folder: Path):
    module, tokens = in_memory(folder)
    module.requires_grad_(True)
    assert statuses(LINES, (module, tokens)) == {"ok"}
    assert all(one.requires_grad and one.grad is None for one in module.parameters())


def test_a_model_that_ignores_its_input_is_said_to_have_a_constant_reference(tmp_path: Path):
    folder = spoilt(tmp_path / "model", classifier__weight=torch.zeros(2, 32), classifier__bias=torch.zeros(2))
    results = evaluated(LINES, folder)
    assert set(results.tables["rows"]["status"]) == {"constant reference", "constant scores"}
    assert any("the reference blank_out gives all tokens" in text for text in results.manifest.warnings)


def test_dropout_in_the_configuration_changes_nothing(folder: Path, tmp_path: Path):
    other = bert(tmp_path / "bert")
    edit(other, hidden_dropout_prob=0.9)
    pd.testing.assert_frame_equal(evaluated(LINES, other).leaderboard(), evaluated(LINES, folder).leaderboard())


def test_a_tokenizer_without_a_mask_serves_methods_that_need_none(tmp_path: Path):
    folder = bert(tmp_path / "model")
    tokenizer(mask_token=None).save_pretrained(folder)
    assert statuses(LINES, folder) == {"ok"}


def test_a_linked_folder_is_the_folder(folder: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(folder)
    assert statuses(LINES, tmp_path / "link") == {"ok"}
