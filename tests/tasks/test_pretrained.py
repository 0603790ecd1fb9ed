"""Checkpoints from folders and from the hub, and the errors for unsuitable ones."""

import json
import shutil
import socket
import time
from fnmatch import fnmatch

import pytest
import torch
from captum.attr import LayerIntegratedGradients
from transformers import AutoModelForSequenceClassification

from harness.tracing.batch import Role, collate
from harness.tracing.run import Trace
from methods.explainers.integrated_gradients import IntegratedGradients
from methods.references.blank_out import BlankOut
from tasks import hub
from tasks.classification import Classification
from tasks.pretrained import Pretrained
from tests.conftest import shared
from tests.test_contracts import IN_FILES, build, close

pytestmark = pytest.mark.filterwarnings("ignore::harness.tracing.notices.Inexact")
QUIET = {"shuffle": False, "labels": ["negative", "positive"], "text": "sentence"}


@pytest.fixture(scope="module")
def task() -> Classification:
    return Classification(path=str(shared("data", "sst2")), **QUIET)


@pytest.fixture(scope="module")
def sst2(task: Classification):
    path = str(shared("checkpoints", "distilbert-minilm-sst2"))
    return Pretrained(path=path)(task, lambda done, total, note: None)


@pytest.fixture(scope="module")
def examples(task: Classification, sst2):
    return sorted(task.examples(sst2)[:40], key=lambda example: len(example.input_ids))[:8:3]


@pytest.fixture
def trace(sst2, examples) -> Trace:
    return Trace(sst2.module, collate(examples, "all", sst2.blank_ids), output="logit")


def test_the_checkpoint_is_loaded_as_trained(task, sst2):
    assert sst2.identity.startswith("distilbert-minilm-sst2@")
    assert sst2.longest == 512
    assert {parameter.dtype for parameter in sst2.module.parameters()} == {torch.float32}
    chosen = task.examples(sst2)[:64]
    trace = Trace(sst2.module, collate(chosen, "all", sst2.blank_ids))
    plain = AutoModelForSequenceClassification.from_pretrained(
        shared("checkpoints", "distilbert-minilm-sst2"), dtype=torch.float32
    ).eval()
    encoded = sst2.tokens([row.text for row in task.rows[:64]], padding=True, return_tensors="pt")
    encoded.pop("token_type_ids", None)
    with torch.no_grad():
        logits = plain(**encoded).logits
    assert torch.allclose(trace.logits, logits, rtol=0, atol=1e-5)  # plain uses a different attention kernel
    assert (trace.predicted == trace.batch.gold).double().mean() > 0.8


def test_attention_is_the_softmax_of_queries_and_keys_by_hand(sst2, trace: Trace):
    states = {}
    layers = sst2.module.distilbert.transformer.layer
    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs, index=index: states.update({index: inputs[0]}))
        for index, layer in enumerate(layers)
    ]
    with torch.no_grad():
        sst2.module(**trace.batch.inputs)
    for hook in hooks:
        hook.remove()
    for index, layer in enumerate(layers):
        attention = layer.attention
        queries, keys = (
            project(states[index]).unflatten(-1, (12, 32)).transpose(1, 2)
            for project in (attention.q_lin, attention.k_lin)
        )  # [batch, head, token, 32]
        scores = queries @ keys.transpose(-1, -2) / 32**0.5
        scores = scores.masked_fill(trace.batch.attention_mask[:, None, None] == 0, -torch.inf)
        real = trace.batch.attention_mask[:, None, :, None]
        assert torch.allclose(trace.attention[:, index], scores.softmax(dim=-1) * real, atol=1e-6)
        assert torch.allclose(trace.hidden[:, index], states[index], atol=1e-6)


def test_integrated_gradients_equal_captums_at_the_embedding_layer(sst2, trace: Trace):
    """Captum replaces the layer's output itself: this path uses none of our code."""
    index = torch.arange(len(trace.logits))
    ours = IntegratedGradients(steps=8).attribute(trace)
    blank = trace.batch.input_ids.clone()
    blank[trace.batch.role == Role.CONTENT] = sst2.tokens.unk_token_id

    def logit(ids, mask):
        chosen = index.repeat(len(ids) // len(index))
        return sst2.module(input_ids=ids, attention_mask=mask).logits.gather(1, trace.target[chosen, None])[:, 0]

    theirs = LayerIntegratedGradients(logit, sst2.module.get_input_embeddings()).attribute(
        trace.batch.input_ids, blank, additional_forward_args=(trace.batch.attention_mask,), n_steps=8
    )
    assert torch.allclose(ours.float(), theirs, rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def alone_and_together(sst2, examples) -> tuple[Trace, Trace]:
    """A sentence on its own and next to a longer one; what methods share is computed once for all of them."""
    short, longer = sorted(examples, key=lambda example: len(example.input_ids))[:2]
    assert len(short.input_ids) < len(longer.input_ids)
    return (
        Trace(sst2.module, collate([short], "all", sst2.blank_ids)),
        Trace(sst2.module, collate([short, longer], "all", sst2.blank_ids)),
    )


@IN_FILES
def test_every_method_gives_a_real_sentence_the_same_scores_alone_and_among_others(group, name, alone_and_together):
    method = build(group, name)
    alone, together = (method(trace) for trace in alone_and_together)
    assert close(alone[0], together[0][..., : alone.shape[-1]])


def test_padding_in_blank_out_is_at_most_a_tenth(task, sst2):
    """A tenth of all tokens that re-runs of a full batch pass to the model."""
    chosen = sorted(task.examples(sst2)[:90], key=lambda example: len(example.input_ids))[30:60]
    trace = Trace(sst2.module, collate(chosen, "all", sst2.blank_ids), token_budget=1024)
    seen = []
    hook = sst2.module.register_forward_pre_hook(
        lambda _, __, inputs: seen.append(inputs["attention_mask"]), with_kwargs=True
    )
    BlankOut()(trace)
    hook.remove()
    handed, needed = sum(mask.numel() for mask in seen), sum(int(mask.sum()) for mask in seen)
    assert needed == sum(len(example.input_ids) ** 2 for example in chosen)
    assert 1 - needed / handed <= 0.1


def test_a_folder_that_is_not_a_model_says_what_is_expected(tmp_path, task):
    def load(path):
        return Pretrained(path=str(path))(task, lambda done, total, note: None)

    with pytest.raises(FileNotFoundError, match=r"holds no config.json: expected the folder of a transformers model"):
        load(tmp_path)
    source = shared("checkpoints", "distilbert-minilm-sst2")
    broken = tmp_path / "broken"
    shutil.copytree(source, broken, copy_function=shutil.copy)
    for path in [broken, *broken.iterdir()]:
        path.chmod(0o755)
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        load(broken)
    (broken / "model.safetensors").unlink()
    (broken / "pytorch_model.bin").write_bytes(b"pickled")
    with pytest.raises(FileNotFoundError, match="no safetensors weights, and weights in other formats can run code"):
        load(broken)


def test_a_randomly_initialised_head_is_refused(tmp_path, task):
    """A masked-LM checkpoint loads as a classifier without complaint, but its head is random."""
    source = shared("checkpoints", "bert-minilm-mlm")
    with pytest.raises(ValueError, match=r"has no weights of the right shape for .*classifier.*random numbers"):
        Pretrained(path=str(source))(task, lambda done, total, note: None)


def test_without_a_name_or_path_the_error_says_what_to_set(task):
    with pytest.raises(ValueError, match=r"set model.name=<owner/name> or model.path=<folder>"):
        Pretrained()(task, lambda done, total, note: None)


@pytest.fixture
def cut_off(monkeypatch, tmp_path):
    """No network and an empty cache."""

    def refuse(*_args, **_options):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))


@pytest.mark.usefixtures("cut_off")
def test_without_a_network_the_remedies_are_named_at_once():
    start = time.monotonic()
    with pytest.raises(OSError, match=r"model\.path=<folder>.*fill the cache.*HF_HUB_OFFLINE=1"):
        hub.model_folder("google-bert/bert-base-uncased", "86b5e0934494bd15c9632b12f734a8a67f723594")
    with pytest.raises(OSError, match=r"task\.path=<file or folder>.*fill the cache.*HF_HUB_OFFLINE=1"):
        hub.data("nyu-mll/glue", "sst2", "validation", None)
    assert time.monotonic() - start < 20  # the libraries' own retries take half a minute each


@pytest.mark.parametrize(
    "name", ["source.spm", "target.spm", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "merges.txt"]
)
def test_the_files_of_every_tokenizer_are_fetched(name: str):
    assert any(fnmatch(name, pattern) for pattern in hub.NEEDED)


@pytest.mark.usefixtures("cut_off")
def test_a_model_in_the_cache_needs_no_network(tmp_path, task):
    source = shared("checkpoints", "distilbert-minilm-sst2")
    commit = "0" * 40
    cached = tmp_path / "models--owner--name"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(commit)
    shutil.copytree(source, cached / "snapshots" / commit)
    for revision in (None, commit):
        model = Pretrained(name="owner/name", revision=revision)(task, lambda done, total, note: None)
        assert model.identity == f"owner/name@{commit}"
        assert json.loads((hub.model_folder("owner/name", revision) / "config.json").read_text())["dim"] == 384
