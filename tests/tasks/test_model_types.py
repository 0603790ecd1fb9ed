"""An encoder for the next word, or a causal model for a masked word or a class, is refused in a sentence."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSequenceClassification

from harness.contracts import Task
from tasks.continuation import Continuation
from tasks.masked_word import MaskedWord
from tasks.pretrained import Pretrained
from tasks.texts import Texts
from tests.architectures import SIZES
from tests.conftest import shared, smollm2
from tests.tasks.folders import edit, saved
from tests.tasks.test_agreement_transformer import quiet

NEXT = Continuation(["The keys to the cabinet"], ["are", "is"])
TEXTS = Texts(["a dull film"])
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 40, "pad_token_id": 0}


def load(folder: Path, task: Task) -> Any:
    return Pretrained(path=str(folder))(task, quiet)


@pytest.mark.parametrize("checkpoint", ["bert-minilm-mlm", "distilbert-minilm-sst2"])
def test_an_encoder_predicts_no_next_word(checkpoint: str):
    message = (
        "is an encoder, whose tokens see later ones, and the task explains the next word: choose a causal language"
    )
    with pytest.raises(ValueError, match=rf"model type '(distil)?bert' {message}"):
        load(shared("checkpoints", checkpoint), NEXT)


def test_an_encoder_decoder_is_no_causal_model():
    with pytest.raises(ValueError, match="model type 'marian' is an encoder-decoder, and the task explains the next"):
        load(shared("checkpoints", "annalog-marian"), NEXT)


def test_a_causal_model_reads_no_masked_word_and_no_class(tmp_path: Path):
    folder = saved(tmp_path / "lm", "gpt2", AutoModelForCausalLM, **GPT2)
    with pytest.raises(
        ValueError, match="model type 'gpt2' runs with a causal mask, and the task explains a masked word"
    ):
        load(folder, MaskedWord())
    folder = saved(tmp_path / "classifier", "gpt2", AutoModelForSequenceClassification, **GPT2)
    with pytest.raises(ValueError, match="model type 'gpt2' runs with a causal mask, and the task explains a class"):
        load(folder, TEXTS)


def test_an_encoders_type_that_is_set_to_be_a_decoder_is_one(tmp_path: Path):
    folder = saved(tmp_path / "model", "bert", AutoModelForMaskedLM, **SIZES)
    edit(folder, is_decoder=True)
    with pytest.raises(ValueError, match="'bert' runs with a causal mask, and the task explains a masked word"):
        load(folder, MaskedWord())


def test_a_causal_model_of_any_type_predicts_the_next_word(tmp_path: Path):
    model = load(saved(tmp_path / "model", "gpt2", AutoModelForCausalLM, **GPT2), NEXT)
    assert model.causal
    assert model.longest == 40
    assert model.facts["model_type"] == "gpt2"


def test_a_model_in_memory_is_checked_too(tmp_path: Path):
    folder = saved(tmp_path / "model", "bert", AutoModelForMaskedLM, **SIZES)
    inner = AutoModelForMaskedLM.from_pretrained(folder).eval()
    with pytest.raises(ValueError, match="model type 'bert' is an encoder"):
        Pretrained.of(inner, load(folder, MaskedWord()).tokens, NEXT)


def test_a_real_causal_model_is_loaded_as_trained():
    model = load(smollm2(), NEXT)
    assert model.causal
    assert model.longest == 8192
    with pytest.raises(ValueError, match="model type 'llama' runs with a causal mask, and the task explains a class"):
        load(smollm2(), TEXTS)
