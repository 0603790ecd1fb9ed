"""A sweep on a real Slurm of one node: shards, a time limit, a cancelled job, a job that is queued again."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from harness.results.run_folder import RunFolder
from tests.conftest import ROOT, SMALL

CLUSTER = ROOT / ".ci/slurm"
SLOW = """
import itertools, time
from dataclasses import dataclass
from pathlib import Path

CALLS = itertools.count()

@dataclass(frozen=True)
class Slow:  # three batches, and then none as long as there is a file
    def __call__(self, trace):
        if next(CALLS) >= 3:
            while Path("slow").exists():
                time.sleep(0.1)
        return trace.attention.mean(dim=(2, 3))
"""
LAUNCHER = [
    *("hydra/launcher=cluster", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=2"),
    "hydra.sweep.dir=swept",
]
MANY = [*SMALL, "limit=180", "token_budget=30", "explainers=[random,attention]", "references=[blank_out]"]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A running cluster; the environment in which its commands are found."""
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run([CLUSTER, "start", folder], check=True)
    cache = tmp_path_factory.mktemp("cache")
    yield os.environ | {
        "SLURM_CONF": str(folder / "slurm.conf"),
        "ASSAY_CACHE": str(cache),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    subprocess.run([CLUSTER, "stop", folder], check=True)


def begun(slurm: dict[str, str], folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """`assay` in its own process."""
    return subprocess.Popen(
        [sys.executable, "-m", "harness", *arguments],
        cwd=folder,
        env=slurm,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(running: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Its exit status, standard output and standard error; texts without line breaks."""
    out, err = running.communicate(timeout=280)
    return running.returncode, " ".join(out.split()), " ".join(err.split())


def until(happened: Callable[[], bool], running: subprocess.Popen[str], seconds: float = 120) -> None:
    """Wait; fail where the process ends before."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.2)


def jobs(slurm: dict[str, str]) -> dict[str, str]:
    """Each job of the newest array that waits or runs: its id by its number in the array."""
    listed = subprocess.run(
        ["squeue", "-h", "-r", "-o", "%i %K"], env=slurm, capture_output=True, text=True, check=True
    )
    return {number: job for job, number in map(str.split, listed.stdout.splitlines())}


def parts(folder: Path) -> int:
    """Finished batches of a job."""
    return len(list(folder.glob("parts/part-*.json")))


def status(folder: Path) -> str:
    """What a job's manifest says; nothing before there is one."""
    return RunFolder(folder).manifest.status if RunFolder(folder).holds_a_run else ""


def board(folder: Path) -> pd.DataFrame:
    """A leaderboard without the columns that name runs and count how they ended."""
    return pd.read_csv(folder / "leaderboard.csv", dtype=str, keep_default_na=False)


def test_three_shards_train_once_and_give_the_digits_of_one_run(slurm, tmp_path: Path):
    code, out, err = ended(begun(slurm, tmp_path, "-m", *MANY, "shard=1/3,2/3,3/3", *LAUNCHER))
    assert code == 0, err
    assert "180 examples;" in out
    logs = [path.read_text() for path in (tmp_path / "swept/.submitit").rglob("*_log.err")]
    assert len(logs) == 3
    assert sum("training:" in log for log in logs) == 1, logs
    code, _, err = ended(begun(slurm, tmp_path, *MANY, "hydra.run.dir=whole"))
    assert code == 0, err
    swept, whole = board(tmp_path / "swept"), board(tmp_path / "whole")
    shared = [name for name in whole.columns if name in swept.columns]
    assert len(shared) > 10
    for name in shared:
        pd.testing.assert_series_equal(numbers(swept[name]), numbers(whole[name]), rtol=1e-5, atol=1e-6)


def numbers(column: pd.Series) -> pd.Series:
    """A column as numbers, where it holds numbers."""
    converted = pd.to_numeric(column, errors="coerce")
    return column if converted.isna().all() else converted


def test_jobs_that_a_cluster_ends_are_named_and_continued(slurm, tmp_path: Path):
    """Of three shards one reaches its time limit, one is cancelled, and one is queued again."""
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "slow").touch()
    swept, slow = tmp_path / "swept", "+explainers.slow={_target_:slow.Slow}"
    limits = ["hydra.launcher.timeout_min=2", "hydra.launcher.signal_delay_s=60"]
    running = begun(slurm, tmp_path, "-m", *MANY, slow, "shard=1/3,2/3,3/3", *LAUNCHER, *limits)
    until(lambda: all(parts(swept / name) >= 2 for name in "012"), running)
    queued = jobs(slurm)
    subprocess.run(["scancel", queued["1"]], env=slurm, check=True)
    subprocess.run(["scontrol", "requeue", queued["2"]], env=slurm, check=True)
    until(lambda: status(swept / "1") == "stopped", running)
    until(lambda: status(swept / "0") == "stopped", running)  # by SIGUSR2, before the limit
    assert parts(swept / "0") >= 2
    (tmp_path / "slow").unlink()
    code, out, err = ended(running)
    assert code == 1
    assert "2 of 3 jobs failed" in err
    assert "Traceback" not in err
    assert "NOT COMPLETE" in out
    assert [status(swept / name) for name in "012"] == ["stopped", "stopped", "complete"]
    again = RunFolder(swept / "2").manifest.counts
    assert again is not None
    assert 0 < again.computed_now < 60  # the batches from before were kept
    for name in "01":
        code, _, err = ended(begun(slurm, tmp_path, f"resume={swept / name}", "allow=[slow]"))
        assert code == 0, err
    joined = subprocess.run(
        [sys.executable, "-m", "harness.cli.report", swept], cwd=tmp_path, env=slurm, capture_output=True, check=False
    )
    assert joined.returncode == 0, joined.stderr
    code, _, err = ended(begun(slurm, tmp_path, "-m", *MANY, slow, "shard=1/3,2/3,3/3", "hydra.sweep.dir=local"))
    assert code == 0, err
    assert board(swept).equals(board(tmp_path / "local"))


def test_a_job_that_is_cancelled_while_it_waits_is_named(slurm, tmp_path: Path):
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "slow").touch()
    one = "hydra.launcher.array_parallelism=1"
    running = begun(
        slurm, tmp_path, "-m", *MANY, "+explainers.slow={_target_:slow.Slow}", "shard=1/2,2/2", *LAUNCHER, one
    )
    until(lambda: parts(tmp_path / "swept/0") >= 1, running)
    subprocess.run(["scancel", jobs(slurm)["1"]], env=slurm, check=True)
    (tmp_path / "slow").unlink()
    code, _, err = ended(running)
    assert code == 1
    assert "1 of 2 jobs did not begin" in err
    assert "this job ended before it began: assay " in err
    assert "shard=2/2" in err


def test_what_the_cluster_does_not_have_is_one_sentence(slurm, tmp_path: Path):
    code, _, err = ended(begun(slurm, tmp_path, "-m", *MANY, "seed=0,1", *LAUNCHER, "hydra.launcher.partition=nothing"))
    assert code == 1
    assert "Slurm did not take the jobs" in err
    assert "invalid partition" in err
    assert "Traceback" not in err
