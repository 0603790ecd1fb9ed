"""Every door to the page: `assay-report --html`, `html=true` of a run and of a sweep, and `Results.html`."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from harness.api.results import Results, open_run
from harness.report.page.write_page import STATIC
from harness.tables import STORED
from tests.conftest import ROOT, SMALL
from tests.harness.report.page.large_runs import large_run
from tests.harness.report.page.unpacked import of_page

QUICK = [*SMALL, "limit=12", "explainers=[random,attention]", "references=[blank_out]"]
FRESH = """
import sys
from pathlib import Path
from harness.cli.report import main
sys.argv = ["assay-report", "run", "--html", "--no-figures"]
main()
print([name for name in ("torch", "transformers", "datasets", "captum", "matplotlib", "hydra") if name in sys.modules])
"""


def test_a_run_folder_is_enough_and_torch_is_not_loaded(tmp_path: Path):
    large_run(tmp_path / "run", 12, 4, 2)
    done = subprocess.run(
        [sys.executable, "-c", FRESH],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.strip().splitlines()
    assert lines[-1] == "[]", done.stderr
    assert "page      run/report.html: open it in a browser" in lines
    assert any(line.startswith("files     run: ") and "report.html" in line for line in lines)
    assert of_page((tmp_path / "run" / "report.html").read_text())[0]["kind"] == "run"


def test_without_the_option_there_is_no_page(tmp_path: Path, assay_report):
    folder = large_run(tmp_path / "run", 12, 4, 2)
    status, out, _ = assay_report(str(folder.path), "--no-figures")
    assert status == 0
    assert "page      " not in out
    assert not (folder.path / "report.html").exists()


def test_several_runs_have_a_page_each(tmp_path: Path, assay_report):
    for name in ("a", "b"):
        large_run(tmp_path / name, 12, 4, 2, model_name=name)
    out = tmp_path / "out"
    status, printed, _ = assay_report(
        str(tmp_path / "a"), str(tmp_path / "b"), "--html", "--no-figures", "--out", str(out)
    )
    assert status == 0
    for name in ("a", "b"):
        assert f"page      {out / name / 'report.html'}: open it in a browser" in printed
        assert f" {name}, seed" in of_page((out / name / "report.html").read_text())[0]["title"]


def test_a_page_that_cannot_be_written_is_one_sentence(tmp_path: Path, assay_report):
    folder = large_run(tmp_path / "run", 12, 4, 2)
    (folder.path / "report.html").mkdir()
    status, _, err = assay_report(str(folder.path), "--html", "--no-figures")
    assert status == 1
    assert "report.html" in err
    assert "Traceback" not in err
    assert "bug in Assay" not in err


def test_a_run_and_a_sweep_write_their_pages_where_they_are_asked_to(assay, tmp_path: Path, model):
    status, out, err = assay(
        "-m", *QUICK, "html=true", "model.training.epochs=1", "model.layers=2,3", "hydra.sweep.dir=swept"
    )
    assert status == 0, err
    page = tmp_path / "swept" / "report.html"
    assert "page      swept/report.html: open it in a browser" in out.split("files     swept: ")[1]
    content, _ = of_page(page.read_text())
    assert content["kind"] == "sweep"
    assert [(one["name"], one["layers"]) for one in content["models"]] == [
        ("agreement_transformer [layers=2]", 2),
        ("agreement_transformer [layers=3]", 3),
    ]
    for one in content["runs"]:  # each job has a page too, which the sweep's links
        assert of_page((page.parent / one["page"]).read_text())[0]["kind"] == "run"
    assert content["lost"] == []


def test_a_value_of_html_that_is_neither_true_nor_false_is_refused(assay, model):
    status, _, err = assay(*QUICK, "html=maybe")
    assert status == 1
    assert "html is one of True, False, got 'maybe'" in err


def test_results_write_their_page_beside_their_tables_or_where_they_are_told(tmp_path: Path):
    folder = large_run(tmp_path / "run", 12, 4, 2)
    opened = open_run(folder.path)
    assert opened.html() == folder.path / "report.html"
    written = of_page((folder.path / "report.html").read_text())[0]
    assert opened.html(tmp_path / "deep" / "mine.html") == tmp_path / "deep" / "mine.html"
    assert of_page((tmp_path / "deep" / "mine.html").read_text())[0] == written
    assert opened.html(tmp_path) == tmp_path / "report.html"


def test_results_in_memory_need_a_path_until_they_are_saved(tmp_path: Path):
    folder = large_run(tmp_path / "run", 12, 4, 2)
    results = Results(folder.manifest, {name: folder.table(name) for name in STORED})
    with pytest.raises(ValueError, match=r"these results are in memory: say where .* results\.html\('report\.html'\)"):
        results.html()
    content, _ = of_page(results.html(tmp_path / "page.html").read_text())
    assert content["board"] == of_page(open_run(folder.path).html().read_text())[0]["board"]
    saved = results.save(tmp_path / "saved", figures=False)
    assert results.html() == saved / "report.html"


def test_everything_the_page_is_made_of_is_packaged():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "harness.report.page" in project["packages"]
    patterns = project["package-data"]["harness.report.page"]
    packaged = {path for pattern in patterns for path in STATIC.parent.glob(pattern) if path.is_file()}
    assert packaged == {path for path in STATIC.rglob("*") if path.is_file()}
    assert {path.suffix for path in packaged} == {".js", ".css", ".html"}
