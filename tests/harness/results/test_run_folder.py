from pathlib import Path

import pandas as pd
import pytest

from harness.measure.evaluate import Part
from harness.results.run_folder import RunFolder, write_atomically
from harness.tracing.meter import Cost

NAMES = {"task": "agreement", "model": "small", "seed": 0}


def part(number: int, *examples: str) -> Part:
    names = list(examples)
    return Part(
        number,
        pd.DataFrame({"example": names}),
        pd.DataFrame({"example": names, "scores": [[0.5, number] for _ in names]}),
        pd.DataFrame({"example": names, "rho": 0.1 * number, "error": None}),
        pd.DataFrame({"example": [], "metric": [], "value": []}),
        {"trace": Cost(1.5, 2, 1)},
    )


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.open()
    folder.write_part(part(0, "b", "d"), NAMES)
    folder.write_part(part(3, "a"), NAMES)
    return folder


def test_parts_read_as_one_table_before_and_after_merging(folder: RunFolder):
    assert folder.finished() == {0: 2, 3: 1}
    assert folder.table("rows")["example"].tolist() == ["b", "d", "a"]
    assert folder.table("rows").columns.tolist() == ["task", "model", "seed", "example", "rho", "error"]
    assert folder.costs() == {"trace": Cost(3.0, 4, 2)}
    folder.merge(["a", "b", "c", "d"])
    assert folder.merged
    assert not folder.parts.exists()
    for name in ("examples", "scores", "rows"):
        assert folder.table(name)["example"].tolist() == ["a", "b", "d"]
    assert [list(scores) for scores in folder.table("scores")["scores"]] == [[0.5, 3], [0.5, 0], [0.5, 0]]


def test_a_part_without_its_rows_was_not_finished(folder: RunFolder):
    (folder.parts / "rows-00003.parquet").unlink()
    assert folder.finished() == {0: 2}
    assert folder.table("scores")["example"].tolist() == ["b", "d"]


def test_a_table_of_nothing_is_an_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"no results in .*: expected rows.parquet"):
        RunFolder(tmp_path).table("rows")
    with pytest.raises(FileNotFoundError, match="is no run folder"):
        _ = RunFolder(tmp_path).manifest


def test_a_file_is_replaced_as_a_whole(tmp_path: Path):
    path = tmp_path / "file"
    write_atomically(path, "old")
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
