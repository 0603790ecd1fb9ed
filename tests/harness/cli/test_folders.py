"""Run folders of the command line: who owns one, what is left of a run that ended badly, and folders of strangers."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from harness.results.run_folder import RunFolder
from harness.results.shell import argument
from tests.conftest import ROOT, SMALL
from tests.tasks.folders import bert

FEW = [*SMALL, "limit=12", "token_budget=60", "explainers=[random,attention]", "references=[blank_out]"]


def begun(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """`assay` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "harness", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell's background job ignores Ctrl-C, and its children would too
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


def board(folder: Path) -> str:
    return (folder / "leaderboard.csv").read_text()


def test_runs_that_start_at_once_have_a_folder_each(tmp_path: Path, model):
    running = [begun(tmp_path, *FEW, f"model.seed={seed}") for seed in (0, 0, 0)]
    said = [one.communicate(timeout=200) for one in running]
    assert [one.returncode for one in running] == [0, 0, 0], said
    folders = sorted(path.parent for path in tmp_path.rglob("manifest.json"))
    assert len(folders) == 3
    assert len({RunFolder(path).manifest.run for path in folders}) == 3
    assert board(folders[0]) == board(folders[1]) == board(folders[2])


def test_a_folder_is_claimed_before_data_and_model(assay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen = []

    def stop(_self: object, _model: object) -> None:
        seen.append(RunFolder(tmp_path / "run").manifest)
        raise KeyboardInterrupt

    monkeypatch.setattr("tasks.agreement.agreement.Agreement.examples", stop)
    status, _, err = assay(*FEW)
    assert status == 130
    assert f"stopped before anything was explained: continue with assay resume={tmp_path / 'run'}" in err
    assert (seen[0].status, seen[0].has_model) == ("running", False)
    assert RunFolder(tmp_path / "run").manifest.status == "stopped"
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert assay(f"resume={tmp_path / 'run'}")[0] == 0


def test_a_run_that_cannot_begin_leaves_its_name_free(assay, tmp_path: Path, model):
    status, _, err = assay(*FEW, "model.path=/nowhere")
    assert (status, "/nowhere holds no agreement model" in err) == (1, True)
    assert assay(*FEW)[0] == 0


@pytest.mark.parametrize(
    ("number", "exit_status"), [(signal.SIGTERM, 143), (signal.SIGUSR2, 143), (signal.SIGINT, 130)]
)
def test_a_terminated_run_says_so_in_its_manifest_and_can_be_continued(
    tmp_path: Path, assay, model, number: int, exit_status: int
):
    many = [*SMALL, "limit=200", "token_budget=60", "explainers=[random,flow]"]
    folder = tmp_path / "ended"
    running = begun(tmp_path, *many, f"hydra.run.dir={folder}")
    deadline = time.monotonic() + 100
    while len(list(folder.glob("parts/part-*.json"))) < 3:
        assert running.poll() is None, running.stderr and running.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    running.send_signal(number)
    _, err = running.communicate(timeout=100)
    assert running.returncode == exit_status
    assert f"stopped; finished batches are saved: continue with assay resume={folder}" in err
    assert RunFolder(folder).manifest.status == "stopped"
    assert len(RunFolder(folder).finished()) >= 3
    assert "NOT COMPLETE (stopped)" in (folder / "leaderboard.md").read_text()
    assert assay(f"resume={folder}")[0] == 0
    assert assay(*many, folder="whole")[0] == 0
    assert board(folder) == board(tmp_path / "whole")


def test_damaged_tables_are_computed_again(assay, tmp_path: Path, model):
    assert assay(*FEW)[0] == 0
    folder, before = tmp_path / "run", board(tmp_path / "run")
    (folder / "scores.parquet").write_bytes(b"PAR1")
    status, _, err = assay(f"resume={folder}")
    assert status == 0, err
    assert "scores.parquet is not the table that this run wrote" in err
    assert board(folder) == before
    RunFolder(folder).check_tables()


def test_a_damaged_part_is_computed_again_and_said(assay, tmp_path: Path, model, monkeypatch: pytest.MonkeyPatch):
    folder, write = tmp_path / "run", RunFolder.write_part

    def third_fails(self: RunFolder, part, run) -> None:
        if len(self.finished()) == 2:
            raise OSError(28, "No space left on device", str(self.parts.path))
        write(self, part, run)

    monkeypatch.setattr(RunFolder, "write_part", third_fails)
    status, _, err = assay(*FEW)
    assert status == 1
    assert f"{folder} cannot be written any more (No space left on device); finished batches are saved" in err
    monkeypatch.setattr(RunFolder, "write_part", write)
    number = min(RunFolder(folder).finished())
    (folder / "parts" / f"metrics-{number:05d}.parquet").unlink()
    (folder / "parts" / "mine.txt").write_text("a note")
    status, _, err = assay(f"resume={folder}")
    assert status == 0, err
    assert f"part {number} is damaged (metrics) and does not count" in err
    assert "mine.txt is no file of this run and is left alone" in err
    assert (folder / "parts" / "mine.txt").read_text() == "a note"
    assert f"WARNING part {number} is damaged (metrics)" in (folder / "leaderboard.md").read_text()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert assay(*FEW, folder="whole")[0] == 0
    assert board(folder) == board(tmp_path / "whole")


ODD = ["a=b", "a,b", "(x)", "a#b", "~", "é", "a b", " a", "it's", 'a"b', "[x]", "{x}", "*", "$HOME", "a;b&c|d", "-m"]


@pytest.mark.parametrize("name", ODD)
def test_hints_for_a_folder_with_an_odd_name_can_be_pasted(assay, tmp_path: Path, model, name: str, monkeypatch):
    status, _, err = assay(*FEW, *shlex.split(argument("hydra.run.dir", tmp_path / name)))
    assert status == 0, err
    status, _, err = assay(*FEW, *shlex.split(argument("hydra.run.dir", tmp_path / name)))
    assert status == 1
    hint = err.partition("continue with assay ")[2].partition(", or choose")[0]
    status, _, err = assay(*shlex.split(hint))
    assert status == 0, err


@pytest.mark.parametrize("name", [name for name in ODD if set(name) & set("=,()#é'\"[{") and name != "~"])
def test_an_argument_that_cannot_be_read_is_repeated_with_the_quotes_that_it_needs(assay, name: str):
    _, _, err = assay(f"task.path=/nowhere/{name}", "task=sst2")
    typed = shlex.split(err.partition(": type ")[2].partition(" if it is one")[0])
    assert len(typed) == 1
    _, _, err = assay(*typed, "task=sst2")
    assert f"/nowhere/{name}: expected a file or a folder, found none" in err


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=8))
def test_an_argument_is_read_back_letter_for_letter(text: str):
    (typed,) = shlex.split(argument("key", text))
    value = OverridesParser.create().parse_override(typed).value()
    assert OmegaConf.to_container(OmegaConf.create({"key": value}), resolve=True) == {"key": text}


def test_a_nested_sweep_ends_with_one_leaderboard_and_the_failed_line(tmp_path: Path, model):
    done = begun(
        *(tmp_path, "-m", *FEW, "model.path=/nowhere,null", "seed=0", "hydra.sweep.dir=swept"),
        "hydra.sweep.subdir=a/b/${hydra.job.num}",
    )
    _, err = done.communicate(timeout=200)
    assert done.returncode == 1, err
    assert "1 of 2 jobs failed" in err
    table = pd.read_csv(tmp_path / "swept" / "leaderboard.csv")
    assert set(table["status"]) == {"ok", "failed"}
    assert (tmp_path / "swept" / "a" / "b" / "1" / "rows.parquet").is_file()


MARK = "tests.harness.cli.test_folders.Mark"


class Mark:
    """Code that a stranger's folder would like to run."""

    ran: ClassVar[list[object]] = []

    def __init__(self, **given: object):
        Mark.ran.append(given)

    def __call__(self, trace):
        return trace.attention.mean(dim=(2, 3))


STRANGE = {
    f"+explainers.mine={{_target_: {MARK}}}": f"would run {MARK}",
    f"task={{_target_: {MARK}}}": "would run|choose from",
    "+explainers.mine={_target_: os.system, command: 'touch ran'}": "would run os.system",
    "+explainers.mine={_target_: harness.results.files.os.system, command: ls}": "would run harness.results.files.os",
    "+explainers.mine={_target_: harness.results.files.write_atomically, path: ran, content: x}": "would run harness",
    "+references.mine={_target_: methods.references.blank_out.torch.load, f: x}": "would run methods.references",
    f"+hydra.callbacks.mine={{_target_: {MARK}}}": "asks for '+hydra.callbacks",
    "hydra/launcher=joblib": "asks for 'hydra/launcher=joblib'",
    "--multirun": "asks for '--multirun'",
}


@pytest.mark.parametrize("override", list(STRANGE))
def test_resuming_a_strangers_folder_runs_no_code_of_theirs(assay, tmp_path: Path, model, override: str):
    assert assay(*FEW, "explainers=[random]")[0] == 0
    path = tmp_path / "run" / "manifest.json"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps(stored | {"overrides": [*stored["overrides"], override]}))
    Mark.ran.clear()
    status, _, err = assay(f"resume={tmp_path / 'run'}")
    assert status == 1
    assert any(part in err for part in STRANGE[override].split("|")), err
    assert not Mark.ran
    assert not (tmp_path / "ran").exists()


def test_a_strangers_configuration_files_change_nothing(assay, tmp_path: Path, model):
    folder = tmp_path / "conf"
    (folder / "experiment").mkdir(parents=True)
    (folder / "experiment" / "mine.yaml").write_text(
        f"# @package _global_\nhydra:\n  callbacks:\n    mine:\n      _target_: {MARK}\n"
    )
    assert assay(*FEW, "explainers=[random]")[0] == 0
    path = tmp_path / "run" / "manifest.json"
    stored = json.loads(path.read_text())
    changed = {"overrides": [*stored["overrides"], "+experiment=mine"], "config_dir": str(folder)}
    path.write_text(json.dumps(stored | changed))
    Mark.ran.clear()
    status, _, err = assay(f"resume={tmp_path / 'run'}")
    assert (status, f"would run {MARK}" in err, Mark.ran) == (1, True, [])


def test_code_of_a_package_that_the_user_names_again_is_run(assay, tmp_path: Path, model):
    given = [*FEW, f"+explainers.mine={{_target_: {MARK}}}"]
    Mark.ran.clear()
    assert assay(*given)[0] == 0
    status, _, err = assay(f"resume={tmp_path / 'run'}")
    assert status == 1
    hint = err.partition("say so with assay ")[2]
    assert len(Mark.ran) == 1
    assert assay(*shlex.split(hint))[0] == 0
    assert len(Mark.ran) == 2


def test_a_run_with_a_configuration_folder_can_be_resumed(assay, tmp_path: Path, model):
    folder = tmp_path / "my conf"
    (folder / "explainers").mkdir(parents=True)
    (folder / "explainers" / "half.yaml").write_text(
        "half:\n  _target_: methods.explainers.rollout.Rollout\n  residual: 0.25\n"
    )
    status, _, err = assay(*FEW, "+explainers=[half]", "--config-dir", str(folder))
    assert status == 0, err
    assert RunFolder(tmp_path / "run").manifest.config_dir == str(folder)
    status, _, err = assay(f"resume={tmp_path / 'run'}")
    assert status == 0, err
    assert "half" in board(tmp_path / "run")


def test_a_method_in_the_current_folder_is_found(tmp_path: Path, model):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass Mine:\n"
        "    def __call__(self, trace):\n        return trace.attention.mean(dim=(2, 3))\n"
    )
    program = "import sys; from harness.cli.assay import main; main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *FEW, "+explainers.mine={_target_: mine.Mine}", "hydra.run.dir=out"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "mine" in board(tmp_path / "out")


SURROUNDINGS = {
    "a terminal that knows ASCII alone": {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"},
    "the backend of a notebook": {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
    "no such backend": {"MPLBACKEND": "nonsense"},
}


@pytest.mark.parametrize("name", list(SURROUNDINGS))
def test_work_is_not_lost_to_the_screen(tmp_path: Path, model, name: str):
    arguments = [one for one in FEW if one != "figures=false"]
    done = subprocess.run(
        [sys.executable, "-m", "harness", *arguments, "hydra.run.dir=out", "pictured=1"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | SURROUNDINGS[name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "rollout" in done.stdout or "attention" in done.stdout
    assert list((tmp_path / "out" / "figures").glob("*.svg"))
    assert (tmp_path / "out" / "leaderboard.md").read_text().count("±") > 1


@pytest.mark.parametrize("command", ["assay", "assay-report"])
def test_a_reader_that_leaves_early_is_no_failure(tmp_path: Path, model, command: str, assay):
    assert assay(*FEW)[0] == 0
    program = {
        "assay": "from harness.cli.assay import main; main()",
        "assay-report": "from harness.cli.report import main; main()",
    }[command]
    arguments = [f"resume={tmp_path / 'run'}"] if command == "assay" else [str(tmp_path / "run"), "--no-figures"]
    (tmp_path / "run" / "leaderboard.csv").unlink()
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        running.stdout.close()
        assert running.stderr is not None
        said = running.stderr.read()
    assert running.returncode == 0, said
    assert "Broken" not in said
    assert (tmp_path / "run" / "leaderboard.csv").is_file()


def test_an_empty_shard_is_refused_in_a_sentence(assay, model):
    status, _, err = assay(*SMALL, "limit=5", "shard=8/8", "explainers=[random]")
    assert status == 1
    assert "shard=8/8 has no example, as there are only 5: take at most 5 shards" in err


def test_classes_may_be_numbers(assay, tmp_path: Path):
    folder = bert(tmp_path / "model", id2label={0: "1", 1: "2"}, label2id={"1": 0, "2": 1})
    (tmp_path / "data.csv").write_text("text,label\na dull film,1\nmoving and funny,2\nnot very good,1\n")
    given = ["task=classification", "task.path=data.csv", "task.labels=[1,2]", "task.values=[1,2]", "figures=false"]
    status, _, err = assay(*given, f"model.path={folder}", "target=1", "explainers=[random,attention]", "threads=1")
    assert status == 0, err
    protocol = RunFolder(tmp_path / "run").manifest.protocol
    assert protocol is not None
    assert protocol.target == "1"


def test_copies_of_a_text_are_one_cluster(assay, tmp_path: Path):
    folder = bert(tmp_path / "model")
    texts = ["a dull film", "moving and funny", "not very good"]
    rows = [f"{text},{index % 2}" for index in range(4) for text in texts]
    (tmp_path / "data.csv").write_text("\n".join(["text,label", *rows]))
    given = ["task=classification", "task.path=data.csv", "task.labels=[a,b]", "figures=false", "threads=1"]
    status, _, err = assay(*given, f"model.path={folder}", "explainers=[random,attention]")
    assert status == 0, err
    examples = RunFolder(tmp_path / "run").table("examples")
    assert len(examples) == 12
    assert examples["cluster"].nunique() == 3
