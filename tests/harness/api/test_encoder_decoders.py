"""A source and its target are explained from Python."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

import harness
from tests.tasks.two_sided_folders import SENTENCES, saved

pytestmark = pytest.mark.filterwarnings("ignore::harness.tracing.notices.Inexact")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("models") / "marian")


@pytest.fixture(scope="module")
def model(folder: Path) -> harness.Model:
    return harness.load(folder)


def pieces(model: harness.Model, text: str) -> list[str]:
    tokens = AutoTokenizer.from_pretrained(Path(model.facts["name"]))
    return tokens.convert_ids_to_tokens(tokens(text)["input_ids"])


def test_the_last_token_of_the_target_is_explained_unless_another_is_given(model: harness.Model):
    source, target = (pieces(model, text) for text in SENTENCES[0])
    scores = harness.explain(SENTENCES[0], model, "saliency")
    assert scores.tokens == [*source, "<pad>", *target[:-2]]
    assert scores.values.shape == (1, len(scores.tokens))
    first = harness.explain(SENTENCES[0], model, "saliency", position=0)
    assert first.tokens == [*source, "<pad>"]
    end = harness.explain(SENTENCES[0], model, "saliency", position=-1)
    assert end.tokens == [*source, "<pad>", *target[:-1]]


def test_what_is_explained_is_the_token_that_the_model_chooses_of_two(model: harness.Model):
    run = harness.trace([SENTENCES[0]], model)
    example = run.batch.examples[-2]
    candidates = model.tokens.convert_ids_to_tokens(list(example.candidates or ()))
    scores = harness.explain(SENTENCES[0], model, "saliency")
    assert scores.explained == candidates[int(run.logits[-2].argmax())]
    wanted = harness.explain(example, model, "saliency", target="predicted")
    assert wanted.tokens == scores.tokens
    assert wanted.explained == scores.explained


def test_every_token_of_several_targets_is_explained_in_an_evaluation(model: harness.Model):
    results = harness.evaluate(SENTENCES, model, ["random", "saliency"], ["input_gradient"])
    assert len(results.tables["examples"]) == sum(len(pieces(model, target)) for _, target in SENTENCES)
    assert results.tables["rows"]["rho"].notna().any()


def test_source_and_target_may_together_be_longer_than_the_model_takes(model: harness.Model):
    pair = (" ".join("!" * 30), " ".join("!" * 30))
    assert model.longest == 40
    results = harness.evaluate([pair], model, ["saliency"], ["input_gradient"])
    assert len(results.tables["examples"]) == 31


def test_a_model_in_memory_gives_the_same_logits(folder: Path, model: harness.Model):
    module = AutoModelForSeq2SeqLM.from_pretrained(folder, attn_implementation="eager").eval()
    inside = harness.load((module, AutoTokenizer.from_pretrained(folder)))
    assert torch.equal(harness.trace([SENTENCES[0]], inside).logits, harness.trace([SENTENCES[0]], model).logits)


def test_other_settings_are_those_of_the_task(folder: Path):
    task = harness.task("translation", pairs=[list(pair) for pair in SENTENCES], position=0, prefix="das")
    model = harness.load(folder, task)
    assert len(harness.trace(task, model).batch.examples) == 2


@pytest.mark.parametrize("text", ["das stimmt nicht !", ["das stimmt nicht !"], []])
def test_a_text_without_its_target_is_refused(model: harness.Model, text):
    with pytest.raises(ValueError, match=r"explained on a source and its target: give a pair of texts, \(source, targ"):
        harness.trace(text, model)


def test_two_words_are_no_choice_for_an_encoder_decoder(model: harness.Model):
    with pytest.raises(ValueError, match="words are those that a causal language model chooses between"):
        harness.explain(SENTENCES[0], model, "saliency", words=("is", "are"))


def test_a_tokenizer_with_tokens_that_the_model_lacks_is_refused(folder: Path):
    module = AutoModelForSeq2SeqLM.from_pretrained(folder, attn_implementation="eager").eval()
    module.resize_token_embeddings(20)
    inside = harness.load((module, AutoTokenizer.from_pretrained(folder)))
    with pytest.raises(ValueError, match="vocabulary ends at 19: model and tokenizer do not belong together"):
        harness.trace([SENTENCES[0]], inside)


@pytest.mark.parametrize("position", [None, "first", 1.0])
def test_the_one_explained_position_is_a_whole_number(model: harness.Model, position):
    with pytest.raises(ValueError, match="position is a whole number, the one token of the target to explain, got"):
        harness.explain(SENTENCES[0], model, "saliency", position=position)


def test_a_method_that_cannot_serve_the_model_is_refused_by_name(model: harness.Model):
    with pytest.raises(ValueError, match="layer_gradient_x_activation cannot serve this model: it has no form for enc"):
        harness.explain(SENTENCES[0], model, "layer_gradient_x_activation")


def test_labels_are_refused_for_an_encoder_decoder(model: harness.Model):
    with pytest.raises(ValueError, match="labels are the classes of texts, and an encoder-decoder writes a target"):
        harness.evaluate([SENTENCES[0]], model, ["saliency"], ["input_gradient"], labels=[0])


def test_flow_with_feedback_is_evaluated(model: harness.Model):
    results = harness.evaluate([SENTENCES[0]], model, [("flow", {"feedback": True})], ["input_gradient"])
    rows = results.tables["rows"]
    assert set(rows["status"]) <= {"ok", "constant scores"}
    assert rows["layer"].eq(0).all()
    assert rows["saturated"].isna().all()


@pytest.mark.parametrize("explainer", ["lime", "kernel_shap", "shapley_value_sampling", "occlusion"])
def test_the_start_token_stays_where_it_is_all_that_the_decoder_sees(model: harness.Model, explainer: str):
    """With removal=ignore, which is the default."""
    scores = harness.explain(SENTENCES[0], model, explainer, position=0)
    assert scores.tokens[-1] == "<pad>"
    assert np.isfinite(scores.values).all()
    assert np.abs(scores.values[0, :-2]).max() > 0
    assert scores.values[0, -1] == 0
