"""The report of an encoder-decoder's run: alignment.csv, its table and figures; of one run, of shards and of seeds."""

from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from harness.report.run_tables import RunTables
from harness.report.write import write_files, write_runs, write_sweep
from harness.results.run_folder import RunFolder
from harness.results.shards import join
from tests.harness.report.run_folders import write_run

LENGTHS = {"s1": 3, "s2": 4, "s3": 5}  # words, as many in the source as in the target
LINES = [("explainer", "attention", 1), ("explainer", "attention", 2), ("explainer", "random", 0)]
LINES.append(("reference", "blank_out", 0))


def described(links: bool = True) -> pd.DataFrame:
    """Each word is one token, and the sure links are those of a copy."""
    lines = []
    for name, n in LENGTHS.items():
        for prefix in range(1, n + 2):
            gold = [{"source": word, "target": word, "sure": True} for word in range(n)]
            words = [*range(n), -1, -1, *range(prefix - 1)]
            lines.append(
                {
                    "example": f"{name}-{prefix}",
                    "cluster": name,
                    "tokens": [f"▁w{place}" for place in range(len(words))],
                    "source": n + 1,
                    "target_length": n + 2,
                    "words": words,
                    "next_word": prefix - 1 if prefix <= n else -1,
                    "position": len(words) - 1,
                    "ranked": [word >= 0 for word in words],
                    "links": gold if links else None,
                }
            )
    return pd.DataFrame(lines)


def scores(examples: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Attention's second layer finds the copied word; everything else is random."""
    generator = np.random.default_rng(seed)
    lines = []
    for example, words, next_word in zip(examples["example"], examples["words"], examples["next_word"], strict=True):
        for kind, method, layer in LINES:
            held = generator.uniform(size=len(words))
            if layer == 2 and next_word >= 0:
                held[next_word] = 2.0
            line = {"example": example, "kind": kind, "method": method, "layer": layer, "head": 0, "scores": held}
            lines.append(line)
    return pd.DataFrame(lines)


def run(path: Path, seed: int = 0, links: bool = True, chosen: slice = slice(None), **given) -> RunFolder:
    examples = described(links)
    table = scores(examples, seed)
    examples = examples[chosen].reset_index(drop=True)
    table = table[table["example"].isin(examples["example"])].reset_index(drop=True)
    rows = table[table["kind"] == "explainer"].drop(columns="scores").rename(columns={"method": "explainer"})
    rows = rows.assign(reference="blank_out", rho=0.5, seed=seed)
    rows["kind"] = np.where(rows["explainer"] == "random", "floor", "explainer")
    config = {"seed": seed, "shard": given.get("shard"), "explainers": {"attention": {}, "random": {}}}
    given = {"task": "translation", "seed": seed, "config": config | {"references": {"blank_out": {}}}} | given
    return write_run(path, rows, examples, scores=table, **given)


def rates(path: Path) -> pd.DataFrame:
    return pd.read_csv(path / "alignment.csv")


def test_the_rates_are_written_printed_and_drawn(tmp_path: Path):
    folder, screen = run(tmp_path / "run"), StringIO()
    write_runs([RunTables(folder)], tmp_path / "out", 2, Console(file=screen, width=200))
    table = rates(tmp_path / "out")
    columns = "task model seed kind explainer layer head row links aer low high precision recall sentences undefined"
    assert table.columns.tolist() == columns.split()
    lines = table.set_index(["kind", "explainer", "layer", "row", "links"])
    assert len(lines) == 4 * 2 * 2
    best = lines.loc[("explainer", "attention", 2, "output", "argmax")]
    assert (best["aer"], best["precision"], best["recall"], best["sentences"]) == (0.0, 1.0, 1.0, 3)
    assert lines.loc[("floor", "random", 0, "output", "argmax")]["aer"] > 0.3
    assert ("reference", "blank_out", 0, "input", "argmax") in lines.index
    printed = " ".join(screen.getvalue().split())
    assert "alignment error rate explainer row input L1 L2 n undefined" in printed
    assert "0.00 [0.00, 0.00]" in printed
    assert "alignment.csv" in printed
    for name in ("leaderboard.md", "leaderboard.tex"):
        assert "alignment error rate" in (tmp_path / "out" / name).read_text()
    drawn = {path.stem for path in (tmp_path / "out" / "figures").glob("*.svg")}
    assert {"alignment_matrix_1", "alignment_matrix_2", "source_share_by_layer"} <= drawn
    assert "alignment_matrix_3" not in drawn
    assert (tmp_path / "out" / "figures" / "alignment_matrix_1.svg").read_text().count('id="sure"') == 3  # of "s1"


@pytest.mark.parametrize("change", ["links", "position"])
def test_without_gold_links_or_whole_targets_there_is_no_table(tmp_path: Path, change: str):
    one_each = described()["example"].str.endswith("-2").to_numpy()
    folder = run(tmp_path / "run", links=change != "links", chosen=one_each if change == "position" else slice(None))
    write_files([RunTables(folder)], tmp_path / "out", 1)
    assert not (tmp_path / "out" / "alignment.csv").exists()
    assert "alignment error" not in (tmp_path / "out" / "leaderboard.md").read_text()
    drawn = {path.stem for path in (tmp_path / "out" / "figures").glob("*.svg")}
    assert "source_share_by_layer" in drawn
    assert not any(name.startswith("alignment_matrix") for name in drawn)


def test_shards_give_the_rates_of_the_whole_run_joined_or_pooled(tmp_path: Path):
    """Shards deal out positions, so that no shard explains a whole sentence."""
    write_files([RunTables(run(tmp_path / "whole"))], tmp_path / "out", None)
    folders = [
        run(tmp_path / "sweep" / str(number), chosen=slice(number, None, 2), shard=f"{number + 1}/2")
        for number in range(2)
    ]
    for folder in folders:
        assert RunTables(folder).alignments.empty
    joined = join(folders, tmp_path / "joined")
    write_files([RunTables(joined)], tmp_path / "joined", None)
    assert rates(tmp_path / "joined").equals(rates(tmp_path / "out"))
    write_sweep([tmp_path / "sweep"], tmp_path / "pooled", Console(file=StringIO(), width=200))
    line = ["kind", "explainer", "layer", "row", "links"]
    ours, theirs = (rates(tmp_path / name).sort_values(line, ignore_index=True) for name in ("pooled", "out"))
    pd.testing.assert_frame_equal(ours, theirs)


def test_seeds_are_pooled_and_a_sentence_is_drawn_once(tmp_path: Path):
    for seed in (0, 1):
        run(tmp_path / "sweep" / str(seed), seed, model=f"m{seed}")
    screen = StringIO()
    write_sweep([tmp_path / "sweep"], tmp_path / "pooled", Console(file=screen, width=200))
    table = rates(tmp_path / "pooled").set_index(["explainer", "layer", "row", "links"])
    assert set(table["seed"]) == {"0 1"}
    assert set(table["sentences"]) == {3}
    alone = [RunTables(RunFolder(tmp_path / "sweep" / str(seed))).alignments for seed in (0, 1)]
    single = [one.set_index(["explainer", "layer", "row", "links"]) for one in alone]
    cell = ("random", 0, "output", "argmax")  # as many links in each run, so that the pooled rate is the mean
    assert table.loc[cell, "aer"] == pytest.approx(np.mean([one.loc[cell, "aer"] for one in single]))
    assert "translation: alignment error rate" in screen.getvalue()
