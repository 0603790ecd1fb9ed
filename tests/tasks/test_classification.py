"""Texts and their classes, from tables in any format and from the real SST-2."""

import gzip
import json
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from transformers import AutoTokenizer

from harness.contracts import Model
from harness.tables import NO_GOLD
from harness.tracing.batch import Role
from tasks.classification import Classification
from tests.conftest import shared

ROWS = [("good film", "pos"), ('a "quoted" word', "neg"), ("null", "pos"), ("comma, tab and 1", "neg")]
LABELS = ["negative", "positive"]


def classification(path, **options) -> Classification:
    return Classification(labels=LABELS, values=["neg", "pos"], path=str(path), shuffle=False, **options)


def written(folder, kind: str):
    frame = pd.DataFrame(ROWS, columns=["text", "label"])
    path = folder / f"validation.{kind}"
    if kind.startswith("csv"):
        frame.to_csv(path, index=False)
    elif kind.startswith("tsv"):
        text = "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in ROWS)
        path.write_bytes(gzip.compress(text.encode()) if kind.endswith("gz") else text.encode())
    elif kind == "jsonl":
        path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in ROWS))
    else:
        frame.to_parquet(path)
    return path


@pytest.fixture
def words() -> Model:
    folder = shared("checkpoints", "distilbert-minilm-sst2")
    return Model(torch.nn.Identity(), AutoTokenizer.from_pretrained(folder), "none", 512)


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "tsv", "tsv.gz", "jsonl", "parquet"])
def test_every_table_format_gives_the_same_rows(tmp_path, kind: str):
    path = written(tmp_path, kind)
    for where in (path, tmp_path):  # the file, or the folder that holds it
        task = classification(where)
        assert [row.text for row in task.rows] == [text for text, _ in ROWS]
        assert [row.gold for row in task.rows] == [1, 0, 1, 0]
    assert task.facts == {"rows": 4, "repeats": 0, "positive": 2, "negative": 2}


def test_a_splits_file_may_have_any_of_the_usual_names(tmp_path):
    written(tmp_path, "tsv").rename(tmp_path / "dev.tsv")
    assert len(classification(tmp_path).rows) == 4
    with pytest.raises(ValueError, match=r"expected one file for the train split .* found none among dev.tsv"):
        _ = classification(tmp_path, split="train").rows
    written(tmp_path, "csv")
    with pytest.raises(ValueError, match=r"found several \(dev.tsv, validation.csv\)"):
        _ = classification(tmp_path).rows


def test_bad_tables_say_what_to_do(tmp_path):
    path = written(tmp_path, "tsv")
    with pytest.raises(ValueError, match=r"no column 'words'; its columns are text, label: set task.text"):
        _ = classification(path, text="words").rows
    with pytest.raises(ValueError, match=r"row 1 .* expected one of \['neg', 'good'\], got 'pos': set task.values"):
        _ = replace(classification(path), values=["neg", "good"]).rows
    with pytest.raises(ValueError, match=r"task.label=null where the data have no labels"):
        _ = classification(path, label="answer").rows
    path.write_text("text\tlabel\nok\tpos\nbroken\tpos\tmore\tfields\n")
    with pytest.raises(
        ValueError, match=r"validation.tsv cannot be read as tsv \(row 2, line 3\): expected 2 fields.*got 4"
    ):
        _ = classification(path).rows
    path.write_text("")
    with pytest.raises(ValueError, match="is empty"):
        _ = classification(path).rows
    path.write_text("text\tlabel\n")
    with pytest.raises(ValueError, match="has no rows"):
        _ = classification(path).rows
    with pytest.raises(FileNotFoundError, match=r"set task.path to one that exists"):
        _ = classification(tmp_path / "absent").rows
    (tmp_path / "x.txt").write_text("a")
    with pytest.raises(ValueError, match=r"a file that ends in \.csv"):
        _ = classification(tmp_path / "x.txt").rows
    with pytest.raises(ValueError, match=r"set task.path=.* or task.name="):
        _ = Classification(labels=LABELS).rows
    with pytest.raises(ValueError, match="two or more classes, all different"):
        Classification(labels=["one", "one"])


def test_without_labels_there_is_no_gold_class(tmp_path):
    task = classification(written(tmp_path, "tsv"), label=None)
    assert {row.gold for row in task.rows} == {NO_GOLD}


def test_repeated_texts_have_their_own_ids_and_ids_do_not_depend_on_the_order(tmp_path, words: Model):
    path = tmp_path / "validation.tsv"
    path.write_text("text\tlabel\nsame\tpos\nother\tneg\nsame\tpos\n")
    ids = [example.id for example in classification(path).examples(words)]
    assert len(set(ids)) == 3
    assert ids[2] == f"{ids[0]}-2"
    path.write_text("text\tlabel\nother\tneg\nsame\tpos\nsame\tpos\n")
    assert {example.id for example in classification(path).examples(words)} == set(ids)


def test_special_tokens_are_distinguished_from_text(tmp_path, words: Model):
    path = tmp_path / "validation.tsv"
    path.write_text("text\tsecond\tlabel\na good \u2603 film\tit is\tpos\n")
    (single,) = classification(path).examples(words)
    assert single.roles == [Role.CLS, *[Role.CONTENT] * 4, Role.FINAL]  # the unknown token is text
    assert single.input_ids[3] == words.tokens.unk_token_id
    (pair,) = classification(path, pair="second").examples(words)
    assert pair.roles == [Role.CLS, *[Role.CONTENT] * 4, Role.SEPARATOR, *[Role.CONTENT] * 2, Role.FINAL]
    assert pair.position == 0


def test_long_texts_are_cut_only_on_request(tmp_path, words: Model):
    path = tmp_path / "validation.tsv"
    path.write_text("text\tlabel\n" + "word " * 40 + "\tpos\n")
    short = replace(words, longest=16)
    assert len(classification(path).examples(short)[0].input_ids) == 42
    cut = classification(path, truncate=True).examples(short)[0]
    assert len(cut.input_ids) == 16
    assert cut.roles[-1] == Role.FINAL


def test_a_model_with_different_classes_is_refused(tmp_path):
    task = classification(written(tmp_path, "tsv"))

    def model(*names: str):
        return SimpleNamespace(config=SimpleNamespace(num_labels=len(names), id2label=dict(enumerate(names))))

    for names in (("NEGATIVE", "POSITIVE"), ("LABEL_0", "LABEL_1")):
        task.prepare_model(model(*names))
    with pytest.raises(ValueError, match=r"set task.labels in the model's order"):
        task.prepare_model(model("POSITIVE", "NEGATIVE"))
    with pytest.raises(ValueError, match=r"distinguishes 3 classes \(a, b, c\), the task names 2"):
        task.prepare_model(model("a", "b", "c"))


def test_sst2_is_read_line_by_line():
    folder = shared("data", "sst2")
    task = Classification(labels=LABELS, path=str(folder), text="sentence")
    lines = (folder / "dev.tsv").read_text().splitlines()[1:]
    assert [(row.text, str(row.gold)) for row in task.rows] == [tuple(line.split("\t")) for line in lines]
    assert task.facts["rows"] == 872
    assert len(Classification(labels=LABELS, path=str(folder), text="sentence", split="test", label=None).rows) == 1821
