"""Minimal pairs from tables, BLiMP's and IOI's among them."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from transformers import AutoTokenizer

from harness.contracts import Model
from harness.tracing.batch import collate
from tasks.minimal_pair import MinimalPair
from tasks.next_word.pairs import exchanged
from tasks.pretrained import Pretrained
from tests.conftest import shared, smollm2
from tests.tasks.test_contract import build

ROWS = [
    {"text": "The keys to the cabinet", "good": "are", "foil": "is", "evidence": "keys"},
    {"text": "The key to the cabinets", "good": "is", "foil": "are", "evidence": "key"},
]


@pytest.fixture(scope="module")
def tokenized() -> Model:
    """SmolLM2's tokenizer without a model."""
    tokens = AutoTokenizer.from_pretrained(shared("checkpoints", "smollm2-135m"), local_files_only=True)
    return Model(torch.nn.Identity(), tokens, "tokenizer")


def table(folder: Path, *rows: dict[str, Any], name: str = "pairs.csv") -> str:
    path = folder / name
    frame = pd.DataFrame(rows)
    if name.endswith(".parquet"):
        frame.to_parquet(path)
    elif name.endswith(".jsonl"):
        path.write_text("\n".join(json.dumps(row) for row in rows))
    else:
        frame.to_csv(path, index=False, sep="\t" if name.endswith(".tsv") else ",")
    return str(path)


def planted(example, model: Model, name: str = "evidence") -> list[str]:
    names = model.tokens.convert_ids_to_tokens(example.input_ids)
    return [names[index] for index in example.planted.get(name, [])]


@pytest.mark.parametrize("name", ["pairs.csv", "pairs.tsv", "pairs.jsonl", "pairs.parquet"])
def test_pairs_are_read_from_any_table(tmp_path: Path, tokenized: Model, name: str):
    task = MinimalPair(table(tmp_path, *ROWS, name=name))
    examples = task.examples(tokenized)
    assert sorted(planted(example, tokenized)[0] for example in examples) == ["Ġkey", "Ġkeys"]
    assert {example.gold for example in examples} == {0}
    assert task.classes == ("good", "foil")
    assert (task.head, task.output) == ("causal_lm", "logit_difference")
    assert task.facts == {
        "rows": 2, "evidence_not_found": 0, "evidence_several_times": 0, "repeats": 0, "with_counterfactual": 0
    }  # fmt: skip


def test_the_order_is_random_and_seeded_and_ids_depend_on_the_pair_alone(tmp_path: Path, tokenized: Model):
    rows = [ROWS[0] | {"text": f"The keys to cabinet {number}"} for number in range(20)]
    path = table(tmp_path, *rows)
    ids = [[example.id for example in MinimalPair(path, order_seed=seed).examples(tokenized)] for seed in (0, 0, 1)]
    assert ids[0] == ids[1]
    assert ids[0] != ids[2]
    assert sorted(ids[0]) == sorted(ids[2])
    assert MinimalPair(path).digest == MinimalPair(path).digest != MinimalPair(path, order_seed=1).digest
    assert MinimalPair(path).digest != MinimalPair(path, bos=True).digest


def test_repeated_rows_get_ids_of_their_own(tmp_path: Path, tokenized: Model):
    task = MinimalPair(table(tmp_path, ROWS[0], ROWS[0]))
    first, second = task.examples(tokenized)
    assert second.id == f"{first.id}-2"
    assert task.facts["repeats"] == 1


def test_evidence_may_be_several_words_or_unknown(tmp_path: Path, tokenized: Model):
    path = table(tmp_path, ROWS[0] | {"evidence": ["The", "keys"]}, ROWS[1] | {"evidence": None}, name="pairs.jsonl")
    by_length = sorted(MinimalPair(path).examples(tokenized), key=lambda example: len(example.planted))
    assert [planted(example, tokenized) for example in by_length] == [[], ["The", "Ġkeys"]]
    assert not MinimalPair(table(tmp_path, *ROWS), evidence=None).examples(tokenized)[0].planted


def test_a_counterfactual_column_gives_texts_to_swap_in(tmp_path: Path, tokenized: Model):
    rows = [ROWS[0] | {"other": ROWS[1]["text"]}, ROWS[1] | {"other": "Keys"}]
    task = MinimalPair(table(tmp_path, *rows), counterfactual="other")
    swaps = {len(example.swaps) for example in task.examples(tokenized)}
    assert swaps == {0, 1}
    assert task.facts["with_counterfactual"] == 1


def test_two_names_are_exchanged_wherever_they_stand():
    assert exchanged("Ann met Bo, and Bo told Ann", "Ann", "Bo") == "Bo met Ann, and Ann told Bo"
    assert exchanged("Annie met Bo", "Ann", "Bo") is None


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"foil": "are"}, {}, "row 1 of pairs: expected two different words that may come next, got 'are' and 'are'"),
        ({"evidence": "locks"}, {}, "row 1 of pairs: the evidence 'locks' does not stand in 'The keys"),
        ({"text": "The keys and keys"}, {}, "row 1 of pairs: the evidence 'keys' stands at characters 4 and 13"),
        ({"text": None}, {}, "row 1 of pairs, column 'text': expected a text, got none"),
        ({}, {"good": "right"}, "pairs has no column 'right'; its columns are text, good, foil, evidence"),
        ({"evidence": "locks"}, {"leave_out_unfound": True}, "none of its 1 rows has its evidence in its text"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, changes, options, message):
    with pytest.raises(ValueError, match=message):
        _ = MinimalPair(table(tmp_path, ROWS[0] | changes, name="pairs.jsonl"), **options).facts


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"occurrence": "second"}, "occurrence is one of None, first, last, all, got 'second'"),
        ({"subsets": "ioi"}, r"subsets are a list of names, got 'ioi': write task.subsets=\[ioi\]"),
        ({"exchange": True, "counterfactual": "other"}, "set only one"),
        ({"order_seed": -1}, "order_seed is a whole number"),
    ],
)
def test_wrong_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MinimalPair("pairs.csv", **options)


def test_places_without_data_are_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"no data are named: set task.path="):
        _ = MinimalPair().facts
    with pytest.raises(FileNotFoundError, match=r"found a folder: name its files with task.subsets=\[...\]"):
        _ = MinimalPair(str(tmp_path)).facts
    with pytest.raises(FileNotFoundError, match=r"expected a folder with a.csv, b.jsonl, found a folder without a.csv"):
        _ = MinimalPair(str(tmp_path), subsets=["a", "b.jsonl"]).facts
    (tmp_path / "pairs.txt").write_text("a")
    with pytest.raises(ValueError, match=r"expected a file that ends in \.csv"):
        _ = MinimalPair(str(tmp_path / "pairs.txt")).facts


def test_rows_that_the_tokenizer_cannot_tell_apart_are_left_out_and_counted(tmp_path: Path, tokenized: Model):
    alike = ROWS[0] | {"good": "is", "foil": "is not"}
    task = MinimalPair(table(tmp_path, ROWS[1], alike))
    assert len(task.examples(tokenized)) == 1
    assert task.facts["words_begin_alike"] == 1
    with pytest.raises(ValueError, match=r"no row of .* can be explained with this tokenizer: .*neither begins"):
        MinimalPair(table(tmp_path, alike)).examples(tokenized)


def test_blimp_reads_several_subsets_in_one_run(tokenized: Model):
    task = build("task", "blimp", f"task.path={shared('data', 'blimp_evidence')}")
    examples = task.examples(tokenized)
    facts = task.facts
    assert facts == {
        "rows": 6000, "evidence_not_found": 78, "evidence_several_times": 0, "repeats": 82,
        "words_begin_alike": 69, "with_counterfactual": 0,
    }  # fmt: skip
    assert len(examples) == 6000 - 78 - 69
    assert len(Counter(example.tags["subset"] for example in examples[:60])) == 6
    assert all(example.planted["evidence"] for example in examples)
    two = ["task.subsets=[anaphor_gender_agreement,distractor_agreement_relational_noun]"]
    task = build("task", "blimp", f"task.path={shared('data', 'blimp_evidence')}", *two)
    assert task.facts["rows"] == 2000
    assert {example.tags["subset"] for example in task.examples(tokenized)} == {
        "anaphor_gender_agreement", "distractor_agreement_relational_noun"
    }  # fmt: skip


def test_ioi_swaps_change_the_two_names_and_nothing_else(tokenized: Model):
    task = build("task", "ioi", f"task.path={shared('data', 'ioi', 'ioi.csv')}")
    examples = task.examples(tokenized)
    assert len(examples) == task.facts["rows"] == 500
    assert task.facts["with_counterfactual"] == sum(bool(example.swaps) for example in examples) == 204
    for example in examples:
        evidence, distractors = example.planted["evidence"], example.planted["distractors"]
        assert not {*evidence} & {*distractors}
        for swap in example.swaps:
            changed = [index for index, (a, b) in enumerate(zip(example.input_ids, swap, strict=True)) if a != b]
            assert {*changed} <= {*evidence, *distractors}
            assert {*changed} & {*evidence}
            assert {*changed} & {*distractors}


@pytest.mark.parametrize(("bos", "low", "high"), [("true", 0.8, 0.99), ("null", 0.9, 1.0)])
def test_a_real_model_prefers_the_indirect_object(bos: str, low: float, high: float):
    """Of the first 40; .92 with a start of text and .97 without on all 500 rows."""
    folder, data = smollm2(), shared("data", "ioi", "ioi.csv")
    task = build("task", "ioi", f"task.path={data}", f"task.bos={bos}")
    model = Pretrained(path=str(folder))(task, lambda done, total, note: None)
    assert model.causal
    right = []
    examples = task.examples(model)[:40]
    for start in range(0, 40, 10):
        batch = collate(examples[start : start + 10], "all", model.blank_ids)
        with torch.no_grad():
            right += (model.module(**batch.inputs).logits.argmax(dim=1) == batch.gold).tolist()
    assert low <= sum(right) / len(right) <= high
