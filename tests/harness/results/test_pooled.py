from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.report.formats.plain import plain_lines
from harness.report.pool_tables import PoolTables
from harness.results.pooled import found, pooled
from harness.results.run_folder import RunFolder
from harness.results.run_labels import run_labels
from harness.statistics.leaderboard import leaderboard
from harness.tables import (
    EXAMPLES,
    METRICS,
    SCORES,
    STATISTICS,
    STORED,
    Cost,
    Costs,
    Manifest,
    Method,
    RecordedProtocol,
)

CONFIG = {"seed": 0, "include": "content", "model": {"layers": 2}, "task": {"path": None}}


def manifest(**given: Any) -> Manifest:
    """The manifest of a complete run of one explainer, one floor and one reference."""
    config = CONFIG | {"explainers": {"flow": {}}, "references": {"blank_out": {}}} | (given.pop("config", None) or {})
    fields: dict[str, Any] = {
        "status": "complete",
        "task": "agreement",
        "model_name": "small",
        "seed": 0,
        "shard": None,
        "overrides": [],
        "protocol": RecordedProtocol("predicted", "logit", "content", "average", 2048),
        "data": "d",
        "model": "m",
        "code": "c",
        "explainers": {"flow": Method("Flow(residual=0.5)", ""), "floor": Method("RandomisedWeights()", "", "l2")},
        "references": {"input_gradient": Method("InputGradient()", "", "abs_sum")},
        "facts": {"accuracy": 0.5},
        "costs": Costs({("phase", "trace"): Cost(1.0), ("explainer", "flow"): Cost(1.5)}),
        "peak_memory_mib": 100,
        "warnings": ["careful"],
    }
    return Manifest(**fields | {"config": config} | given)


def run(path: Path, examples: str = "abcd", layers: int = 2, **given: Any) -> RunFolder:
    """The folder of such a run."""
    folder = RunFolder(path)
    path.mkdir(parents=True)
    told = manifest(examples=len(examples), **given)
    folder.write_manifest(told)
    rows = [
        {
            "task": told.task,
            "model": told.model_name,
            "seed": told.seed,
            "example": example,
            "kind": "explainer",
            "explainer": "flow",
            "layer": layer,
            "head": 0,
            "reference": "blank_out",
            "rho": 0.1 * layer + 0.01 * ord(example) - 1.1 * told.seed,
            "n_tokens": 5,
            **dict.fromkeys(STATISTICS, 0.5),
            "same": False,
            "status": "ok",
            "error": None,
        }
        for example in examples
        for layer in range(1, layers + 1)
    ]
    described = pd.DataFrame({"example": list(examples), "cluster": list(examples), "position": 0})
    described = described.assign(
        gold=1, predicted=1, gradient_sum_over_norm=0.5, source=0, target_length=0, next_word=-1
    )
    for name, kind in EXAMPLES.columns.items():
        if kind.startswith("list"):
            described[name] = [[] for _ in examples]
    tables = {"rows": pd.DataFrame(rows), "examples": described, "scores": SCORES.empty(), "metrics": METRICS.empty()}
    folder.write_tables({name: schema.check(tables[name]) for name, schema in STORED.items()})
    return folder


def tables(folder: Path) -> PoolTables:
    return PoolTables(*pooled(found([folder])))


def notes(folder: Path) -> list[str]:
    return tables(folder).notes("agreement")


def test_mean_and_spread_are_bit_identical_in_any_order_of_the_rows():
    rho = np.random.default_rng(0).normal(size=1000)
    rows = pd.DataFrame({"example": [f"{n:04d}" for n in range(1000)], "value": rho, "status": "ok", "same": False})
    rows = rows.assign(task="t", model="m", seed=0, measure="r", kind="explainer", explainer="e", head=0, layer=1)
    rows, examples = rows.assign(higher=None), rows[["example"]].assign(cluster=rows["example"])
    other = leaderboard(rows.sample(frac=1, random_state=1), examples)
    pd.testing.assert_frame_equal(leaderboard(rows, examples), other, check_exact=True)


def test_shards_are_pooled_into_the_whole_run(tmp_path: Path):
    for part, examples in enumerate(("ad", "be", "c"), start=1):
        run(tmp_path / "shards" / str(part), examples, shard=f"{part}/3", peak_memory_mib=100 * part)
    run(tmp_path / "whole" / "0", "abcde")
    shards, whole = (tables(tmp_path / name) for name in ("shards", "whole"))
    pd.testing.assert_frame_equal(shards.board, whole.board, check_exact=True)
    assert [pool.seconds for pool in shards.pools] == [{"flow": 4.5}]
    lines = shards.notes("agreement")
    reduced = "numbers per hidden dimension are reduced by l2 (floor), abs_sum (reference input_gradient)"
    assert lines.count(reduced) == 1
    assert lines[0].startswith("5 examples; explained")
    assert lines.count("WARNING careful") == 1
    assert lines[-1] == "seconds: trace 3.0; peak memory 300 MiB"
    assert not [line for line in lines if "COMPLETE" in line]


def test_a_missing_shard_is_reported(tmp_path: Path):
    for part, example in ((1, "a"), (3, "c"), (4, "d")):
        run(tmp_path / str(part), example, shard=f"{part}/4")
    assert notes(tmp_path)[0] == "NOT COMPLETE: shard 2/4 is missing"
    run(tmp_path / "10", "a", shard="1/4", seed=1, config={"seed": 1})
    assert "NOT COMPLETE: shards 2/4, 3/4, 4/4 are missing for seed 1" in notes(tmp_path)


def test_an_example_in_two_shards_is_an_error_with_both_folders(tmp_path: Path):
    run(tmp_path / "0", "ab", shard="1/2")
    run(tmp_path / "1", "bc", shard="2/2")
    with pytest.raises(ValueError, match=r"/0 and .*/1 hold the same example \(b\) of one task, model and seed"):
        pooled(found([tmp_path]))


def test_seeds_are_pooled_and_the_note_says_so(tmp_path: Path):
    for seed in (0, 1):
        run(
            tmp_path / str(seed),
            seed=seed,
            config={"seed": seed},
            model=f"m{seed}",
            facts={"accuracy": 0.5 + seed / 10},
        )
    merged = tables(tmp_path)
    assert merged.board["n"].tolist() == [8, 8]
    assert merged.board["seed"].tolist() == ["0 1", "0 1"]
    lines = notes(tmp_path)
    assert lines[0] == "pooled over seeds 0, 1: n counts examples × seeds, and std is over both"
    assert lines[1].startswith("8 examples over 2 seeds;")
    assert "seed 1: model accuracy on the task's test set: 0.600" in lines
    assert not [line for line in lines if "share one model" in line]
    run(tmp_path / "2", seed=2, config={"seed": 2}, model="m2", code="other")
    assert "WARNING the pooled runs were made by different versions of the code" in notes(tmp_path)


def test_different_settings_are_never_pooled(tmp_path: Path):
    run(tmp_path / "0")
    run(tmp_path / "1", config={"include": "all"})
    run(tmp_path / "2", config={"include": "all", "model": {"layers": 3}}, layers=3)
    models = tables(tmp_path).board["model"].drop_duplicates().tolist()
    assert models == [
        "small [layers=2, include=content]",
        "small [layers=2, include=all]",
        "small [layers=3, include=all]",
    ]


def test_names_show_settings_of_methods_tasks_and_data_but_not_seeds():
    def told(seed: int, residual: float, token: str = "unk", path: str | None = None, data: str = "d" * 64) -> Manifest:
        explainers = {"rollout": {"residual": residual}, "random": {"seed": seed}}
        references = {"blank_out": {"token": token}}
        config = {"seed": seed, "explainers": explainers, "references": references, "task": {"path": path}}
        return manifest(task="t", model_name="m", seed=seed, data=data, config=config)

    first, second = run_labels([told(0, 0.5), told(1, 0.1, token="mask")])
    assert first.explainers == {"rollout": "rollout (residual=0.5)", "random": "random"}
    assert second.references == {"blank_out": "blank_out (token=mask)"}
    assert (first.task, first.model) == ("t", "m")
    assert [label.task for label in run_labels([told(0, 0.5), told(0, 0.5, path="x", data="e" * 64)])] == [
        "t [path=null]",
        "t [path=x]",
    ]
    assert [label.task for label in run_labels([told(0, 0.5), told(0, 0.5, data="e" * 64)])] == [
        "t [data=dddddddd]",
        "t [data=eeeeeeee]",
    ]


def test_depths_are_aligned_by_layer_and_by_relative_depth(tmp_path: Path):
    for depth in (2, 3, 5):
        run(tmp_path / str(depth), layers=depth, model_name=f"m{depth}")
    by_layer, by_depth = tables(tmp_path).grids("agreement")
    assert by_layer.headers[2:7] == ["L1", "L2", "L3", "L4", "L5"]
    assert plain_lines(by_layer)[0][4:7] == ["", "", ""]
    assert by_depth.headers[2:4] == ["1/2", "2/2"]
    cells = {line[0]: line[2:] for line in plain_lines(by_layer)}
    for depth, layers in ((2, (1, 2)), (3, (2, 3)), (5, (3, 5))):
        line = next(line for line in plain_lines(by_depth) if line[0] == f"m{depth}")
        assert line[2:4] == [cells[f"m{depth}"][layer - 1] for layer in layers]
    assert by_depth.notes[0] == "in column k/2, a model of L layers shows its layer ceil(k L / 2)"


def test_a_failed_run_is_a_line_even_if_there_is_nothing_else(tmp_path: Path):
    told = Manifest("failed", "t", "m", 3, None, {}, [], error="no such model")
    (tmp_path / "0").mkdir()
    RunFolder(tmp_path / "0").write_manifest(told)
    (grid,) = tables(tmp_path).grids("t")
    assert plain_lines(grid) == [["m, seed 3", "failed"]]
    assert grid.notes == [f"failed m, seed 3 ({tmp_path}/0): no such model"]
    with pytest.raises(FileNotFoundError, match="Its run failed: no such model"):
        RunFolder(tmp_path / "0").table("rows")


def test_job_numbers_sort_as_numbers_and_an_empty_sweep_is_an_error(tmp_path: Path):
    for number in (10, 9, 0):
        run(tmp_path / "deep" / str(number), model_name=f"m{number}")
    assert [path.name for path in found([tmp_path, tmp_path / "deep"])] == ["0", "9", "10"]
    with pytest.raises(FileNotFoundError, match=r"no results in .*nothing: expected manifest.json"):
        found([tmp_path / "nothing"])
