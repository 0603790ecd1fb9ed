"""Scores from other programs and from earlier runs."""

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from harness.contracts import Model
from harness.measure.evaluate import evaluate_batches as evaluate
from harness.measure.protocol import EvaluationProtocol
from harness.tracing.batch import collate
from harness.tracing.run import Trace
from methods.explainers import scores_from_file
from methods.explainers.attention import Attention
from methods.explainers.rollout import Rollout
from methods.explainers.saliency import Saliency
from methods.explainers.scores_from_file import ScoresFromFile
from methods.references.blank_out import BlankOut
from tests.architectures import blanks, example, tiny
from tests.known_model import bag, batch_of, sentence
from tests.test_contracts import FILES

ONES = (sentence([5, 6, 7], id="a"), sentence([8, 9], id="b"))
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write rows, each a dict, to a file whose name gives its format."""

    def written(rows: list[dict], name: str = "scores.parquet") -> str:
        path = tmp_path / name
        text = "".join(json.dumps(row) + "\n" for row in rows)
        if name.endswith(".parquet"):
            pd.DataFrame(rows).to_parquet(path, index=False)
        elif name.endswith(".gz"):
            path.write_bytes(gzip.compress(text.encode()))
        else:
            path.write_text(text)
        return str(path)

    return written


def rows_of(layers: list[int], heads: list[int] | None = None) -> list[dict]:
    """A row of random numbers for both examples and each layer and head."""
    chance = np.random.default_rng(0)
    return [
        {"example": one.id, "layer": layer, "scores": chance.normal(size=len(one.input_ids)).tolist()}
        | ({} if heads is None else {"head": head})
        for one in ONES
        for layer in layers
        for head in heads or [0]
    ]


def trace() -> Trace:
    """Scores for three layers and two heads."""
    return Trace(bag(), batch_of(*ONES))


@pytest.mark.parametrize("name", ["scores.parquet", "scores.jsonl", "scores.jsonl.gz", "scores.of_no_known_name"])
@pytest.mark.parametrize(("layers", "heads"), [([0], None), ([1, 2, 3], None), ([1, 2, 3], [1, 2]), ([0], [0])])
def test_the_scores_come_back_bit_for_bit(write: Write, name: str, layers: list[int], heads: list[int] | None):
    rows = rows_of(layers, heads)
    scores = ScoresFromFile(write(rows[::-1], name))(trace())  # in any order
    by_head = heads not in (None, [0])
    assert scores.dtype == torch.float64
    assert scores.shape == (2, len(layers), 2, 5) if by_head else (2, len(layers), 5)
    for row in rows:
        n = len(row["scores"])
        of_example = scores[("a", "b").index(row["example"]), max(row["layer"] - 1, 0)]
        own = of_example[row["head"] - 1] if by_head else of_example
        assert own[:n].tolist() == row["scores"]
        assert own[n:].tolist() == [0.0] * (5 - n)


def test_a_runs_saved_scores_equal_its_explainers(tmp_path: Path):
    ids = SimpleNamespace(**{f"{name}_token_id": id for name, id in blanks("bert").items()})
    ids.convert_ids_to_tokens = lambda ids: [str(id) for id in ids]
    model = Model(tiny("bert"), ids, "tiny")
    examples = [example(length) for length in range(3, 8)]
    explainers = {
        "rollout": Rollout(),
        "saliency": Saliency(),
        "heads": Attention(heads="each"),
    }
    references = {"blank_out": BlankOut()}
    protocol = EvaluationProtocol(include="all", token_budget=20)

    def run(methods) -> tuple[pd.DataFrame, pd.DataFrame]:
        parts = [*evaluate(examples, model, methods, references, protocol)]
        return pd.concat([part.scores for part in parts]), pd.concat([part.rows for part in parts])

    scores, rows = run(explainers)
    path = tmp_path / "scores.parquet"
    scores.to_parquet(path, index=False)
    again, rows_again = run({name: ScoresFromFile(str(path), method=name) for name in explainers})
    keys = ["example", "kind", "method", "layer", "head"]
    both = scores.merge(again, on=keys, validate="1:1")
    assert len(both) == len(scores) == len(again)
    assert all(np.array_equal(one, other) for one, other in zip(both["scores_x"], both["scores_y"], strict=True))
    assert rows.drop(columns="error").equals(rows_again.drop(columns="error"))
    with pytest.raises(ValueError, match="several explainers: set method to one of rollout, saliency, heads"):
        ScoresFromFile(str(path))
    with pytest.raises(ValueError, match="no explainer 'blank_out': set method to one of rollout, saliency, heads"):
        ScoresFromFile(str(path), method="blank_out")
    scores[scores["method"].isin(["saliency", "blank_out"])].to_parquet(path, index=False)
    batch = Trace(model.module, collate(examples[:1], "all", blanks("bert")))
    assert torch.equal(ScoresFromFile(str(path))(batch), ScoresFromFile(str(path), "saliency")(batch))  # the only one


def test_the_file_is_read_once_and_again_when_it_changes(write: Write, monkeypatch: pytest.MonkeyPatch):
    reads = []
    read = pd.read_parquet
    monkeypatch.setattr(scores_from_file.pd, "read_parquet", lambda path: reads.append(path) or read(path))
    rows = [row | {"method": name} for name in ("one", "other") for row in rows_of([0])]
    path = write(rows)
    methods = [ScoresFromFile(path, name) for name in ("one", "other")]
    for _ in range(3):
        for method in methods:
            method.check_model(bag())
            method(trace())
    assert len(reads) == 1
    rows[0]["scores"] = [1.0, 2.0, 3.0, 4.0, 5.0]
    write(rows)
    os.utime(path, ns=(1, 1))
    assert methods[0](trace())[0, 0].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert len(reads) == 2


def test_an_undefined_score_stays_undefined(write: Write):
    rows = rows_of([0])
    rows[0]["scores"][1:3] = [float("nan"), None]
    for name in ("scores.jsonl", "scores.parquet"):
        scores = ScoresFromFile(write(rows, name))(trace())
        assert scores[0, 0].isnan().tolist() == [False, True, True, False, False]
    for row in rows:
        row["scores"] = [float("nan")] * len(row["scores"])
    with pytest.raises(ValueError, match="every score is NaN; expected numbers"):
        ScoresFromFile(write(rows))


def test_integers_and_numeric_ids_are_accepted(write: Write):
    ones = [replace(one, id=str(number)) for number, one in enumerate(ONES)]
    rows = [{"example": number, "layer": 0, "scores": [1, 2, 3, 4, 5][: 5 - number]} for number in range(2)]
    for name in ("scores.parquet", "scores.jsonl"):
        assert ScoresFromFile(write(rows, name))(Trace(bag(), batch_of(*ones)))[1, 0].tolist() == [1, 2, 3, 4, 0]


def test_scores_for_some_examples_can_be_used_for_those(write: Write):
    rows = rows_of([0])
    method = ScoresFromFile(write(rows[:1]))
    assert method(Trace(bag(), batch_of(ONES[0]))).shape == (1, 1, 5)
    with pytest.raises(ValueError, match=r"no scores of 1 of a batch's 2 examples, the first 'b': .*limit"):
        method(trace())


def changed(rows: list[dict], index: int, **values) -> list[dict]:
    """The rows, one of them changed."""
    return [row | (values if number == index else {}) for number, row in enumerate(rows)]


def without(rows: list[dict], *names: str) -> list[dict]:
    return [{name: value for name, value in row.items() if name not in names} for row in rows]


DEEP = rows_of([1, 2, 3])
HEADS = rows_of([1, 2, 3], [1, 2])
FLAT = rows_of([0])
AT_ONCE = {  # what can be wrong with the file itself
    "no column layer, scores: expected example, layer, scores and": without(FLAT, "layer", "scores"),
    r"no column example, layer, scores: .* got no rows": [],
    r"example 'a', layer 2, head 0 twice: expected one row": [*DEEP, DEEP[1]],
    r"\[?\(1, 0\), \(2, 0\)\]? of example 'b' and .*of 'a': expected the same of all examples": DEEP[:-1],
    "layer '1' for example 'a': expected a whole number": changed(FLAT, 0, layer="1"),
    r"layer 1\.5 for example 'b'": changed(FLAT, 1, layer=1.5),
    "layer True for example 'a'": changed(FLAT, 0, layer=True),
    "head None for example 'a'": changed(HEADS, 0, head=None),
    "layer -1 for example 'a'": changed(FLAT, 0, layer=-1),
    "5 and 6 scores of example 'a' in different layers": changed(DEEP, 0, scores=[1.0] * 6),
    "'high' among the scores of example 'a': expected a list of numbers": changed(FLAT, 0, scores=[1.0, "high"]),
    "True among the scores of example 'b'": changed(FLAT, 1, scores=[True]),
    "0.5 among the scores of example 'a': expected a list": changed(FLAT, 0, scores=0.5),
    "every head in every layer": [row for row in HEADS if (row["layer"], row["head"]) != (2, 2)],
    "has no explainer's scores": [row | {"kind": "reference"} for row in FLAT],
    "the example 1.5: expected an id": changed(FLAT, 0, example=1.5),
    "the example None: expected an id": changed(FLAT, 0, example=None),
}


@pytest.mark.parametrize("message", AT_ONCE)
def test_an_invalid_file_is_refused_before_anything_runs(write: Write, message: str):
    path = write(AT_ONCE[message], "scores.jsonl")
    with pytest.raises(ValueError, match=message) as raised:
        ScoresFromFile(path)
    assert str(raised.value).startswith(path)


@pytest.mark.parametrize(
    ("message", "rows"),
    [
        ("layers 1, 2: expected 1 to 3, this model's, or 0 alone", [row for row in DEEP if row["layer"] < 3]),
        ("layers 0, 1, 2: expected 1 to 3", [row | {"layer": row["layer"] - 1} for row in DEEP]),
        ("layers 0, 1, 2, 3: expected", rows_of([0, 1, 2, 3])),
        ("layers 1, 2, 3, 4, 5, 6, 7, 8, ...: expected", rows_of([*range(1, 13)])),
        ("heads 1 of the layers 1, 2, 3: expected 1 to 2 of each layer", rows_of([1, 2, 3], [1])),
        ("heads 0, 1 of the layers 1, 2, 3: expected", rows_of([1, 2, 3], [0, 1])),
        ("heads 1, 2 of the layers 0: expected", rows_of([0], [1, 2])),
        ("has 4 scores of example 'a', which has 5 tokens: .*special ones too", changed(FLAT, 0, scores=[1.0] * 4)),
        ("has 5 scores of example 'b', which has 4 tokens: .*no padding", changed(FLAT, 1, scores=[1.0] * 5)),
    ],
)
def test_scores_that_do_not_fit_the_run_are_refused(write: Write, message: str, rows: list[dict]):
    method = ScoresFromFile(write(rows))
    with pytest.raises(ValueError, match=message):
        method(trace())


def test_a_missing_file_or_one_that_is_not_a_table_is_refused(tmp_path: Path, write: Write):
    with pytest.raises(
        FileNotFoundError, match=r"absent.parquet is not a file: expected .* give a run's scores.parquet"
    ):
        ScoresFromFile(str(tmp_path / "absent.parquet"))
    with pytest.raises(FileNotFoundError, match="is not a file"):
        ScoresFromFile(str(tmp_path))
    whole = gzip.compress(json.dumps(FLAT[0]).encode())
    for number, content in enumerate([b"PAR1 and no more", b"example,layer,scores\n", b"\xff\xfe", whole[:-9], b"{"]):
        path = tmp_path / f"broken{number}"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"broken{number} cannot be read as parquet or JSON lines"):
            ScoresFromFile(str(path))
    path = tmp_path / "numbers"
    path.write_text("1\n2\n")
    with pytest.raises(ValueError, match="no column example, layer, scores"):
        ScoresFromFile(str(path))
    with pytest.raises(ValueError, match="no column method, in which to find 'rollout': leave method out"):
        ScoresFromFile(write(FLAT), method="rollout")


def test_it_has_no_yaml_file_of_its_own():
    """It could not be instantiated without a path; the contract suite tests whatever can."""
    assert ("explainers", "scores_from_file") not in FILES


def test_a_single_layer_method_and_a_single_layer_model_look_the_same(write: Write):
    one = Trace(bag(layers=1), batch_of(*ONES))
    for layer in (0, 1):
        scores: Tensor = ScoresFromFile(write(rows_of([layer]), f"{layer}.parquet"))(one)
        assert scores.shape == (2, 1, 5)
