"""Sweeps as a user types them: one leaderboard that includes failed jobs, shards, depths, and every launcher."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hydra.types import RunMode

from harness.cli.configuration import threads
from harness.results.run_folder import RunFolder
from harness.results.shards import shards
from harness.tables import STORED
from tests.conftest import ROOT, SMALL

QUICK = [*SMALL, "limit=40", "explainers=[random,attention]", "references=[blank_out]"]


def process(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Run `assay` in its own process: exit status, standard output, standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def board(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "leaderboard.csv", dtype=str, keep_default_na=False)


def skip_without(launcher: str) -> None:
    if importlib.util.find_spec(f"hydra_plugins.hydra_{launcher}_launcher") is None:
        pytest.skip(f"the {launcher} launcher is not installed: pip install 'assay[sweep]'")


def test_a_failed_job_is_a_line_of_the_one_leaderboard_and_the_rest_continue(tmp_path: Path, model):
    status, out, err = process(
        tmp_path, "-m", *QUICK, "model.seed=0", "seed=0,1", "model.path=/nonexistent,null", "hydra.sweep.dir=swept"
    )
    assert status == 1, err
    assert "Traceback" not in err
    assert "assay: 2 of 4 jobs failed" in err
    swept = tmp_path / "swept"
    table = board(swept)
    whole, failed = table[table["status"] == "ok"], table[table["status"] == "failed"]
    assert set(whole["model"]) == {"agreement_transformer"}
    assert set(whole["seed"]) == {"0 1"}
    assert failed["model"].tolist() == ["nonexistent"] * 2
    assert failed["seed"].tolist() == ["0", "1"]
    assert all("/nonexistent holds no agreement model" in error for error in failed["error"])
    single = board(swept / "1")
    assert whole["n"].astype(int).tolist() == [2 * n for n in single["n"].astype(int)]
    written = (swept / "leaderboard.md").read_text()
    for text in (out, written):
        assert re.search(r"nonexistent, seed 1 +\|? *failed", text)
        assert "pooled over seeds 0, 1: n counts examples × seeds" in text
        assert "(swept/0): /nonexistent holds no agreement model" in text
    assert written.count("###") == 1
    assert (swept / "leaderboard.tex").read_text().count(r"\begin{tabular}{llrrrrrrr}") == 1
    manifest = json.loads((swept / "0" / "manifest.json").read_text())
    assert (manifest["status"], manifest["task"], manifest["seed"]) == ("failed", "agreement", 0)
    assert "model.path=/nonexistent" in manifest["overrides"]
    assert manifest["error"].startswith("/nonexistent holds no agreement model")


def test_metrics_of_planted_truth_have_one_line_of_chance_in_a_sweep(assay, tmp_path: Path, model):
    swept = tmp_path / "swept"
    status, _, err = assay(
        "-m", *QUICK, "metrics=[planted_mass]", "model.seed=0", "seed=0,1", f"hydra.sweep.dir={swept}"
    )
    assert status == 0, err
    lines = board(swept)
    chance = lines[(lines["explainer"] == "chance") & (lines["measure"] == "planted_mass")]
    assert len(chance) == 1
    assert 0 < float(chance["mean"].iloc[0]) < 0.5


def test_shards_match_the_whole_run_in_every_digit(assay, tmp_path: Path, model):
    assert assay("-m", *QUICK, "shard=1/3,2/3,3/3", "hydra.sweep.dir=shards")[0] == 0
    assert assay(*QUICK, "hydra.run.dir=whole")[0] == 0
    pieces, whole = board(tmp_path / "shards"), board(tmp_path / "whole")
    pd.testing.assert_frame_equal(pieces[whole.columns], whole)  # as text: every digit
    assert "40 examples;" in (tmp_path / "shards" / "leaderboard.md").read_text()
    assert "NOT COMPLETE" not in (tmp_path / "shards" / "leaderboard.md").read_text()


def test_all_shards_of_a_run_combine_into_the_whole_run(assay, assay_report, tmp_path: Path, model):
    quick = [*QUICK, "explainers=[random,attention,rollout]", "maps=1"]
    assert assay("-m", *quick, "shard=1/3,2/3,3/3", "hydra.sweep.dir=shards")[0] == 0
    assert assay(*quick, "hydra.run.dir=whole")[0] == 0
    assert assay_report("shards/2", "shards/0", "shards/1", "--out", "joined", "--no-figures")[0] == 0
    for name in ("leaderboard.csv", "ranking.csv"):
        joined, whole = (pd.read_csv(tmp_path / run / name, dtype=str) for run in ("joined", "whole"))
        joined, whole = (table.drop(columns="seconds", errors="ignore") for table in (joined, whole))
        pd.testing.assert_frame_equal(joined, whole)  # as text: every digit
    for name in STORED:
        joined, whole = (pd.read_parquet(tmp_path / run / f"{name}.parquet") for run in ("joined", "whole"))
        numbers = whole.select_dtypes("number").columns
        pd.testing.assert_frame_equal(joined[numbers], whole[numbers], rtol=1e-5, atol=1e-6)
        assert joined["example"].tolist() == whole["example"].tolist()
    joined, whole = (pd.read_parquet(tmp_path / run / "maps.parquet") for run in ("joined", "whole"))
    joined = joined[joined["example"].isin(whole["example"])].reset_index(drop=True)
    assert len(joined) > 0
    assert joined.drop(columns="scores").equals(whole.drop(columns="scores"))
    assert np.allclose(np.stack(joined["scores"].tolist()), np.stack(whole["scores"].tolist()), atol=1e-6)
    manifest = json.loads((tmp_path / "joined" / "manifest.json").read_text())
    assert not any("shard" in one for one in manifest["overrides"])
    assert manifest["counts"]["examples"] == manifest["examples"] == 40
    shard_costs = [RunFolder(tmp_path / "shards" / shard).costs()["reference", "blank_out"] for shard in "012"]
    forward = manifest["costs"]["reference"]["blank_out"]["forward"]
    assert forward == sum(cost.forward for cost in shard_costs)
    assert "cost per example, n 40" in (tmp_path / "joined" / "leaderboard.md").read_text()
    assert assay_report("joined", "--no-figures")[0] == 0
    status, _, err = assay_report("shards", "--out", "joined")
    assert status == 1
    assert "joined holds a run already: choose another folder with --out" in err
    (tmp_path / "joined" / "manifest.json").unlink()
    status, _, err = assay_report("shards", "--out", "joined")  # its tables would be taken for those of the shards
    assert status == 1
    assert "joined holds tables without a manifest: remove them" in err
    parts = [RunFolder(tmp_path / "shards" / part) for part in "012"]
    assert [part.path for part in shards([part.path for part in parts])] == [part.path for part in parts]
    parts[1].write_manifest(replace(parts[1].manifest, code="of another day"))
    assert shards([part.path for part in parts]) == []


def test_a_leaderboard_of_incomplete_shards_says_that_one_is_missing(assay, assay_report, tmp_path: Path, model):
    assert assay("-m", *QUICK, "shard=1/3,3/3", "hydra.sweep.dir=shards")[0] == 0
    status, out, _ = assay_report("shards", "--out", "joined")
    assert status == 0
    assert "NOT COMPLETE: shard 2/3 is missing" in out
    assert not (tmp_path / "joined" / "manifest.json").exists()


def test_models_of_different_depth_share_one_table_by_layer_and_one_by_depth(assay, tmp_path: Path, model):
    status, out, _ = assay("-m", *QUICK, "model.training.epochs=1", "model.layers=2,3", "hydra.sweep.dir=swept")
    assert status == 0
    by_layer, by_depth = (tmp_path / "swept" / "leaderboard.md").read_text().split("### ")[1:]
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in by_layer.splitlines() if "| attent" in line
    ]
    relative = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in by_depth.splitlines() if "| attent" in line
    ]
    assert "| model | explainer | input | L1 | L2 | L3 | n |" in by_layer
    assert "| model | explainer | input | 1/2 | 2/2 | n |" in by_depth
    assert [line[0] for line in lines] == ["agreement_transformer [layers=2]", "agreement_transformer [layers=3]"]
    assert lines[0][5] == ""
    assert relative[0][3:5] == lines[0][3:5]
    assert relative[1][3:5] == lines[1][4:6]  # the second and third of three layers
    assert "in column k/2, a model of L layers shows its layer ceil(k L / 2)" in out


def test_the_setting_that_differs_is_in_the_name_and_shared_work_counts_once(assay, tmp_path: Path, model):
    quick = [*SMALL, "limit=12", "explainers=[attention,rollout]", "references=[blank_out]"]
    status, _, err = assay("-m", *quick, "explainers.rollout.residual=0.1,0.5", "hydra.sweep.dir=swept")
    assert status == 0, err
    table = board(tmp_path / "swept")
    assert list(dict.fromkeys(table["explainer"])) == ["attention", "rollout (residual=0.1)", "rollout (residual=0.5)"]
    assert set(table["n"]) == set(board(tmp_path / "swept" / "0")["n"])


def test_a_sweep_is_not_overwritten_and_a_typo_stops_it_before_the_first_job(assay, tmp_path: Path, model):
    assert assay("-m", *QUICK, "limit=4", "hydra.sweep.dir=swept")[0] == 0
    status, _, err = assay("-m", *QUICK, "limit=4", "hydra.sweep.dir=swept")
    assert status == 1
    assert "swept holds runs already: continue one with assay resume=<its folder>" in err
    status, _, err = assay("-m", *QUICK, "task=agreement,agreemant", "hydra.sweep.dir=other")
    assert status == 1
    assert "did you mean agreement?" in err
    assert not list((tmp_path / "other").glob("[0-9]"))


def test_ctrl_c_stops_the_sweep(assay, tmp_path: Path, model, monkeypatch):
    def interrupted(self, part, names):
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "write_part", interrupted)
    status, _, err = assay("-m", *QUICK, "shard=1/2,2/2", "hydra.sweep.dir=swept")
    assert status == 130
    assert "make the table of what is there with assay-report swept" in err
    assert not (tmp_path / "swept" / "1").exists()


def test_joblib_runs_jobs_in_parallel(tmp_path: Path, model):
    skip_without("joblib")
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=swept"]
    status, out, err = process(tmp_path, "-m", *QUICK, "shard=1/2,2/2,3/2", *launcher)
    assert status == 1, err
    assert "40 examples;" in out
    assert "assay: job 2: shard is k/n with k from 1 to n" in err
    assert board(tmp_path / "swept")["status"].tolist() == [*["ok"] * 4, "failed"]


DEADLY = """
import os, signal
from dataclasses import dataclass
from pathlib import Path

@dataclass(frozen=True)
class Deadly:
    def __call__(self, trace):
        try:
            Path("victim").unlink()
        except FileNotFoundError:
            return trace.attention.mean(dim=(2, 3))
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_submitit_job_is_reported_and_can_be_resumed(assay, assay_report, monkeypatch, tmp_path: Path, model):
    """One of two jobs kills its own process; the other finishes, and the table is written."""
    skip_without("submitit")
    (tmp_path / "deadly.py").write_text(DEADLY)
    (tmp_path / "victim").touch()
    quick = [*SMALL, "limit=40", "explainers=[attention]", "references=[blank_out]"]
    deadly, launcher = "+explainers.deadly={_target_:deadly.Deadly}", "hydra/launcher=submitit_local"
    status, out, err = process(tmp_path, "-m", *quick, deadly, "shard=1/2,2/2", launcher, "hydra.sweep.dir=swept")
    assert status == 1, err
    assert "assay: 1 of 2 jobs failed" in err
    assert "Traceback" not in err
    assert "its process ended before the job did" in " ".join(out.split())
    assert re.search(r"NOT COMPLETE: shard ./2 is missing", out)
    killed = next(
        path.parent
        for path in (tmp_path / "swept").glob("*/manifest.json")
        if json.loads(path.read_text())["status"] == "failed"
    )
    monkeypatch.syspath_prepend(tmp_path)
    status, _, err = assay(f"resume={killed}", "allow=[deadly]")
    assert status == 0, err
    assert assay_report("swept")[0] == 0
    text = (tmp_path / "swept" / "leaderboard.md").read_text()
    assert "40 examples;" in text
    assert "NOT COMPLETE" not in text
    assert set(board(tmp_path / "swept")["status"]) == {"ok"}


@pytest.mark.parametrize(
    ("launcher", "expected"),
    [
        ({"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"}, None),
        ({"_target_": "hydra_joblib_launcher.JoblibLauncher", "n_jobs": 2}, 4),
        ({"_target_": "hydra_joblib_launcher.JoblibLauncher", "n_jobs": -1}, 1),
        ({"_target_": "hydra_joblib_launcher.JoblibLauncher", "n_jobs": 16}, 1),
        ({"_target_": "hydra_submitit_launcher.SlurmLauncher", "cpus_per_task": 3}, 3),
        ({"_target_": "hydra_submitit_launcher.LocalLauncher", "cpus_per_task": None}, 1),
    ],
)
def test_parallel_jobs_share_the_cores(monkeypatch, launcher, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    running = SimpleNamespace(mode=RunMode.MULTIRUN, launcher=launcher)
    assert threads(None, running) == expected
    assert threads(5, running) == 5
    assert threads(None, SimpleNamespace(mode=RunMode.RUN, launcher=launcher)) is None
    if "Slurm" in launcher["_target_"]:
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", "6")
        assert threads(None, running) == 6


def test_the_cluster_launcher_composes(assay):
    skip_without("submitit")
    status, out, err = assay("hydra/launcher=cluster", "hydra.launcher.partition=long", "--cfg", "hydra")
    assert status == 0, err
    assert "SlurmLauncher" in out
    assert "partition: long" in out
