import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from harness.results.files import write_atomically
from harness.results.ownership import owned, untaken
from harness.results.run_folder import RunFolder
from harness.tables import EXAMPLES, METRICS, ROWS, SCORES, STORED, Cost, Costs, Manifest, Part, Schema
from tests.conftest import ROOT

PLAN = Manifest("running", "agreement", "small", 0, None, {"seed": 0}, [], run="this")
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
    folder.write_manifest(PLAN)
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
    assert not folder.parts.path.exists()
    for name in ("examples", "scores", "rows"):
        assert folder.table(name)["example"].tolist() == merged[name]["example"].tolist() == ["a", "b", "d"]
    assert [list(scores) for scores in folder.table("scores")["scores"]] == [[0.5, 3], [0.5, 0], [0.5, 0]]


def again(folder: RunFolder) -> RunFolder:
    """The folder as another process sees it."""
    return RunFolder(folder.path)


DAMAGE = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"0"),
    "flipped": lambda path: path.write_bytes(path.read_bytes()[:50] + b"\0\xff" + path.read_bytes()[52:]),
    "of another batch": lambda path: path.write_bytes(path.with_name(path.name.replace("00003", "00000")).read_bytes()),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("file", [*(f"{name}-00003.parquet" for name in STORED), "part-00003.json"])
def test_a_part_that_does_not_read_whole_does_not_count_and_is_written_again(folder: RunFolder, file: str, damage: str):
    written = (folder.parts.path / file).read_bytes()
    DAMAGE[damage](folder.parts.path / file)
    if damage == "of another batch" and (folder.parts.path / file).read_bytes() == written:
        return  # both parts have an empty table
    damaged = again(folder)
    assert damaged.finished() == {0: 2}
    assert "part-00003.json" in str(damaged.problems) or "part 3 " in str(damaged.problems) or damage == "missing"
    assert damaged.table("scores")["example"].tolist() == ["b", "d"]
    assert damaged.costs() == {("phase", "trace"): Cost(1.5, 2, 1)}
    if damage != "a folder":
        damaged.write_part(part(3, "a"), RUN)
        assert again(folder).finished() == {0: 2, 3: 1}


def test_a_part_copied_as_another_does_not_count_twice(folder: RunFolder):
    for path in folder.parts.path.glob("*-00003.*"):
        path.with_name(path.name.replace("00003", "00004")).write_bytes(path.read_bytes())
    copied = again(folder)
    assert copied.finished() == {0: 2, 3: 1}
    assert copied.problems == ["part 4 holds the examples of part 3 again and does not count"]
    assert copied.table("rows")["example"].tolist() == ["b", "d", "a"]


def test_a_part_of_another_run_or_batch_does_not_count(folder: RunFolder, tmp_path: Path):
    other = RunFolder(tmp_path / "other")
    other.open()
    other.write_manifest(replace(PLAN, run="that"))
    other.write_part(part(5, "e"), RUN)
    for path in other.parts.path.iterdir():
        (folder.parts.path / path.name).write_bytes(path.read_bytes())
    mixed = again(folder)
    assert mixed.finished() == {0: 2, 3: 1}
    assert mixed.problems == ["part 5 was written by another run and does not count"]
    mixed.parts.keep({0: ["b", "d"], 3: ["c"]})
    assert mixed.finished() == {0: 2}
    assert mixed.problems[1:] == ["part 3 holds other examples than its batch and does not count"]


def test_what_is_foreign_is_named_and_left_alone(folder: RunFolder):
    (folder.parts.path / "rows-abc.parquet").write_text("mine")
    (folder.parts.path / "notes").mkdir()
    folder = again(folder)
    assert folder.finished() == {0: 2, 3: 1}
    assert [problem.partition(" is no file")[0][-8:] for problem in folder.problems] == ["ts/notes", ".parquet"]
    folder.merge(["a", "b", "d"])
    assert sorted(path.name for path in folder.parts.path.iterdir()) == ["notes", "rows-abc.parquet"]


def test_what_dead_writers_left_is_removed_by_the_next_owner(folder: RunFolder):
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = [folder.path / f".manifest.json.{dead.pid}", folder.parts.path / f".rows-00001.parquet.{dead.pid}"]
    alive = folder.path / f".leaderboard.md.{os.getpid()}"
    for path in (*left, alive):
        path.write_text("half")
    with owned(folder.path):
        assert not any(path.exists() for path in left)
        assert alive.exists()


OWN = "import sys, pathlib; from harness.results.ownership import owned\nwith owned(pathlib.Path(sys.argv[1])): "


def test_a_folder_has_one_owner_and_is_free_once_that_dies(folder: RunFolder):
    command = [sys.executable, "-c", OWN + "print('mine', flush=True); sys.stdin.read()", str(folder.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        with pytest.raises(ValueError, match="another process is running in"), owned(folder.path):
            pass
        other.kill()
    with owned(folder.path), owned(folder.path):  # a process may own it several times over
        refused = subprocess.run(
            [*command[:2], OWN + "pass", str(folder.path)], cwd=ROOT, capture_output=True, check=False
        )
        assert b"another process is running" in refused.stderr


def test_a_taken_name_gets_a_suffix(tmp_path: Path):
    name = str(tmp_path / "day" / "12-00-00")
    assert [untaken(name) for _ in range(3)] == [name, f"{name}-2", f"{name}-3"]
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot be written"):
        untaken(str(tmp_path / "file" / "run"))


@pytest.mark.parametrize("name", list(STORED))
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "flipped"])
def test_merged_tables_are_those_that_the_run_wrote_or_are_refused(folder: RunFolder, name: str, damage: str):
    folder.merge(["a", "b", "d"])
    again(folder).check_tables()
    DAMAGE[damage](folder.path / f"{name}.parquet")
    damaged = again(folder)
    if name == "rows" and damage == "missing":
        assert not damaged.merged
        return
    with pytest.raises(ValueError, match=rf"{name}.parquet is not the table that this run wrote"):
        damaged.check_tables()
    with pytest.raises(ValueError, match="or compute it again with assay resume="):
        damaged.table(name)


def test_tables_of_another_run_are_refused(folder: RunFolder, tmp_path: Path):
    folder.merge(["a", "b", "d"])
    other = RunFolder(tmp_path / "other")
    other.path.mkdir()
    other.write_manifest(replace(PLAN, run="that"))
    other.write_tables({name: folder.table(name) for name in STORED})
    for name in (*(f"{table}.parquet" for table in STORED), "checksums.json"):
        (folder.path / name).write_bytes((other.path / name).read_bytes())
    with pytest.raises(ValueError, match="is not the table that this run wrote"):
        again(folder).table("rows")


def test_a_part_without_its_record_was_not_finished(folder: RunFolder):
    (folder.parts.path / "part-00003.json").unlink()
    folder = again(folder)
    assert folder.finished() == {0: 2}
    assert folder.problems == []
    assert folder.table("scores")["example"].tolist() == ["b", "d"]


def test_a_table_is_checked_when_it_is_written_and_when_it_is_read(folder: RunFolder):
    broken = part(4, "c")
    broken.rows["rho"] = "high"
    with pytest.raises(ValueError, match="column rho of the table rows should hold real values"):
        folder.write_part(broken, RUN)
    assert folder.finished() == {0: 2, 3: 1}
    table = pd.read_parquet(folder.parts.path / "scores-00003.parquet").drop(columns="layer")
    with pytest.raises(ValueError, match=r"table scores should have the columns .*; missing: layer"):
        SCORES.check(table)


def test_an_empty_table_is_an_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"no results in .*: expected rows.parquet or finished batches"):
        RunFolder(tmp_path).table("rows")
    with pytest.raises(FileNotFoundError, match="is not a run folder"):
        _ = RunFolder(tmp_path).manifest


BAD_MANIFESTS = {
    '{"format": 3, "task": "agreement"}': r"it has format 3, and this version of Assay reads format 8",
    "": "is damaged",
    '{"format": 8, "status": "comp': "is damaged",
    "\xff\xfe": "is damaged",
    "[1, 2]": "it holds a list, not a run's settings",
    "null": "it holds a NoneType",
    "{}": "it has format None",
    '{"format": 8}': "it lacks status, task, model_name, seed, shard, config, overrides",
    '{"format": 8, "status": "s", "task": "t", "model_name": "m", "seed": 0, "shard": null, "config": [], '
    '"overrides": []}': "its config has another form",
}


@pytest.mark.parametrize("text", list(BAD_MANIFESTS))
def test_a_damaged_or_foreign_manifest_is_refused_in_a_sentence(tmp_path: Path, text: str):
    (tmp_path / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=BAD_MANIFESTS[text]):
        _ = RunFolder(tmp_path).manifest


def test_a_manifest_may_lack_what_only_describes(folder: RunFolder):
    path = folder.path / "manifest.json"
    stored = json.loads(path.read_text())
    for name in ("facts", "phases", "costs", "counts", "protocol", "warnings", "versions", "machine"):
        path.write_text(json.dumps({key: value for key, value in stored.items() if key != name}))
        assert folder.manifest.task == "agreement"
        path.write_text(json.dumps(stored | {name: None}))
        assert folder.manifest.task == "agreement"


def test_a_file_is_replaced_as_a_whole(tmp_path: Path):
    path = tmp_path / "file"
    write_atomically(path, "old")
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
