"""Folders of models that people have: odd ones are refused in a sentence, or served as they are meant."""

import json
import struct
from pathlib import Path

import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification

import harness
from harness.tracing.notices import Notice
from tasks.pretrained import Pretrained
from tasks.texts import Texts
from tests.architectures import SIZES
from tests.tasks.folders import add_weights, bert, edit, saved, tokenizer

pytestmark = pytest.mark.filterwarnings("ignore::harness.tracing.notices.Inexact")
LINES = ["a dull film", "moving and funny", "not very good", "really bad , and very very dull film"]
TEXTS = Texts(LINES)


def load(folder: Path, task: Texts = TEXTS):
    return Pretrained(path=str(folder))(task, lambda _done, _total, _note: None)


def evaluated(folder: Path, *explainers: str):
    return harness.evaluate(LINES, folder, explainers or ("random", "rollout", "saliency"), ("blank_out",), threads=1)


def statuses(folder: Path, *explainers: str) -> set[str]:
    return set(evaluated(folder, *explainers).tables["rows"]["status"])


def swapped(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"0": "LABEL_0"', '"2": "LABEL_2"'))


def header(folder: Path, text: bytes, length: int | None = None) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text) if length is None else length) + text)


REFUSED = {
    "regression": (lambda folder: edit(folder, problem_type="regression"), "the model's head is a regression"),
    "classes from 1": (
        lambda folder: edit(folder, id2label={"1": "a", "2": "b"}, label2id={"a": 1, "b": 2}),
        "id2label in config.json numbers the classes 1, 2, and the model numbers them 0 to 1",
    ),
    "fewer layers than weights": (
        lambda folder: edit(folder, num_hidden_layers=2),
        r"leaves unused \(bert.encoder.layer.2.attention",
    ),
    "LoRA": (
        lambda folder: add_weights(folder, bert__encoder__layer__0__lora_A__weight=torch.zeros(2, 32)),
        r"leaves unused \(bert.encoder.layer.0.lora_A.weight\)",
    ),
    "relative positions": (
        lambda folder: add_weights(
            folder, bert__encoder__layer__0__attention__self__distance_embedding__weight=torch.zeros(79, 8)
        ),
        "distance_embedding.weight",
    ),
    "code of its own": (
        lambda folder: edit(folder, model_type="mine", auto_map={"AutoConfig": "mine.Mine"}),
        "names code of its own",
    ),
    "no JSON": (lambda folder: (folder / "config.json").write_text("{"), "is no JSON"),
    "another JSON": (lambda folder: (folder / "config.json").write_text("[]"), "holds a list"),
    "a pickle": (
        lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
        "holds no safetensors weights",
    ),
    "a huge vocabulary": (lambda folder: edit(folder, vocab_size=10**9), "do not belong together: vocab_size is"),
    "huge layers": (lambda folder: edit(folder, hidden_size=10**6), "hidden size squared is 1000000000000"),
    "many layers": (lambda folder: edit(folder, num_hidden_layers=10**6), "layers is 1000000"),
    "a wide layer": (lambda folder: edit(folder, intermediate_size=10**6), "inner times hidden size"),
    "many classes": (lambda folder: edit(folder, num_labels=10**9), "num_labels is 1000000000"),
    "a huge header": (lambda folder: header(folder, b"{}", 2**62), "is damaged"),
    "a huge tensor": (
        lambda folder: header(
            folder, json.dumps({"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
        ),
        "is damaged",
    ),
    "truncated weights": (
        lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-99]),
        "is damaged",
    ),
    "no tokenizer": (
        lambda folder: [path.unlink() for path in folder.glob("token*")],
        "holds no tokenizer",
    ),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_an_odd_folder_is_refused_in_a_sentence(tmp_path: Path, name: str):
    spoil, sentence = REFUSED[name]
    folder = bert(tmp_path / "model")
    load(folder)
    spoil(folder)
    with pytest.raises((ValueError, OSError), match=sentence):
        load(folder)


def test_one_output_is_a_regression(tmp_path: Path):
    with pytest.raises(ValueError, match=r"the model's head is a regression \(problem_type None, 1 output\)"):
        load(bert(tmp_path / "model", num_labels=1))


def test_buffers_and_pretraining_heads_may_be_left_unused(tmp_path: Path):
    folder = bert(tmp_path / "model")
    add_weights(
        folder,
        bert__embeddings__position_ids=torch.arange(40)[None],
        cls__predictions__bias=torch.zeros(60),
        cls__seq_relationship__weight=torch.zeros(2, 32),
    )
    load(folder)


def test_tuples_instead_of_named_results_are_the_same_model(tmp_path: Path):
    folder = bert(tmp_path / "model")
    board = evaluated(folder).leaderboard()
    edit(folder, return_dict=False)
    pd.testing.assert_frame_equal(evaluated(folder).leaderboard(), board)
    module = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    with pytest.raises(ValueError, match=r"set model.config.return_dict = True"):
        harness.load((module, tokenizer()))


def test_a_tokenizer_with_more_words_than_the_model_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="the model's vocabulary ends at 8"):
        evaluated(saved(tmp_path / "model", **SIZES | {"num_labels": 2, "vocab_size": 9}))


def test_token_types_that_the_model_does_not_have_are_refused(tmp_path: Path):
    folder = bert(tmp_path / "model", type_vocab_size=1)
    with pytest.raises(ValueError, match="has tokens of type 1, and the model takes 1 type of tokens"):
        harness.evaluate([("a film", "not bad")], folder, ("rollout",), threads=1)


def test_token_types_are_left_out_where_the_model_takes_none(tmp_path: Path):
    options = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 40}
    folder = saved(tmp_path / "model", "distilbert", **options)
    rows = harness.evaluate([("a film", "not bad at all")], folder, ("rollout",), threads=1).tables["rows"]
    assert set(rows["status"]) == {"ok"}


def test_a_cls_token_that_only_the_tokenizer_knows_of_is_explained(tmp_path: Path):
    folder = bert(tmp_path / "model")
    board = evaluated(folder).leaderboard()
    path = folder / "tokenizer_config.json"
    settings = {key: value for key, value in json.loads(path.read_text()).items() if key != "cls_token"}
    path.write_text(json.dumps(settings))
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    assert load(folder).tokens.cls_token_id is None
    pd.testing.assert_frame_equal(evaluated(folder).leaderboard(), board)


WITHOUT_ATTENTION = {
    "fnet": (SIZES, "returns no attention weights"),
    "squeezebert": (SIZES | {"embedding_size": 32}, "differ from a sum of 1"),
}


@pytest.mark.parametrize("kind", list(WITHOUT_ATTENTION))
def test_a_type_without_attention_weights_is_served_by_other_methods(tmp_path: Path, kind: str):
    options, sentence = WITHOUT_ATTENTION[kind]
    folder = saved(tmp_path / "model", kind, **options | {"num_labels": 2, "num_hidden_layers": 2})
    results = evaluated(folder, "random", "rollout", "saliency", "occlusion")
    assert set(results.tables["rows"]["explainer"]) == {"random", "saliency", "occlusion"}
    assert "ok" in set(results.tables["rows"]["status"])
    assert "failed" not in set(results.tables["rows"]["status"])
    assert pd.Series(results.manifest.left_out["rollout"]).str.contains(sentence).all()
    with pytest.raises(ValueError, match=r"none of the explainers chosen can serve this model.*saliency,occlusion"):
        evaluated(folder, "rollout", "flow")


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        ("longformer", {"attention_window": 4, "sep_token_id": 3}, "embeds 8 tokens where the text has"),
        ("nystromformer", {"num_landmarks": 4, "segment_means_seq_len": 8}, "fails on input of shape"),
        ("gpt2", {"n_embd": 32, "n_layer": 2, "n_head": 4, "pad_token_id": 0}, "runs with a causal mask"),
        ("funnel", {"d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 48, "block_sizes": [1, 1]}, "attention|states"),
    ],
)
def test_a_type_that_cannot_be_served_is_refused_in_a_sentence(tmp_path: Path, kind: str, options, sentence: str):
    sizes = SIZES if "n_head" not in options else {"pad_token_id": 0}
    folder = saved(tmp_path / "model", kind, **sizes | options | {"num_labels": 2})
    with pytest.raises(ValueError, match=sentence):
        evaluated(folder, "rollout")


def test_big_bird_has_attention_weights_for_short_texts(tmp_path: Path):
    folder = saved(tmp_path / "model", "big_bird", **SIZES | {"num_labels": 2, "attention_type": "original_full"})
    assert statuses(folder) <= {"ok", "constant reference"}


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # ModernBERT under transformers 4
def test_a_head_of_several_positions_leaves_out_what_follows_one(tmp_path: Path):
    options = SIZES | {"classifier_pooling": "mean", "num_labels": 2, "cls_token_id": 2, "sep_token_id": 3}
    folder = saved(tmp_path / "model", "modernbert", **options | {"bos_token_id": 2, "eos_token_id": 3})
    results = evaluated(folder, "rollout", "generalized_attention_flow", "flow")
    assert list(results.manifest.left_out) == ["generalized_attention_flow"]
    assert any("the model's head reads several positions" in text for text in results.manifest.warnings)
    assert "failed" not in set(results.tables["rows"]["status"])


def test_multi_label_probabilities_are_sigmoids_and_nothing_is_right_or_wrong(tmp_path: Path):
    folder = bert(tmp_path / "model", problem_type="multi_label_classification")
    results = harness.evaluate(
        LINES, folder, ("rollout",), ("blank_out",), ("comprehensiveness",), labels=[0, 1, 0, 1], threads=1
    )
    examples = results.tables["examples"]
    logits = torch.tensor([list(row) for row in examples["logits"]])
    probabilities = torch.tensor([list(row) for row in examples["probabilities"]])
    assert torch.allclose(probabilities, logits.sigmoid())
    assert not results.manifest.exclusive_classes
    results.save(tmp_path / "run", figures=False)
    assert "the model is correct on" not in (tmp_path / "run" / "leaderboard.md").read_text()


def test_classes_that_are_called_differently_are_said(tmp_path: Path):
    folder = bert(tmp_path / "model", id2label={0: "toxic", 1: "fine"}, label2id={"toxic": 0, "fine": 1})
    with pytest.warns(Notice, match="the model calls its classes toxic, fine, the task calls them negative, positive"):
        load(folder, Texts(LINES, classes=["negative", "positive"]))


def test_fewer_right_than_by_chance_is_said_loudly(tmp_path: Path, capsys):
    folder = bert(tmp_path / "model")
    texts = [f"{one} {two} {three}" for one in ("a", "not") for two in ("dull", "good") for three in LINES]
    with torch.no_grad():
        model = harness.load(folder)
        logits = [model.module(**model.tokens(text, return_tensors="pt")).logits[0] for text in texts]
    wrong = [1 - int(row.argmax()) for row in logits]
    results = harness.evaluate(texts, folder, ("rollout",), labels=wrong, threads=1)
    sentence = "the model is right on 0 of 16 explained examples, significantly less than chance"
    assert any(sentence in text for text in results.manifest.warnings)
    assert sentence in " ".join(capsys.readouterr().err.split())


def test_the_tokenizers_files_are_part_of_the_models_identity(tmp_path: Path):
    folder = bert(tmp_path / "model")
    (folder / "vocab.txt").write_text("a\nb\n")
    before = load(folder).identity
    (folder / "vocab.txt").write_text("b\na\n")
    assert load(folder).identity != before
