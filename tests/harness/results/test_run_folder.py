from pathlib import Path

import pandas as pd
import pytest

from harness.results.files import write_atomically
from harness.results.run_folder import RunFolder
from harness.tables import EXAMPLES, METRICS, ROWS, SCORES, Cost, Costs, Part, Schema

RUN = {"task": "agreement", "model": "small", "seed": 0}
FILLED = {"text": "x", "whole": 1, "real": 0.5, "truth": False, "list": [0.5]}


def table(schema: Schema, examples: tuple[str, ...], **given: object) -> pd.DataFrame:
    """A table with one row per example, whatever else it holds."""
    columns = {name: [FILLED[kind.rstrip("?")]] * len(examples) for name, kind in schema.columns.items()}
    filled = pd.DataFrame(columns | {"example": list(examples)} | given)
    return filled.drop(columns=[name for name in RUN if name in filled])


def part(number: int, *examples: str) -> Part:
    return Part(
        number,
        table(EXAMPLES, examples),
        table(SCORES, examples, scores=[[0.5, float(number)] for _ in examples]),
        table(ROWS, examples, rho=[0.1 * number] * len(examples), error=[None] * len(examples)),
        METRICS.empty().drop(columns=list(RUN)),
        Costs({("phase", "trace"): Cost(1.5, 2, 1)}),
    )


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.open()
    folder.write_part(part(0, "b", "d"), RUN)
    folder.write_part(part(3, "a"), RUN)
    return folder


def test_parts_are_read_as_one_table_before_and_after_merging(folder: RunFolder):
    assert folder.finished() == {0: 2, 3: 1}
    assert folder.table("rows")["example"].tolist() == ["b", "d", "a"]
    assert folder.table("rows").columns.tolist() == list(ROWS.columns)
    assert dict(folder.costs()) == {("phase", "trace"): Cost(3.0, 4, 2)}
    merged = folder.merge(["a", "b", "c", "d"])
    assert folder.merged
    assert not folder.parts.exists()
    for name in ("examples", "scores", "rows"):
        assert folder.table(name)["example"].tolist() == merged[name]["example"].tolist() == ["a", "b", "d"]
    assert [list(scores) for scores in folder.table("scores")["scores"]] == [[0.5, 3], [0.5, 0], [0.5, 0]]


def test_a_part_without_its_rows_was_not_finished(folder: RunFolder):
    (folder.parts / "rows-00003.parquet").unlink()
    assert folder.finished() == {0: 2}
    assert folder.table("scores")["example"].tolist() == ["b", "d"]


def test_a_table_is_checked_when_it_is_written_and_when_it_is_read(folder: RunFolder):
    broken = part(4, "c")
    broken.rows["rho"] = "high"
    with pytest.raises(ValueError, match="column rho of the table rows should hold real values"):
        folder.write_part(broken, RUN)
    assert folder.finished() == {0: 2, 3: 1}
    path = folder.parts / "scores-00003.parquet"
    pd.read_parquet(path).drop(columns="layer").to_parquet(path)
    path = folder.parts / "scores-00000.parquet"
    pd.read_parquet(path).drop(columns="layer").to_parquet(path)
    with pytest.raises(ValueError, match=r"table scores should have the columns .*; missing: layer"):
        folder.table("scores")


def test_an_empty_table_is_an_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"no results in .*: expected rows.parquet"):
        RunFolder(tmp_path).table("rows")
    with pytest.raises(FileNotFoundError, match="is not a run folder"):
        _ = RunFolder(tmp_path).manifest


def test_a_manifest_of_another_version_is_refused(tmp_path: Path):
    (tmp_path / "manifest.json").write_text('{"format": 3, "task": "agreement"}')
    with pytest.raises(ValueError, match=r"another version of Assay: it has format 3, and this version .* format 4"):
        _ = RunFolder(tmp_path).manifest


def test_a_file_is_replaced_as_a_whole(tmp_path: Path):
    path = tmp_path / "file"
    write_atomically(path, "old")
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
