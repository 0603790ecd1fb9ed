"""One small real run: `assay-compare` as a user types it, and its tables compared with naive loops over its rows."""

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from harness.cli import assay as command
from harness.cli import compare
from harness.report.run_tables import RunTables
from harness.results.run_folder import RunFolder
from harness.statistics.explainer_agreement import explainer_agreement
from harness.statistics.leaderboard import leaderboard
from harness.statistics.ranking import is_validation, ranking
from harness.tables import STORED
from tests.conftest import SMALL
from tests.harness.report.run_folders import rewrite

METHODS = ["explainers=[random,position,attention,rollout]", "references=[blank_out,input_gradient]"]
CELL = ["measure", "kind", "explainer", "head", "layer"]
NUMBER = re.compile(r"-?\d+\.\d+")


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty sentences explained by the small model."""
    place = tmp_path_factory.mktemp("compared") / "run"
    with pytest.MonkeyPatch.context() as patched:
        arguments = [*SMALL, *METHODS, "+metrics=[sufficiency]", "limit=30"]
        patched.setattr(sys, "argv", ["assay", f"hydra.run.dir={place}", *arguments])
        patched.chdir(place.parent)
        command.main()
    return place


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture):
    """Run `assay-compare` and return its table and what it printed."""

    def call(*arguments: object) -> tuple[pd.DataFrame, str]:
        out = tmp_path / "out"
        monkeypatch.setattr(sys, "argv", ["assay-compare", *map(str, arguments), "--out", str(out)])
        compare.main()
        assert {path.name for path in out.iterdir()} == {"comparison.md", "comparison.tex", "comparison.csv"}
        return pd.read_csv(out / "comparison.csv"), capsys.readouterr().out

    return call


def worse(folder: Path, place: Path, by: float) -> Path:
    """A copy of the run whose rollout agrees with blank-out that much less in layer 2."""
    shutil.copytree(folder, place)
    rows = pd.read_parquet(place / "rows.parquet")
    where = (rows["explainer"] == "rollout") & (rows["reference"] == "blank_out") & (rows["layer"] == 2)
    rows.loc[where, "rho"] -= by
    rewrite(RunFolder(place), rows=rows)
    return place


def test_a_run_does_not_differ_from_itself(compared, folder: Path):
    table, out = compared(folder, folder)
    assert (table["difference"] == 0).all()
    assert (table["p"] == 1).all()
    assert f"0 of {len(table)} cells differ significantly" in out
    rows = RunFolder(folder).measured()
    expected = rows[(rows["status"] == "ok") & (rows["kind"] != "reliability")].groupby(CELL).size()
    assert table.set_index(CELL)["n"].sort_index().to_dict() == expected.sort_index().to_dict()


def test_a_run_made_worse_differs_where_it_was_made_worse_and_by_as_much(compared, folder: Path, tmp_path: Path):
    table, out = compared(folder, worse(folder, tmp_path / "worse", 0.2))
    differing = table[table["better"].notna()]
    assert differing[["measure", "explainer", "layer", "better"]].to_numpy().tolist() == [
        ["blank_out", "rollout", 2, "first"]
    ]
    assert differing["difference"].tolist() == pytest.approx([-0.2], abs=1e-9)
    assert (table.drop(index=differing.index)["difference"] == 0).all()
    assert f"1 of {len(table)} cells differ significantly" in out
    text = (tmp_path / "out" / "comparison.md").read_text()
    assert text.count("**") == 2
    assert "**-0.200 [-0.20, -0.20]**" in text
    assert r"\textbf{-0.200 [-0.20, -0.20]} & $<$.0001" in (tmp_path / "out" / "comparison.tex").read_text()


def test_examples_missing_from_one_run_are_counted(compared, folder: Path, tmp_path: Path):
    fewer = tmp_path / "fewer"
    shutil.copytree(folder, fewer)
    kept = RunFolder(folder).table("examples")["example"].iloc[10:]
    tables = {name: RunFolder(fewer).table(name) for name in STORED}
    rewrite(RunFolder(fewer), **{name: table[table["example"].isin(kept)] for name, table in tables.items()})
    table, out = compared(fewer, folder)
    rows = RunFolder(folder).measured()
    ok = rows[(rows["status"] == "ok") & (rows["kind"] != "reliability")]
    lost = ok[~ok["example"].isin(kept)].groupby(CELL).size()
    assert table.set_index(CELL)["unpaired"].sort_index().to_dict() == lost.sort_index().to_dict()
    assert (table["difference"] == 0).all()
    assert "unpaired: examples left out" in out


def test_two_explainers_of_one_run(compared, folder: Path):
    table, out = compared(folder, "--explainers", "position", "rollout")
    rows = RunFolder(folder).measured()
    ok = rows[rows["status"] == "ok"].set_index(["measure", "example"])
    for line in table.itertuples():
        theirs = ok[(ok["explainer"] == "rollout") & (ok["layer"] == line.layer)]["value"].loc[line.measure]
        differences = (theirs - ok[ok["explainer"] == "position"]["value"].loc[line.measure]).dropna()
        assert (line.difference, line.n) == (pytest.approx(differences.mean(), abs=1e-12), len(differences))
    assert sorted(table["layer"].unique()) == [1, 2, 3]
    assert "first: position; second: rollout" in out


def test_the_runs_ranking_selects_on_a_third_and_reports_on_the_rest(folder: Path):
    tables = RunTables(RunFolder(folder))
    rows = tables.measured.merge(tables.examples[["example", "cluster"]], on="example")
    rows = rows[(rows["status"] == "ok") & (rows["kind"] != "reliability")]
    part = is_validation(rows["cluster"].to_numpy())
    assert set(rows["example"][part]).isdisjoint(rows["example"][~part])
    for line in tables.ranking.itertuples():
        mine = (rows["measure"] == line.measure) & (rows["explainer"] == line.explainer)
        means = rows[mine & part].groupby("layer")["value"].mean()
        assert line.layer == (means.idxmin() if line.higher is False else means.idxmax())
        told = rows[mine & ~part & (rows["layer"] == line.layer)]["value"]
        assert (line.mean, line.n) == (pytest.approx(told.mean(), abs=1e-12), len(told))


def test_the_runs_tables_do_not_depend_on_the_order_of_its_rows(folder: Path):
    tables = RunTables(RunFolder(folder))
    rows = tables.measured.sample(frac=1, random_state=0)
    keys = ["measure", "explainer", "layer"]
    for made, ours in ((leaderboard, tables.board), (ranking, tables.ranking)):
        theirs = made(rows, tables.examples.sample(frac=1, random_state=1)).drop(columns="reasons", errors="ignore")
        both = [table.sort_values(keys).reset_index(drop=True)[theirs.columns] for table in (theirs, ours)]
        pd.testing.assert_frame_equal(*both, rtol=1e-6, atol=1e-12)  # `top` is float32


def test_the_agreement_of_the_runs_explainers_matches_scipy(folder: Path):
    tables = RunTables(RunFolder(folder))
    lines = tables.ranking[tables.ranking["measure"] == "blank_out"]
    table = explainer_agreement(tables.examples, tables.scores, lines)
    cells = {line.explainer: line for line in lines.itertuples() if line.kind != "reference"}
    assert sorted(table.index) == ["attention", "position", "random", "rollout"]
    ranked = tables.examples.set_index("example")["ranked"]
    for first, second in (("attention", "rollout"), ("position", "random"), ("rollout", "position")):
        sides = []
        for name in (first, second):
            held = tables.scores[(tables.scores["method"] == name) & (tables.scores["kind"] == "explainer")]
            sides.append(held[held["layer"] == cells[name].layer].set_index("example")["scores"])
        rhos = []
        for example, mask in ranked.items():
            both = [np.asarray(side[example])[np.asarray(mask)] for side in sides]
            if len(both[0]) >= 3 and all(len(set(side)) > 1 for side in both):
                rhos.append(scipy.stats.spearmanr(*both).statistic)
        assert table.loc[first, second] == pytest.approx(np.mean(rhos), abs=1e-12)


def test_the_runs_files_hold_the_same_numbers(folder: Path):
    """Every table of leaderboard.md compared with its counterpart in leaderboard.tex, line by line."""
    markdown = [line for line in (folder / "leaderboard.md").read_text().splitlines() if line.startswith("| ")]
    markdown = [line for line in markdown if not line.startswith("| ---")]
    latex = [line for line in (folder / "leaderboard.tex").read_text().splitlines() if line.endswith(r"\\")]
    assert len(markdown) == len(latex) > 30
    for ours, theirs in zip(markdown, latex, strict=True):
        assert NUMBER.findall(ours) == NUMBER.findall(theirs)
        assert ours.count("|") - 2 == len(re.findall(r"(?<!\\)&", theirs))


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        ([], 2, "the following arguments are required: folder"),
        (["{one}"], 1, "give two run folders, or one run folder and --explainers NAME NAME"),
        (["{one}", "{one}", "{one}"], 1, "give two run folders, or one run folder and --explainers NAME NAME"),
        (
            ["{one}", "{one}", "--explainers", "rollout", "attention"],
            1,
            "give two run folders, or one run folder and --explainers",
        ),
        (["{one}", "--explainers", "attention"], 2, "expected 2 arguments"),
        (
            ["{one}", "--explainers", "attention", "gone"],
            1,
            "no explainer 'gone': choose from random, position, attention, rollout",
        ),
        (["{one}", "/not/there"], 1, "/not/there holds no manifest.json, so it is not a run folder"),
    ],
)
def test_bad_input_gets_one_sentence_and_a_non_zero_exit_status(
    monkeypatch, capsys, folder: Path, arguments, status, sentence
):
    monkeypatch.setattr(sys, "argv", ["assay-compare", *(argument.format(one=folder) for argument in arguments)])
    with pytest.raises(SystemExit) as exited:
        compare.main()
    assert exited.value.code == status
    printed = capsys.readouterr().err
    assert sentence in printed
    assert "Traceback" not in printed
