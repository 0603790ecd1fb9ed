"""Copies by a real model of molecules, and by a tiny one in a folder."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from harness.contracts import Model
from harness.tracing.batch import Example, collate
from harness.tracing.run import Trace
from tasks.copying import Copying
from tasks.pretrained import Pretrained
from tests.conftest import shared
from tests.tasks.test_agreement_transformer import quiet
from tests.tasks.two_sided_folders import saved, sides_of

TEXTS = ["das stimmt nicht !", "herr kommissar , danke ."]


@pytest.fixture(scope="module")
def molecules() -> Copying:
    return Copying(path=str(shared("checkpoints", "annalog-marian", "molecules.txt")))


@pytest.fixture(scope="module")
def annalog(molecules: Copying) -> Model:
    return Pretrained(path=str(shared("checkpoints", "annalog-marian")))(molecules, quiet)


@pytest.fixture(scope="module")
def examples(molecules: Copying, annalog: Model) -> list[Example]:
    return molecules.examples(annalog)


def test_each_token_of_a_copy_is_aligned_with_the_same_token_of_the_source(annalog: Model, examples: list[Example]):
    assert len(examples) == 342
    for example in examples:
        wanted = annalog.tokens.convert_ids_to_tokens([example.candidates[0]])[0]
        if sides_of(example).next_word < 0:
            assert wanted == "<eos>"
            assert "aligned" not in example.planted
            continue
        (aligned,) = example.planted["aligned"]
        assert example.input_ids[aligned] == example.candidates[0]
        assert aligned - 1 == example.tags["target_position"]  # after <sos>
        assert sorted(sides_of(example).sure) == [(word, word) for word in range(sides_of(example).source - 2)]


def test_the_prefix_begins_with_the_start_token_once(annalog: Model, examples: list[Example]):
    """The tokenizer writes <sos> itself, and the model starts from it."""
    for example in examples:
        prefix = annalog.tokens.convert_ids_to_tokens(list(example.input_ids[sides_of(example).source :]))
        source = annalog.tokens.convert_ids_to_tokens(list(example.input_ids[: sides_of(example).source]))
        assert (source[0], source[-1]) == ("<sos>", "<eos>")
        assert prefix == source[: len(prefix)]
        assert prefix.count("<sos>") == 1


def test_the_copied_token_is_the_models_first_choice_nearly_always(annalog: Model, examples: list[Example]):
    last = {
        example.cluster: example for example in examples
    }  # whose prefix is the whole copy, which is read in one run
    right: list[bool] = []
    shares: list[float] = []
    for example in last.values():
        source, prefix = example.input_ids[: sides_of(example).source], example.input_ids[sides_of(example).source :]
        with torch.no_grad():
            output = annalog.module.inner(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([prefix]))
        for wanted, logits in zip([*prefix[1:], example.candidates[0]], output.logits[0], strict=True):
            right.append(int(logits.argmax()) == wanted)
            shares.append(float(logits.softmax(dim=-1)[wanted]))
    assert len(right) == len(examples)
    assert sum(right) / len(right) > 0.97
    assert 0.85 < sum(shares) / len(shares) < 0.9


def test_the_logit_difference_is_large_where_the_model_copies(annalog: Model, examples: list[Example]):
    trace = Trace(annalog.module, collate(examples[:40], "content", annalog.blank_ids), output="logit_difference")
    assert (trace.predicted == 0).double().mean() > 0.9


def test_texts_keep_their_order_and_a_files_come_at_random(tmp_path: Path):
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(f"das {number}" for number in range(20)) + "\n\n")
    assert Copying(texts=TEXTS)._texts == TEXTS
    order = Copying(path=str(file))._texts
    assert len(order) == 20
    assert order != sorted(order, key=lambda text: int(text.split()[1]))
    assert order != Copying(path=str(file), order_seed=1)._texts
    assert Copying(path=str(file)).digest != Copying(path=str(file), order_seed=1).digest


def test_words_of_several_pieces_are_aligned_piece_by_piece(tmp_path: Path):
    task = Copying(texts=[*TEXTS, TEXTS[0]], position=1)
    model = Pretrained(path=str(saved(tmp_path / "model")))(task, quiet)
    first, _, third = task.examples(model)
    assert first.planted == {"aligned": [1]}
    assert third.cluster == f"{first.cluster}-2"
    assert task.facts == {"texts": 3, "repeats": 1, "other_tokens_as_target": 0, "unmatched": 0, "too_long": 0}


def test_texts_that_cannot_be_copied_are_counted(tmp_path: Path):
    task = Copying(texts=["das " * 60, TEXTS[0]])
    model = Pretrained(path=str(saved(tmp_path / "model")))(task, quiet)
    assert len({example.cluster for example in task.examples(model)}) == 1
    assert task.facts["too_long"] == 1
    with pytest.raises(ValueError, match=r"no text can be copied with this model \(.*too long: 1\): give others"):
        Copying(texts=["das " * 60]).examples(model)


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({}, ValueError, r"no texts are given: set task\.path=<file>"),
        ({"texts": "CC"}, ValueError, "texts are a list of texts, got the text 'CC'"),
        ({"texts": ["CC"], "path": "file"}, ValueError, "texts are given, and path=file names others"),
        (
            {"texts": ["CC"], "position": 1.5},
            ValueError,
            "position is a whole number, or null for all of them, got 1.5",
        ),
        ({"path": "absent.txt"}, FileNotFoundError, r"absent\.txt: expected a file with a text a line, found none"),
    ],
)
def test_what_is_missing_or_wrong_is_said(settings, kind, message):
    with pytest.raises(kind, match=message):
        Copying(**settings).digest  # noqa: B018


def test_a_run_from_the_command_line_finds_the_copied_token(assay: Callable):
    folder = shared("checkpoints", "annalog-marian")
    status, printed, errors = assay(
        "task=copying", f"task.path={folder / 'molecules.txt'}", f"model.path={folder}", "limit=30", "task.position=4",
        "explainers=[random,position,attention]", "references=[blank_out]",
        "metrics=[planted_precision_at_1]", "figures=false", "threads=1",
    )  # fmt: skip
    assert status == 0, errors
    assert "the model is correct on 15 of 15 explained examples" in printed
    assert len(pd.read_parquet("run/examples.parquet")) == 15
    metrics = pd.read_parquet("run/metrics.parquet")
    hits = metrics[(metrics["explainer"] == "attention") & (metrics["metric"] == "planted_precision_at_1")]
    assert hits[hits["layer"] == 3]["value"].mean() > 0.9  # the last cross-attention reads the token that is copied
