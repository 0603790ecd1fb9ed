"""The report of a run and of a sweep, from small folders made by hand."""

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from harness.report.run_tables import RunTables
from harness.report.write import write_files, write_runs, write_sweep
from harness.results.run_folder import RunFolder
from harness.tables import STORED
from tests.harness.report.run_folders import rewrite, write_run

ROOT = Path(__file__).resolve().parents[3]
FILES = ["leaderboard.csv", "leaderboard.md", "leaderboard.tex", "pairs.csv", "pairs_by_length.csv", "ranking.csv"]
LIGHT = """
import sys
from pathlib import Path
from pkgutil import walk_packages
import harness.report
for module in walk_packages(harness.report.__path__, "harness.report."):
    if not module.name.startswith("harness.report.figures.") or module.name.endswith(".draw"):
        __import__(module.name)
assert "harness.report.layouts.pooled" in sys.modules and "harness.report.formats.latex" in sys.modules
print([name for name in ("torch", "transformers", "datasets", "captum", "matplotlib", "hydra") if name in sys.modules])
"""


class Broken(Console):
    """A terminal that has gone away."""

    def print(self, *_objects: object, **_options: object) -> None:
        raise BrokenPipeError


def run(path: Path, seed: int = 0, **given) -> RunFolder:
    """Twelve examples, two explainers that are compared as a pair, a floor and a reference."""
    generator = np.random.default_rng(seed)
    ids = [f"{number:02d}" for number in range(12)]
    cells = [("rollout", 1), ("rollout", 2), ("flow", 1), ("flow", 2), ("random", 0)]
    scores = pd.DataFrame(
        {
            "example": one,
            "kind": "explainer",
            "method": name,
            "layer": layer,
            "head": 0,
            "scores": generator.normal(size=5),
        }
        for one in ids
        for name, layer in cells
    )
    rows = scores.drop(columns="scores").rename(columns={"method": "explainer"})
    rows = rows.assign(reference="blank_out", rho=generator.uniform(-1, 1, len(rows)), seed=seed)
    rows["kind"] = np.where(rows["explainer"] == "random", "floor", "explainer")
    examples = pd.DataFrame(
        {"example": ids, "cluster": ids, "tokens": [list("abcde")] * 12, "ranked": [[True] * 5] * 12}
    )
    config = {"seed": seed, "pairs": [["rollout", "flow"]], "explainers": {"rollout": {}, "flow": {}, "random": {}}}
    config |= {"references": {"blank_out": {}}}
    given = {"seed": seed, "config": config, "model": f"m{seed}", "head_size": 4} | given
    return write_run(path, rows, examples, scores=scores, **given)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def test_no_layout_or_format_imports_torch():
    printed = subprocess.run(
        [sys.executable, "-c", LIGHT],
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert printed.stdout.strip() == "[]", printed.stderr


def test_all_files_are_written_before_anything_is_printed(tmp_path: Path):
    folder = run(tmp_path / "run")
    with pytest.raises(BrokenPipeError):
        write_runs([RunTables(folder)], tmp_path / "broken", 1, Broken())
    write_runs([RunTables(folder)], tmp_path / "whole", 1, Console(file=StringIO()))
    assert list(contents(tmp_path / "broken")) == FILES
    assert contents(tmp_path / "broken") == contents(tmp_path / "whole")
    drawn = contents(tmp_path / "broken" / "figures")
    assert {"rho_by_layer_blank_out.svg", "row_by_layer_1.pdf", "pair_by_layer.png"} <= set(drawn)
    assert drawn == contents(tmp_path / "whole" / "figures")


def test_the_leaderboard_of_a_sweep_is_written_before_anything_is_printed(tmp_path: Path):
    for seed in (0, 1):
        run(tmp_path / "sweep" / str(seed), seed)
    with pytest.raises(BrokenPipeError):
        write_sweep([tmp_path / "sweep"], tmp_path / "broken", Broken())
    screen = StringIO()
    write_sweep([tmp_path / "sweep"], tmp_path / "whole", Console(file=screen, width=200))
    assert list(contents(tmp_path / "broken")) == FILES[:3]
    assert contents(tmp_path / "broken") == contents(tmp_path / "whole")
    assert "pooled over seeds 0, 1" in screen.getvalue()
    assert set(pd.read_csv(tmp_path / "whole" / "leaderboard.csv")["seed"]) == {"0 1"}


def test_tables_in_memory_are_not_read_again(tmp_path: Path):
    folder = run(tmp_path / "run")
    tables = {name: folder.table(name) for name in STORED}
    write_files([RunTables(folder)], tmp_path / "read", None)
    for name in STORED:
        (folder.path / f"{name}.parquet").rename(tmp_path / f"{name}.parquet")
    (folder.path / "rows.parquet").touch()  # a merged run, whose costs are in its manifest
    write_files([RunTables(folder, tables)], tmp_path / "given", None)
    assert contents(tmp_path / "read") == contents(tmp_path / "given")


def test_each_table_of_a_folder_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    read, table = [], RunFolder.table
    monkeypatch.setattr(RunFolder, "table", lambda self, name: read.append(name) or table(self, name))
    write_runs([RunTables(run(tmp_path / "run"))], tmp_path / "out", None, Console(file=StringIO()))
    assert sorted(read) == sorted(STORED)


def test_the_printed_tables_are_the_written_ones(tmp_path: Path):
    screen = StringIO()
    write_runs([RunTables(run(tmp_path / "run"))], tmp_path / "run", None, Console(file=screen, width=200))
    printed = " ".join(screen.getvalue().split())
    written = (tmp_path / "run" / "leaderboard.md").read_text()
    notes = [
        line.removeprefix("- ")
        for line in written.split("mean, interval and group")[0].splitlines()
        if line[:2] == "- "
    ]
    assert len(notes) > 5
    assert all(" ".join(note.split()) in printed for note in notes)
    assert f"assay-report {tmp_path / 'run'}" in printed


def test_the_answer_comes_before_the_tables_and_costs_and_notes_after_them(tmp_path: Path):
    screen, tables = StringIO(), RunTables(run(tmp_path / "run"))
    write_runs([tables], tmp_path / "run", None, Console(file=screen, width=80))
    lines = screen.getvalue().splitlines()
    assert lines[0] == "agreement, small, seed 0"
    assert len(tables.answer) in (3, 4)
    text = " ".join(" ".join(lines).split())
    order = [
        *tables.answer,
        "seed 0: Spearman's rho with blank_out, mean ± std",
        "seed 0: Spearman's rho with blank_out, ranked",
        "seed 0: cost per example",
        "12 examples; explained: predicted class",
        "files ",
    ]
    found = [text.find(part) for part in order]
    assert -1 not in found
    assert found == sorted(found)


def test_no_line_is_folded_by_a_terminal_of_80_columns(tmp_path: Path):
    screen = StringIO()
    path = tmp_path / "run"
    write_runs([RunTables(run(path))], path, None, Console(file=screen, width=80))
    wide = [line for line in screen.getvalue().splitlines() if len(line) > 80]
    assert all(str(path) in line for line in wide)  # a path stays whole


def test_a_note_of_several_tables_is_printed_once(tmp_path: Path):
    folder = run(tmp_path / "run")
    rows = folder.table("rows")
    rewrite(folder, rows=pd.concat([rows, rows.assign(reference="input_gradient")], ignore_index=True))
    screen, tables = StringIO(), RunTables(folder)
    assert sum("bold: the best mean" in note for grid in tables.main_grids for note in grid.notes) == 2
    write_runs([tables], tmp_path / "run", None, Console(file=screen, width=200))
    assert screen.getvalue().count("bold: the best mean") == 1
    assert (tmp_path / "run" / "leaderboard.md").read_text().count("bold: the best mean") > 2


def test_the_answer_is_at_the_top_of_the_markdown_alone(tmp_path: Path):
    runs = [RunTables(run(tmp_path / name, seed)) for seed, name in enumerate(("one", "two"))]
    write_files(runs, tmp_path / "out", None)
    top = (tmp_path / "out" / "leaderboard.md").read_text().split("\n### ")[0]
    expected = [f"## agreement, small, seed {seed}\n\n- " + "\n- ".join(one.answer) for seed, one in enumerate(runs)]
    assert top == "\n\n".join(expected) + "\n"
    for name in ("leaderboard.tex", "leaderboard.csv", "ranking.csv"):
        assert "agrees best" not in (tmp_path / "out" / name).read_text()


def test_a_sweep_has_an_answer_for_each_model(tmp_path: Path):
    for seed in (0, 1):
        run(tmp_path / "sweep" / str(seed), seed)
    run(tmp_path / "sweep" / "2", model_name="large")
    screen = StringIO()
    write_sweep([tmp_path / "sweep"], tmp_path / "out", Console(file=screen, width=200))
    top = (tmp_path / "out" / "leaderboard.md").read_text().split("\n### ")[0]
    headings = [line for line in top.splitlines() if line.startswith("## ")]
    assert headings == ["## agreement, small, seeds 0 1", "## agreement, large, seed 0"]
    assert top.count(" agrees best with blank_out: mean rho ") == 2
    sentences = [line.removeprefix("- ") for line in top.splitlines() if line.startswith("- ")]
    printed = screen.getvalue()
    assert all(sentence in printed.split("mean ± std")[0] for sentence in sentences)


def test_several_runs_have_their_figures_in_separate_folders(tmp_path: Path):
    runs = [RunTables(run(tmp_path / name, seed)) for seed, name in enumerate(("one", "two"))]
    counted = write_files(runs, tmp_path / "out", 0)
    assert list(counted) == [tmp_path / "out" / "one", tmp_path / "out" / "two"]
    for folder, count in counted.items():
        assert len(list((folder / "figures").glob("*.svg"))) == count > 2
    assert set(pd.read_csv(tmp_path / "out" / "pairs.csv")["seed"]) == {0, 1}


def test_referents_are_those_that_the_examples_name(tmp_path: Path):
    """Whatever the planted spans are called."""
    folder = run(tmp_path / "run")
    examples = folder.table("examples")
    examples["planted"] = [[{"name": "ann", "indices": [0]}, {"name": "tom", "indices": [1]}]] * len(examples)
    examples["points_to"] = [[{"class": 0, "name": "ann"}, {"class": 1, "name": "tom"}]] * len(examples)
    tables = {name: folder.table(name) for name in STORED}
    none = RunTables(folder, tables | {"examples": examples})
    both = RunTables(folder, tables | {"examples": examples.assign(referents=[["ann", "tom"]] * len(examples))})
    titles = [[grid.title for grid in one.main_grids if "referent" in grid.title] for one in (none, both)]
    assert titles == [[], ["agreement, small, seed 0: referent agreement"]]
