"""The command line as a user types it, in this process; what must survive a kill runs in its own process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from harness.cli import assay as command
from harness.cli import report
from harness.report import write
from harness.report.run_tables import RunTables
from harness.results.run_folder import RunFolder
from tests.conftest import ROOT, SMALL, shared

FEW = [*SMALL, "limit=12", "token_budget=60"]


def rows_of(folder: Path) -> pd.DataFrame:
    rows = pd.read_parquet(folder / "rows.parquet")
    return rows.sort_values(["example", "explainer", "reference", "layer", "head"]).reset_index(drop=True)


def test_a_run_leaves_tables_scores_and_a_manifest(assay, model, tmp_path: Path):
    status, out, err = assay(*FEW, "explainers=[random,attention,rollout,flow,saliency]")
    assert status == 0, err
    folder = tmp_path / "run"
    assert {path.name for path in folder.iterdir()} == {
        ".hydra",
        ".lock",
        "checksums.json",
        "rows.parquet",
        "scores.parquet",
        "examples.parquet",
        "metrics.parquet",
        "manifest.json",
        "leaderboard.md",
        "leaderboard.tex",
        "leaderboard.csv",
        "ranking.csv",
    }
    rows = rows_of(folder)
    assert rows["example"].nunique() == 12
    assert (rows["task"] + " " + rows["model"]).unique().tolist() == ["agreement agreement_transformer"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    assert manifest["config"]["limit"] == 12
    rollout = manifest["explainers"]["rollout"]
    assert (
        rollout["description"]
        == "Rollout(residual=0.5, heads='mean', read_out='head', receptive_field='none', draws=8, seed=0, encoder=True)"
    )
    assert rollout["source"] == "Attention rollout (Abnar & Zuidema 2020, equation 1)"
    assert manifest["model"] == model.identity
    assert manifest["counts"]["failed"] == 0
    assert {"data", "model", "merge"} <= set(manifest["phases"])
    assert set(manifest["costs"]["phase"]) == {"trace", "reliability", "correlation"}
    assert {"flow"} <= set(manifest["costs"]["explainer"])
    assert {"blank_out"} <= set(manifest["costs"]["reference"])
    for text in ("Spearman's rho with blank_out", "Spearman's rho with input_gradient", "model accuracy", "≡"):
        assert text in out
    assert "assay-report" in out.splitlines()[-1]
    assert str(folder) in out


@pytest.mark.parametrize(
    ("arguments", "explainers"),
    [
        (["explainers=[flow]"], {"flow"}),
        (["explainers=[flow]", "+explainers=[saliency]"], {"flow", "saliency"}),
        (["explainers=[flow,rollout]", "~explainers.rollout"], {"flow"}),
        (["explainers=[rollout]", "explainers.rollout.residual=0.1"], {"rollout"}),
        (
            ["explainers=[flow]", "+explainers.half={_target_:methods.explainers.rollout.Rollout,residual:0.25}"],
            {"flow", "half"},
        ),
        (["explainers=[attention_by_head]"], {"attention_by_head"}),
    ],
)
def test_every_way_of_choosing_explainers_runs(assay, tmp_path: Path, model, arguments, explainers):
    status, _, err = assay(*FEW, *arguments)
    assert status == 0, err
    rows = rows_of(tmp_path / "run")
    assert set(rows.loc[rows["kind"] != "reference", "explainer"]) == explainers


def test_a_parameter_on_the_command_line_reaches_the_method(assay, tmp_path: Path, model):
    assert assay(*FEW, "explainers=[rollout]", "explainers.rollout.residual=0.1")[0] == 0
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["explainers"]["rollout"]["description"].startswith("Rollout(residual=0.1,")


def test_a_sweep_runs_every_job(monkeypatch, tmp_path: Path, capsys, model):
    monkeypatch.chdir(tmp_path)
    arguments = ["-m", *FEW, "explainers=[random]", "seed=0,1", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    # the sweep is over the floor's seed, the model stays the same
    monkeypatch.setattr(sys, "argv", ["assay", *arguments, "model.seed=0"])
    command.main()
    capsys.readouterr()
    tables = [rows_of(tmp_path / "sweep" / number) for number in ("0", "1")]
    assert [table["seed"].unique().tolist() for table in tables] == [[0], [1]]
    assert not tables[0]["rho"].equals(tables[1]["rho"])


@pytest.mark.parametrize("preset", sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml")))
def test_every_preset_composes(preset: str, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["assay", f"+experiment={preset}", "--cfg", "job", "--resolve"])
    command.main()
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["explainers"]
    assert config["references"]


def test_the_papers_presets_set_the_papers_options(monkeypatch, capsys):
    def composed(preset: str) -> dict:
        monkeypatch.setattr(sys, "argv", ["assay", f"+experiment={preset}", "--cfg", "job", "--resolve"])
        command.main()
        return yaml.safe_load(capsys.readouterr().out)

    first, second, own = composed("az20_table1"), composed("az20_table2"), composed("default")
    for table in (first, second):
        assert (table["limit"], table["include"], table["ranks"], table["target"]) == (2000, "all", "dense", "gold")
        assert list(table["explainers"]) == ["random", "position", "attention", "rollout", "flow"]
    assert first["references"]["blank_out"]["final_token"] == "zero"
    assert first["references"]["blank_out"]["blank_class"] == "gold"
    assert second["references"]["input_gradient"]["reduce"] == "abs_sum"
    assert (own["include"], own["ranks"], own["target"]) == ("content", "average", "predicted")
    assert own["references"]["input_gradient"]["reduce"] == "l2"


def test_a_paper_table_on_the_published_sentences(assay, tmp_path: Path, model):
    """The preset on the real sentences, with the small model."""
    folder = shared("data", "linzen")
    trained = [f"model.path={_folder_of(model)}", f"task.path={folder}"]
    status, out, err = assay("+experiment=az20_table2", *trained, "limit=30")
    assert status == 0, err
    assert f"linzen, {_folder_of(model).name}" in out
    assert "the input gradient with reduce=abs_sum sums numbers that cancel: " in out
    assert "numbers per hidden dimension are reduced by abs_sum (reference input_gradient)" in out
    rows = rows_of(tmp_path / "run")
    assert rows["example"].nunique() == 30
    status, out, _ = assay("+experiment=az20_table1", *trained, "limit=30", folder="other")
    assert status == 0
    assert "rounding noise" not in out


def _folder_of(model) -> Path:
    from tasks import cache

    for facts in cache.folder("models").glob("*/facts.json"):
        if json.loads(facts.read_text()).get("history") == model.facts["history"]:
            return facts.parent
    raise AssertionError("the small model is not in the cache")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["explainers=[flo]"], "there is no 'flo' in explainers: choose from alti, alti_logit, attention, "),
        (["explainers=[flo]"], "did you mean flow?"),
        (["references=[blank]"], "there is no 'blank' in references: choose from blank_out, deletion, "),
        (["task=agreemant"], "there is no 'agreemant' in task: choose from agreement, blimp, classification, "),
        (["task=agreemant"], "did you mean agreement?"),
        (
            ["+experiment=az20_table9"],
            "there is no 'az20_table9' in experiment: choose from az20_figure1, az20_figure2_3, ",
        ),
        (["limt=5"], "there is no setting 'limt' (did you mean limit?): assay --cfg job"),
        (["explainers.rollout.residul=0.1"], "there is no setting 'explainers.rollout.residul': assay --cfg job"),
        (
            ["+explainers.rollout.residul=0.1"],
            "explainers.rollout: there is no parameter 'residul': it takes residual,",
        ),
        (["explainers.rollout.residual=half"], "explainers.rollout: residual is a number from 0 to 1, got 'half'"),
        (["explainers.flow.engine=scipy"], "explainers.flow: engine is one of numba, networkx, got 'scipy'"),
        (["references=[]"], "no references chosen: give at least one"),
        (["limit=0"], "limit is a whole number, at least 1, got 0"),
        (["limit=1.0"], "limit is a whole number of examples or a share below 1.0, got 1.0"),
        (["dtype=int8"], "dtype is one of float32, float64, bfloat16, float16, got 'int8'"),
        (["device=tpu9"], "device=tpu9 cannot be used here"),
        (["threads=none"], "threads is a whole number, at least 1, got 'none'"),
        (["include=words"], "include is one of all, no_cls, prompt, content, source, target, got 'words'"),
        (["ranks=min"], "ranks is one of average, dense, got 'min'"),
        (["target=best"], "target is one of predicted, gold, singular, plural, got 'best'"),
        (["model.training.epochs=many"], "model.training: epochs is a whole number, at least 1, got 'many'"),
        (["task.grammar.train=1"], "task.grammar: train: expected an even number of sentences"),
        (["model.path=/not/there"], "holds no agreement model that can be read"),
        (["task.path=/not/there"], "/not/there"),
        (["+explainers.mine={_target_:mine.Mine}"], "explainers.mine: mine.Mine cannot be imported"),
        (["explainers=[flow"], "quote it for the shell where it has brackets, as in 'explainers=[attention,flow]'"),
        (["resume=/not/there"], "/not/there holds no manifest.json, so it is not a run folder"),
        (["hydra.run.dir=/proc/run"], "choose another with hydra.run.dir=<folder>"),
    ],
)
def test_bad_input_gets_one_sentence_and_a_non_zero_exit_status(assay, model, arguments, sentence):
    small = [] if arguments[0].startswith("resume=") else SMALL
    status, _, err = assay(*small, *arguments)
    assert status == 1
    assert sentence in err
    assert "Traceback" not in err
    assert err.strip().count("\n") == 0
    assert err.startswith("assay: ")


def test_an_unexpected_error_saves_its_traceback_to_a_file(assay, model, monkeypatch):
    monkeypatch.setattr("harness.cli.experiment.limited", lambda *arguments: 1 / 0)
    status, _, err = assay(*FEW)
    assert status == 1
    assert "ZeroDivisionError" in err
    assert "Unexpected error; this is a bug in Assay" in err
    kept = Path(err.split("report it together with ")[1].strip())
    assert "limited" in kept.read_text()
    kept.unlink()


def test_failed_cells_are_shown_and_the_exit_status_is_not_zero(assay, tmp_path: Path, model):
    status, out, err = assay(*FEW, "explainers=[random,flow]", "references.blank_out.removal=mask")
    assert status == 1
    failed = "FAILED all explainers with blank_out, 12 examples: ValueError: this model's vocabulary has no mask"
    assert failed in " ".join(out.split())  # notes are broken at the terminal's width
    assert "rows failed" in err
    rows = rows_of(tmp_path / "run")
    assert set(rows.loc[rows["reference"] == "blank_out", "status"]) == {"failed"}
    assert "ok" in set(rows.loc[rows["reference"] == "input_gradient", "status"])


def test_a_folder_that_holds_a_run_is_not_overwritten(assay, tmp_path: Path, model):
    assert assay(*FEW, "explainers=[random]")[0] == 0
    before = rows_of(tmp_path / "run")
    status, _, err = assay(*FEW, "explainers=[position]")
    assert status == 1
    assert "holds a run already" in err
    pd.testing.assert_frame_equal(rows_of(tmp_path / "run"), before)


def test_ctrl_c_keeps_the_rows_so_far_and_resume_continues(assay, tmp_path: Path, model, monkeypatch):
    write, calls = RunFolder.write_part, []

    def interrupted(self, part, run):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(part.number)
        write(self, part, run)

    monkeypatch.setattr(RunFolder, "write_part", interrupted)
    status, out, err = assay(*FEW, "explainers=[random,flow]")
    assert status == 130
    assert "NOT COMPLETE (stopped)" in out
    assert f"finished batches are saved: continue with assay resume={tmp_path / 'run'}" in err
    monkeypatch.setattr(RunFolder, "write_part", write)
    assert assay(f"resume={tmp_path / 'run'}")[0] == 0
    assert assay(*FEW, "explainers=[random,flow]", folder="unbroken")[0] == 0
    pd.testing.assert_frame_equal(rows_of(tmp_path / "run"), rows_of(tmp_path / "unbroken"))


def test_resume_refuses_a_different_configuration(assay, tmp_path: Path, model):
    assert assay(*FEW, "explainers=[random]")[0] == 0
    status, _, err = assay(*FEW, "explainers=[position]", f"resume={tmp_path / 'run'}")
    assert status == 1
    assert "cannot be resumed: the config has changed" in err


def test_a_killed_run_loses_at_most_one_part(assay, model, tmp_path: Path):
    """kill -9, then resume: no finished part is computed again, and the table equals that of an uninterrupted run."""
    arguments = [*SMALL, "limit=120", "token_budget=60", "explainers=[random,flow]"]
    folder = tmp_path / "killed"
    running = subprocess.Popen(
        [sys.executable, "-m", "harness", *arguments, f"hydra.run.dir={folder}"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 100
    while len(list(folder.glob("parts/part-*.json"))) < 4:
        assert running.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("parts/part-*.json")}
    assert len(kept) >= 4
    done = RunFolder(folder).finished()
    write.write_runs([RunTables(RunFolder(folder))], tmp_path / "half", None)
    half = (tmp_path / "half" / "leaderboard.md").read_text()
    assert f"NOT COMPLETE (running): {sum(done.values())} of 120 examples" in half
    assert f"cost per example, n {sum(done.values())}" in half
    status, _, err = assay(f"resume={folder}")
    assert status == 0, err
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["counts"]["computed_now"] == 120 - sum(done.values())
    assert assay(*arguments, "hydra.run.dir=unbroken")[0] == 0
    pd.testing.assert_frame_equal(rows_of(folder), rows_of(tmp_path / "unbroken"))
    tables = [(place / "leaderboard.csv").read_text() for place in (folder, tmp_path / "unbroken")]
    assert tables[0] == tables[1]


def test_the_report_can_be_redone_from_the_folder_alone(assay, tmp_path: Path, model, monkeypatch, capsys):
    assert assay(*FEW, "explainers=[random,flow]")[0] == 0
    folder = tmp_path / "run"
    files = ("leaderboard.md", "leaderboard.tex", "leaderboard.csv")
    before = {name: (folder / name).read_text() for name in files}
    for name in files:
        (folder / name).unlink()
    monkeypatch.setattr(sys, "argv", ["assay-report", str(folder)])
    report.main()
    assert {name: (folder / name).read_text() for name in files} == before
    assert "Spearman's rho with blank_out" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["assay-report", str(folder), str(folder), "--out", str(tmp_path / "both")])
    sys.argv.append("--no-figures")
    report.main()
    assert len(pd.read_csv(tmp_path / "both" / "leaderboard.csv")) == 2 * len(pd.read_csv(folder / "leaderboard.csv"))


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["/not/there"], 1, "assay: no results in /not/there"),
        (["one", "two"], 2, "say where to write it with --out FOLDER"),
    ],
)
def test_a_report_without_a_run_says_what_to_pass(monkeypatch, capsys, tmp_path, arguments, status, sentence):
    monkeypatch.setattr(sys, "argv", ["assay-report", *arguments, *([] if status == 2 else ["--out", str(tmp_path)])])
    with pytest.raises(SystemExit) as exited:
        report.main()
    assert exited.value.code == status
    assert sentence in capsys.readouterr().err


def test_help_shows_groups_and_examples():
    printed = subprocess.run(
        [sys.executable, "-m", "harness", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for text in (
        "assay list GROUP describes each choice",
        "explainers  alti, alti_logit, attention, ",
        "assay -m seed=0,1,2",
        "assay resume=FOLDER",
    ):
        assert text in printed


SST2 = ("task=sst2", "threads=1", "figures=false", "explainers=[random,attention,flow]", "references=[input_gradient]")


def test_a_local_checkpoint_and_local_texts_are_explained(assay, tmp_path: Path):
    here = f"model.path={shared('checkpoints', 'distilbert-minilm-sst2')}", f"task.path={shared('data', 'sst2')}"
    status, out, err = assay(*SST2, *here, "limit=12")
    assert status == 0, err
    assert "sst2, distilbert-minilm-sst2, seed 0" in out
    assert "of 12 explained examples" in out
    assert set(rows_of(tmp_path / "run")["status"]) == {"ok"}
    status, out, err = assay(*SST2, *here, "limit=4", "target=positive", "output=logit", folder="positive")
    assert status == 0, err
    assert "explained: positive class, logit" in out
    status, _, err = assay(*SST2, *here, "limit=4", "task.split=test", folder="unlabelled")
    assert status == 1
    assert "task.label=null where the data have no labels" in err
    status, out, err = assay("+experiment=az20_table3", *here, "limit=4", "figures=false", folder="table3")
    assert status == 0, err
    protocol = "explained: positive class, logit; ranked tokens: all; ties: dense ranks; removal: unk"
    assert protocol in " ".join(out.split())


def test_pronouns_are_explained_at_the_mask_with_their_referents(assay, tmp_path: Path):
    here = f"model.path={shared('checkpoints', 'bert-minilm-mlm')}"
    given = '"{John|his} asked {Mary|her} about [MASK] book.", "{Ann|her} lent {Tim|him} a coat for [MASK]."'
    own = f"task.sentences=[{given}]"
    methods = "explainers=[random,attention,rollout]", "references=[blank_out]", "threads=1", "figures=false"
    status, out, err = assay("task=pronoun", here, own, *methods)
    assert status == 0, err
    assert "referent agreement" in out
    assert "explained: predicted class, logit_difference" in out
    assert "referent agreement" in (tmp_path / "run" / "leaderboard.tex").read_text()
    status, out, err = assay("+experiment=az20_figure4", here, folder="figure")
    assert status == 0, err
    assert rows_of(tmp_path / "figure")["example"].nunique() == 5
    assert (tmp_path / "figure" / "figures" / "mask_to_referents_5.pdf").stat().st_size > 5000


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["task=sst2", "model=agreement_transformer", "task.path={texts}"],
            "this model is trained for the agreement task and cannot serve Classification: choose model=pretrained",
        ),
        (["model=bert_base"], "the task Agreement (head: None) is served only by its own model"),
        (["task=sst2", "task.path=/not/there"], "/not/there: expected a file or a folder, found none"),
        (["task=sst2", "task.path={texts}"], "model.path=<folder>, or run once with network access"),
        (["task=pronoun", "task.sentences=['no mask here']", "model.path={masked}"], "no mask here"),
        (["task=classification", "task.path={texts}"], "set 'task.labels=[first,second]'"),
        (["shard=5/4"], "shard is k/n with k from 1 to n, as in shard=2/8, got '5/4'"),
    ],
)
def test_bad_input_for_other_tasks_gets_one_sentence_too(assay, tmp_path, arguments, sentence):
    texts = tmp_path / "validation.tsv"
    texts.write_text("sentence\tlabel\ngood\t1\nbad\t0\n")
    filled = [one.format(texts=texts, masked=shared("checkpoints", "bert-minilm-mlm")) for one in arguments]
    status, _, err = assay(*filled)
    assert status == 1
    assert sentence in err
    assert "Traceback" not in err
