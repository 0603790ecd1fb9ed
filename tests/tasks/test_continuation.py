"""Prompts on the command line or in a file."""

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from harness.contracts import Model
from harness.tables import NO_GOLD
from tasks.continuation import Continuation
from tests.conftest import shared, smollm2
from tests.tasks.test_contract import build

KEYS = "The keys to the cabinet"


@pytest.fixture(scope="module")
def tokenized() -> Model:
    tokens = AutoTokenizer.from_pretrained(shared("checkpoints", "smollm2-135m"), local_files_only=True)
    return Model(torch.nn.Identity(), tokens, "tokenizer")


def chosen(task: Continuation, model: Model) -> list[list[str]]:
    return [model.tokens.convert_ids_to_tokens(example.candidates or []) for example in task.examples(model)]


def test_two_words_serve_all_prompts_or_each_has_its_own(tokenized: Model):
    task = build("task", "continuation", f'task.prompts=["{KEYS}","The key"]', "task.words=[are,is]")
    assert chosen(task, tokenized) == [["Ġare", "Ġis"]] * 2
    assert task.classes == ("are", "is")
    assert {example.gold for example in task.examples(tokenized)} == {NO_GOLD}
    each = build("task", "continuation", f'task.prompts=["{KEYS}","Ann saw"]', "task.words=[[are,is],[her,him]]")
    assert chosen(each, tokenized) == [["Ġare", "Ġis"], ["Ġher", "Ġhim"]]
    assert each.classes == ("word", "foil")


def test_prompts_keep_their_order_and_repeats_get_ids_of_their_own(tokenized: Model):
    task = Continuation([KEYS, "The key", KEYS], ["are", "is"])
    first, second, third = task.examples(tokenized)
    assert third.id == f"{first.id}-2"
    assert len(second.input_ids) == 2
    assert task.facts == {"prompts": 3, "repeats": 1}
    assert task.digest != Continuation([KEYS, KEYS, "The key"], ["are", "is"]).digest


def test_prompts_come_from_a_file_of_lines_or_a_table(tmp_path: Path, tokenized: Model):
    lines = tmp_path / "prompts.txt"
    lines.write_text(f"{KEYS}\n\nThe key\n")
    assert chosen(Continuation(words=["are", "is"], path=str(lines)), tokenized) == [["Ġare", "Ġis"]] * 2
    table = tmp_path / "prompts.csv"
    table.write_text(f"prompt,word,foil\n{KEYS},are,is\nAnn saw,her,him\n")
    assert chosen(Continuation(path=str(table), text="prompt"), tokenized) == [["Ġare", "Ġis"], ["Ġher", "Ġhim"]]
    assert chosen(Continuation(path=str(table), text="prompt", words=["a", "b"]), tokenized) == [["Ġa", "Ġb"]] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words": ["are", "is"]}, "no prompts are given: set 'task.prompts="),
        ({"prompts": KEYS}, "prompts are a list of texts, got the text 'The keys"),
        ({"prompts": [KEYS]}, r"words are two, e.g. task.words=\[are,is\], or two for each of the 1 prompts, got \[\]"),
        ({"prompts": [KEYS], "words": "are"}, "words are two"),
        ({"prompts": [KEYS], "words": [["are", "is"], ["a", "b"]]}, "two for each of the 1 prompts"),
        ({"prompts": [KEYS], "words": ["are", "is", "be"]}, "words are two"),
        ({"prompts": [KEYS], "path": "prompts.txt"}, "prompts are given, and path=prompts.txt names others"),
        ({"prompts": [KEYS], "words": ["is", "is not"]}, "neither begins with the other"),
        ({"prompts": [KEYS], "words": ["is", "is"]}, "expected two different words"),
    ],
)
def test_what_is_missing_or_wrong_is_said(tokenized: Model, options, message):
    with pytest.raises(ValueError, match=message):
        Continuation(**options).examples(tokenized)


def test_a_real_models_run_from_the_command_line(assay):
    """The model's own choice is explained, and it is right here."""
    status, printed, errors = assay(
        "task=continuation", f'task.prompts=["{KEYS}"]', "task.words=[are,is]", f"model.path={smollm2()}",
        "explainers=[random,position,saliency]", "references=[input_gradient]", "figures=false", "threads=1",
    )  # fmt: skip
    assert status == 0, errors
    assert "saliency" in printed
