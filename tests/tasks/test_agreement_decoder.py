"""Decoders for the agreement task: transformers' own models, trained on the encoder's sentences."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import GPT2LMHeadModel, LlamaForCausalLM

from harness.contracts import Model
from harness.tracing.batch import Role, collate
from harness.tracing.run import Trace
from tasks.agreement.agreement import NUMBERS, Agreement, number_ids
from tasks.agreement.agreement_transformer import AgreementTransformer
from tasks.agreement.training import Training
from tasks.small_decoder import DecoderSizes, small_decoder
from tasks.word_choice_model import WordChoiceModel
from tests.tasks.test_agreement_transformer import quiet
from tests.tasks.test_contract import build, obeys

CLASSES = {"gpt2": GPT2LMHeadModel, "llama": LlamaForCausalLM}


@pytest.fixture(scope="module", params=CLASSES)
def decoder(request: pytest.FixtureRequest, task: Agreement, source: AgreementTransformer, _one_cache: None) -> Model:
    return replace(source, kind=request.param, threads=1)(task, quiet)


def test_a_decoder_learns_agreement(decoder: Model):
    assert decoder.facts["accuracy"] > 0.8
    assert decoder.longest == 64
    assert decoder.causal


def test_it_is_transformers_own_model(decoder: Model):
    kind = decoder.identity.partition("@")[0].removeprefix("agreement_")
    assert isinstance(decoder.module, WordChoiceModel)
    assert type(decoder.module.inner) is CLASSES[kind]
    assert decoder.module.inner.lm_head.weight is not decoder.module.get_input_embeddings().weight


def test_its_examples_are_the_encoders_up_to_the_last_word(decoder: Model, model: Model, task: Agreement):
    obeys(task, decoder)
    for own, encoders in zip(task.examples(decoder), task.examples(model), strict=True):
        assert own.input_ids == encoders.input_ids[:-1]
        assert (own.id, own.gold, own.planted, own.tags) == (
            *(encoders.id, encoders.gold),
            *(encoders.planted, encoders.tags),
        )
        assert own.roles == [Role.CLS, *[Role.CONTENT] * (len(own.input_ids) - 2), Role.PREDICTS]
        assert own.position == len(own.input_ids) - 1
        assert decoder.tokens.convert_ids_to_tokens(own.candidates or []) == [*NUMBERS]
        assert encoders.candidates is None


def test_its_predictions_are_those_that_its_accuracy_counts(decoder: Model, task: Agreement):
    chosen = task.examples(decoder)
    right = 0
    for example in chosen[:100]:
        batch = collate([example], "all", decoder.blank_ids)
        with torch.no_grad():
            right += int(decoder.module(**batch.inputs).logits.argmax()) == example.gold
    assert right / 100 == pytest.approx(decoder.facts["accuracy"], abs=0.1)


def test_a_trace_of_it_sees_earlier_tokens_only(decoder: Model, task: Agreement):
    chosen = sorted(task.examples(decoder)[:30], key=lambda example: len(example.input_ids))[::10]
    trace = Trace(decoder.module, collate(chosen, "content", decoder.blank_ids))
    assert trace.causal
    assert not trace.attention.triu(1).any()
    assert not (trace.batch.ranked & (trace.batch.role != Role.CONTENT)).any()


def test_the_key_depends_on_the_kind():
    task, encoder = Agreement(), AgreementTransformer()
    assert len({replace(encoder, kind=kind).key(task) for kind in ("encoder", *CLASSES)}) == 3


def test_the_published_sizes(decoder: Model):
    gpt2, llama = (small_decoder(DecoderSizes(kind, 30)).config for kind in CLASSES)
    assert (gpt2.n_layer, gpt2.n_head, gpt2.n_embd, gpt2.activation_function) == (6, 8, 128, "gelu_pytorch_tanh")
    assert (llama.num_hidden_layers, llama.num_attention_heads, llama.num_key_value_heads) == (6, 8, 4)
    assert (llama.hidden_size, llama.intermediate_size) == (128, 344)
    assert build("model", "agreement_decoder").kind == "gpt2"
    assert build("model", "agreement_llama") == replace(build("model", "agreement_decoder"), kind="llama")


def test_a_decoder_reads_neither_number(decoder: Model, task: Agreement):
    ids = {*number_ids(decoder.tokens)}  # type: ignore[arg-type]
    assert len(ids) == 2
    assert not any(ids & {*example.input_ids} for example in task.examples(decoder))


def test_a_folder_of_a_decoder_is_loaded_by_path(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    few = Agreement(grammar=replace(Agreement().grammar, train=200, validation=20, test=20, max_attractors=2))
    tiny = AgreementTransformer(kind="llama", layers=1, heads=2, hidden=16, training=Training(epochs=1, batch=32))
    trained = tiny(few, quiet)
    folder = tmp_path / "models" / tiny.key(few)
    assert AgreementTransformer(path=str(folder))(few, quiet).identity == trained.identity


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "gpt3"}, "kind is one of encoder, gpt2, llama, got 'gpt3'; did you mean gpt2"),
        ({"kind": "gpt2", "training": Training(reconstruct=0.5)}, "set model.training.reconstruct=0"),
    ],
)
def test_a_wrong_kind_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        AgreementTransformer(**options)


def test_dropouts_that_a_llama_does_not_have_are_refused():
    with pytest.raises(ValueError, match="a Llama has no residual_dropout and no embedding_dropout"):
        DecoderSizes("llama", 30, residual_dropout=0.1)
