"""An encoder for the next word, or a causal model for a masked word or a class, is refused in a sentence."""

from pathlib import Path
from typing import Any

import pytest
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
)

from harness.contracts import Task
from harness.tracing.batch import collate
from harness.tracing.run import Trace
from tasks.continuation import Continuation
from tasks.masked_word import MaskedWord
from tasks.model_types import check_sides, check_type
from tasks.pretrained import Pretrained
from tasks.texts import Texts
from tasks.translation import Translation
from tests.architectures import SIZES
from tests.conftest import shared, smollm2
from tests.tasks.folders import edit, saved
from tests.tasks.test_agreement_transformer import quiet
from tests.tasks.two_sided_folders import saved as saved_pair

NEXT = Continuation(["The keys to the cabinet"], ["are", "is"])
TEXTS = Texts(["a dull film"])
PAIRS = Translation(pairs=[("das stimmt nicht !", "that is not true !")])
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


def test_an_encoder_decoder_is_no_encoder():
    for task, what in ((MaskedWord(), "a masked word of an encoder"), (TEXTS, "a class that an encoder reads at CLS")):
        with pytest.raises(
            ValueError, match=f"'marian' is an encoder-decoder, and the task explains {what}: choose an"
        ):
            load(shared("checkpoints", "annalog-marian"), task)


def test_a_model_of_one_text_writes_no_target(tmp_path: Path):
    folder = saved(tmp_path / "lm", "gpt2", AutoModelForCausalLM, **GPT2)
    with pytest.raises(ValueError, match=r"'gpt2' is a causal language model, and the task explains what .*=minimal_p"):
        load(folder, PAIRS)
    folder = saved(tmp_path / "classifier", "bert", **SIZES)
    with pytest.raises(ValueError, match=r"'bert' is an encoder, and the task explains what .* such as Marian, BART"):
        load(folder, PAIRS)


@pytest.mark.parametrize(
    "kind",
    ["whisper", "speech_to_text", "speecht5", "moonshine", "seamless_m4t", "seamless_m4t_v2", "pix2struct", "udop"],
)
def test_an_encoder_decoder_that_does_not_read_text_alone_is_refused(kind: str):
    with pytest.raises(ValueError, match=f"'{kind}' is an encoder-decoder that does not read text alone"):
        check_type(AutoConfig.for_model(kind, is_encoder_decoder=True), "seq2seq_lm")


@pytest.mark.parametrize(
    "kind", ["fsmt", "led", "longt5", "nllb-moe", "pegasus_x", "prophetnet", "switch_transformers"]
)
def test_an_encoder_decoder_that_attends_otherwise_is_refused_by_name(kind: str):
    with pytest.raises(ValueError, match=f"model type '{kind}' .*, and Assay explains encoder-decoders whose tokens"):
        check_type(AutoConfig.for_model(kind), "seq2seq_lm")


def test_an_encoder_decoder_whose_word_embeddings_are_not_found_is_refused():
    half = {"model_type": "bert", **SIZES, "num_hidden_layers": 1}
    whole = AutoConfig.for_model("encoder-decoder", encoder=half, decoder=half | {"is_decoder": True})
    check_type(whole, "seq2seq_lm")
    module = AutoModelForSeq2SeqLM.from_config(whole)
    with pytest.raises(
        ValueError, match=r"'encoder-decoder': its encoder has no word embeddings .*embed_tokens.* and no"
    ):
        check_sides(module)


@pytest.mark.parametrize("kind", ["bart", "mvp", "plbart", "blenderbot", "umt5"])
def test_other_encoder_decoders_over_text_are_served(tmp_path: Path, kind: str):
    """The last four have no description of their own: methods that need only attention and gradients serve them."""
    more = {"num_layers": 2, "num_decoder_layers": 2, "num_heads": 2, "d_kv": 8, "d_ff": 24} if kind == "umt5" else {}
    model = load(saved_pair(tmp_path / "model", kind, **more), PAIRS)
    examples = PAIRS.examples(model)
    trace = Trace(model.module, collate(examples[:3], "content", model.blank_ids), output="logit_difference")
    assert trace.attention.shape[1] == 2 + 2 * 2
    assert (trace.gradient.abs().sum(dim=-1)[trace.batch.ranked] > 0).all()


def test_the_head_of_a_checkpoint_is_known_from_its_class():
    saved_head = Pretrained.saved_head
    assert saved_head(["MarianMTModel"]) == saved_head(["T5ForConditionalGeneration"]) == "seq2seq_lm"
    assert saved_head(["LlamaForCausalLM"]) == "causal_lm"
    assert saved_head(["WhisperForConditionalGeneration"]) == saved_head([]) == "classification"


def test_weights_of_a_decoder_that_the_model_leaves_unused_are_refused(tmp_path: Path):
    """An encoder's file may hold pretraining's decoder; of an encoder-decoder, it is a layer that would be left out."""
    folder = saved_pair(tmp_path / "model", "t5")
    edit(folder, num_decoder_layers=1)
    with pytest.raises(ValueError, match=r"leaves unused \(decoder\.block\.1\."):
        load(folder, PAIRS)


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
