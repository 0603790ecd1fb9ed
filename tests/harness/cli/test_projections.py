"""`projections=N` from the command line: kept with the run, after it was resumed, and for real models."""

import json
from pathlib import Path

import pandas as pd
import pytest

from harness.results.run_folder import RunFolder
from tests.conftest import SMALL, shared

FEW = [*SMALL, "limit=12", "explainers=[random,attention]", "references=[blank_out]", "projections=3"]
NAMES = ("projections.parquet", "planes.parquet")


def contents(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in NAMES]


def test_a_run_keeps_queries_and_keys_of_its_first_examples(assay, tmp_path: Path, model):
    status, out, _ = assay(*FEW)
    assert status == 0
    assert all(name in out for name in NAMES)
    folder = RunFolder(tmp_path / "run")
    points, planes = folder.projections(), folder.planes()
    assert points is not None
    assert planes is not None
    assert len(planes) == 3 * 4
    assert points["example"].drop_duplicates().tolist() == folder.table("examples")["example"].tolist()[:3]
    assert folder.manifest.phases["projections"] > 0
    assert assay(*FEW[:-1], folder="without")[0] == 0
    without = RunFolder(tmp_path / "without")
    assert without.projections() is None
    assert without.planes() is None


def test_a_resumed_run_has_the_same_projections_as_an_unbroken_one(assay, tmp_path: Path, model, monkeypatch):
    write, calls = RunFolder.write_part, []

    def interrupted(self, part, run):
        if calls:
            raise KeyboardInterrupt
        calls.append(part.number)
        write(self, part, run)

    monkeypatch.setattr(RunFolder, "write_part", interrupted)
    assert assay(*FEW, "token_budget=60")[0] == 130
    assert not any((tmp_path / "run" / name).exists() for name in NAMES)
    monkeypatch.setattr(RunFolder, "write_part", write)
    assert assay("resume=run")[0] == 0
    assert assay(*FEW, "token_budget=60", folder="unbroken")[0] == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "unbroken")


def test_shards_that_are_joined_have_the_planes_of_the_first(assay, assay_report, tmp_path: Path, model):
    assert assay("-m", *FEW, "shard=1/2,2/2", "hydra.sweep.dir=shards")[0] == 0
    assert assay_report("shards/0", "shards/1", "--out", "joined", "--no-figures")[0] == 0
    joined, first = (RunFolder(tmp_path / path).projections() for path in ("joined", "shards/0"))
    assert joined is not None
    pd.testing.assert_frame_equal(joined, first)


@pytest.mark.filterwarnings("ignore::harness.tracing.notices.Inexact")
def test_a_real_classifier(assay, tmp_path: Path):
    task = ["task=sst2", f"task.path={shared('data', 'sst2')}", "model=pretrained"]
    path = shared("checkpoints", "distilbert-minilm-sst2")
    given = [*task, f"model.path={path}", "limit=4", "explainers=[attention]", "references=[blank_out]", "threads=1"]
    status, _, err = assay(*given, "figures=false", "projections=3")
    assert status == 0, err
    planes = RunFolder(tmp_path / "run").planes()
    assert planes is not None
    config = json.loads((path / "config.json").read_text())
    assert len(planes) == config["n_layers"] * config["n_heads"]
    assert planes["left_out"].max() < 1e-4
    assert planes["agreement_by_query"].mean() > 0.4


def test_a_model_that_cannot_be_served_is_warned_of_in_a_sentence(assay, tmp_path: Path, model, monkeypatch):
    def refused(_trace: object) -> None:
        raise ValueError("no softmax")

    monkeypatch.setattr("harness.measure.projections.queries_keys", refused)
    assert assay(*FEW)[0] == 0
    folder = RunFolder(tmp_path / "run")
    assert "no projections: no softmax" in folder.manifest.warnings
    assert folder.projections() is None


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("projection=mds", "projection is one of pca, tsne, umap, got 'mds'"),
        ("projections=-1", "projections is a whole number, at least 0, got -1"),
    ],
)
def test_wrong_settings_are_refused_before_anything_runs(assay, setting: str, said: str):
    status, _, err = assay(*FEW, setting)
    assert status == 1
    assert said in " ".join(err.split())
