"""Texts and labels arrive letter for letter as they stand in the file, or the row is refused with its number."""

import csv
import gzip
import io
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.tables import NO_GOLD
from tasks.classification import Classification

LABELS = ["negative", "positive"]


def task(path: Path, **options: Any) -> Classification:
    return Classification(**{"labels": LABELS, "path": str(path), "shuffle": False} | options)


def texts(path: Path, **options: Any) -> list[str]:
    return [row.text for row in task(path, label=None, **options).rows]


def golds(path: Path, values: list[Any], **options: Any) -> list[int]:
    return [row.gold for row in task(path, values=values, **options).rows]


AS_WRITTEN = ["1.50", "007", "true", "None", "null", "NaN", "2020-01-01", "-", "1e5", " two  spaces ", "é ☃", "=cmd()"]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json", "parquet", "csv.gz"])
def test_what_looks_like_something_else_is_text(tmp_path: Path, kind: str):
    path = tmp_path / f"data.{kind}"
    if kind == "parquet":
        pd.DataFrame({"text": AS_WRITTEN}).to_parquet(path)
    elif kind.startswith("json"):
        rows = [{"text": text} for text in AS_WRITTEN]
        path.write_text(json.dumps(rows) if kind == "json" else "\n".join(map(json.dumps, rows)))
    else:
        content = "\n".join(["text", *AS_WRITTEN]).encode()
        path.write_bytes(gzip.compress(content) if kind.endswith("gz") else content)
    assert texts(path) == AS_WRITTEN


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("kind", ["csv", "tsv"])
@given(
    rows=st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=4),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_a_program_wrote_with_quotes_is_read_back(tmp_path_factory, kind: str, quoting: int, rows):
    """A tab-separated file must need its quotes, or use them in a whole column: others are taken as they stand."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter="\t" if kind == "tsv" else ",", quoting=quoting)
    writer.writerow(["text", "note"])
    writer.writerows([("tab\t and\nline", "x"), *rows])
    path = tmp_path_factory.mktemp("table") / f"data.{kind}"
    path.write_bytes(out.getvalue().encode())
    assert texts(path) == ["tab\t and\nline", *(text for text, _ in rows)]


def test_quotation_marks_in_a_plain_tab_separated_file_mean_themselves(tmp_path: Path):
    lines = ['"great" film', 'she said "no"', 'half an inch: 1/2"', '"quoted whole"', 'a ""doubled"" one']
    path = tmp_path / "data.tsv"
    path.write_text("text\tlabel\n" + "".join(f"{line}\t1\n" for line in lines))
    assert texts(path) == lines


def test_a_byte_order_mark_and_windows_line_ends_are_no_text(tmp_path: Path):
    path = tmp_path / "data.csv"
    path.write_bytes("\ufefftext,label\r\ngood,1\r\nbad,0\r\n\r\n".encode())
    assert texts(path) == ["good", "bad"]
    assert golds(path, [0, 1]) == [1, 0]


NOT_TEXT = {
    "null": (None, "none"),
    "a number": (1.5, "1.5"),
    "a truth value": (True, "true"),
    "a list": (["a"], "a list"),
    "a dict": ({"a": 1}, "a dict"),
    "not a number": (float("nan"), "none"),
}


@pytest.mark.parametrize("name", list(NOT_TEXT))
@pytest.mark.parametrize("column", ["text", "pair"])
def test_what_is_no_text_is_refused_with_its_row(tmp_path: Path, name: str, column: str):
    value, what = NOT_TEXT[name]
    path = tmp_path / "data.jsonl"
    rows = [{"text": "fine", "pair": "fine"}, {"text": "fine", "pair": "fine", column: value}]
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(ValueError, match=rf"row 2 of .*, column '{column}': expected a text, got {what}"):
        texts(path, pair="pair")


@pytest.mark.parametrize(
    "values", [[b"bytes"], [datetime(2020, 1, 1, tzinfo=UTC)], [1.5], [7], [True], [None], [["a"]], [{"a": 1}]]
)
def test_columns_of_another_type_in_parquet_are_refused(tmp_path: Path, values: list[Any]):
    path = tmp_path / "data.parquet"
    pd.DataFrame({"text": values}).to_parquet(path)
    with pytest.raises(ValueError, match=r"row 1 of .*, column 'text': expected a text, got"):
        texts(path)


@pytest.mark.parametrize(
    ("kind", "content", "sentence"),
    [
        ("csv", "text,label\nbad, really bad,0\n", r"row 1, line 2.*expected 2 fields, as in the first line .*got 3"),
        ("csv", "text,label\nfine,1\nfine\n", r"row 2, line 3.*got 1"),
        ("csv", 'text,label\n"fine" indeed,1\n', r"cannot be read as csv \(row 1: .*quote fields that hold a comma"),
        ("csv", 'text,label\n"open,1\n', r"cannot be read as csv"),
        ("csv", "text,label\nfine,1\n\nfine,1\n", r"row 2, line 3.*got 0"),
        ("csv", "text,text\na,b\n", "has two columns of the same name"),
        ("tsv", "text\tlabel\na\tb\tc\n", r"row 1, line 2.*got 3"),
        ("tsv", "text\tlabel\na\rb\t0\n", r"row 1, line 2.*got 1"),
        ("jsonl", '{"text": "a"}\n{"text": \n', "line 2: "),
        ("jsonl", '{"text": "a"}\n[1]\n', r"row 2: expected an object"),
        ("json", "[1, 2", "cannot be read as json"),
        ("csv", "\n\n", "is empty"),
        ("csv", "text\n", "has no rows"),
        ("jsonl", "[]", "has no rows"),
        ("parquet", "no parquet", "cannot be read as parquet"),
    ],
)
def test_a_row_that_cannot_be_read_as_it_stands_is_refused(tmp_path: Path, kind: str, content: str, sentence: str):
    path = tmp_path / f"data.{kind}"
    path.write_text(content, newline="")
    with pytest.raises(ValueError, match=sentence):
        texts(path)


def test_other_encodings_and_broken_archives_are_refused(tmp_path: Path):
    path = tmp_path / "data.csv"
    path.write_bytes("text\nfine\nschön\n".encode("latin-1"))
    with pytest.raises(ValueError, match="line 3: its text is not UTF-8"):
        texts(path)
    path = tmp_path / "data.csv.gz"
    path.write_bytes(gzip.compress(b"text\n" + b"fine\n" * 999)[:-9])
    with pytest.raises(ValueError, match="is no whole gzip file"):
        texts(path)


def test_labels_are_compared_letter_for_letter_and_a_named_value_is_a_class(tmp_path: Path):
    path = tmp_path / "data.csv"
    path.write_text("text,label\na,007\nb,7\nc,1.50\n")
    assert golds(path, ["007", "7", "1.50"], labels=["a", "b", "c"]) == [0, 1, 2]
    path.write_text("text,label\na,-1\nb,1\n")
    assert golds(path, [-1, 1]) == [0, 1]
    assert golds(path, [0, 1]) == [NO_GOLD, 1]
    path.write_text('text,label\na,""\nb,x\n')
    assert golds(path, ["", "x"]) == [0, 1]
    assert golds(path, ["y", "x"]) == [NO_GOLD, 1]
    path.write_text("text,label\na,true\nb,false\n")
    assert golds(path, [False, True]) == [1, 0]
    with pytest.raises(ValueError, match=r"row 2 .*, column 'label': expected one of \[1, 'true'\], got 'false'"):
        golds(path, [1, "true"])


def test_labels_of_typed_files_are_their_values(tmp_path: Path):
    path = tmp_path / "data.parquet"
    pd.DataFrame({"text": ["a", "b", "c"], "label": [0.0, 1.0, None]}).to_parquet(path)
    assert golds(path, [0, 1]) == [0, 1, NO_GOLD]
    pd.DataFrame({"text": ["a", "b"], "label": [True, False]}).to_parquet(path)
    assert golds(path, [False, True]) == [1, 0]
    path = tmp_path / "data.jsonl"
    path.write_text('{"text": "a", "label": 1.50}\n{"text": "b", "label": null}\n{"text": "c"}\n')
    assert golds(path, [0, "1.50"]) == [1, NO_GOLD, NO_GOLD]


def test_a_blank_label_is_no_label_wherever_it_stands(tmp_path: Path):
    path = tmp_path / "data.csv"
    for blank in (5, 11_000):
        rows = [f"text {index},{'' if index == blank else index % 2}" for index in range(12_000)]
        path.write_text("\n".join(["text,label", *rows]))
        found = golds(path, [0, 1])
        assert [index for index, gold in enumerate(found) if gold == NO_GOLD] == [blank]


@pytest.mark.parametrize("name", ["[a].csv", "*.csv", "?.csv", "a b.csv", "~.csv", "{x}.csv"])
def test_the_file_that_is_named_is_the_file_that_is_read(tmp_path: Path, name: str):
    (tmp_path / "a.csv").write_text("text\nanother\n")
    (tmp_path / "x.csv").write_text("text\nanother\n")
    (tmp_path / name).write_text("text\nmine\n")
    assert texts(tmp_path / name) == ["mine"]


def test_a_file_that_is_rewritten_is_read_again_whatever_its_time(tmp_path: Path):
    path = tmp_path / "data.csv"
    path.write_text("text\nold\n")
    stamp = path.stat().st_mtime_ns
    first = task(path, label=None)
    assert [row.text for row in first.rows] == ["old"]
    path.write_text("text\nnew\n")
    os.utime(path, ns=(stamp, stamp))
    again = task(path, label=None)
    assert [row.text for row in again.rows] == ["new"]
    assert first.digest != again.digest
