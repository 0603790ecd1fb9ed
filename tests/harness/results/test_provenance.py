import subprocess
import sys
from pathlib import Path

import pytest

from harness.results import provenance
from harness.results.provenance import code_digest, code_text, elsewhere
from methods.explainers.flow import Flow
from methods.explainers.randomised_weights import RandomisedWeights
from methods.explainers.rollout import Rollout
from tests.conftest import ROOT


def changed(monkeypatch: pytest.MonkeyPatch, module: str, text: str) -> None:
    """Make the digest see a module's file with different content."""
    path = ROOT / f"{module.replace('.', '/')}.py"
    monkeypatch.setattr(provenance, "code_text", lambda file: text if file == path else code_text(file))


@pytest.mark.parametrize(
    "module",
    [
        "methods.explainers.rollout",
        "methods.mixing",
        "harness.tracing.run",
        "harness.tracing.architectures.bert",
        "harness.measure.evaluate",
        "harness.measure.rows",
        "harness.statistics.correlation",
    ],
)
def test_the_measuring_code_and_the_chosen_methods_are_part_of_the_digest(monkeypatch: pytest.MonkeyPatch, module: str):
    before = code_digest([Rollout()])
    changed(monkeypatch, module, "x = 1")
    assert code_digest([Rollout()]) != before


@pytest.mark.parametrize(
    "module",
    [
        "methods.explainers.flow",
        "methods.maximum_flow",
        "harness.report.grid",
        "harness.report.figures.drawing",
        "harness.statistics.leaderboard",
        "harness.cli.errors",
        "tasks.classification",
    ],
)
def test_figures_tables_and_other_methods_are_not_part_of_the_digest(monkeypatch: pytest.MonkeyPatch, module: str):
    before = code_digest([Rollout()])
    changed(monkeypatch, module, "x = 1")
    assert code_digest([Rollout()]) == before


def test_a_wrapped_method_counts(monkeypatch: pytest.MonkeyPatch):
    before = code_digest([RandomisedWeights(of=Flow())])
    changed(monkeypatch, "methods.maximum_flow", "x = 1")
    assert code_digest([RandomisedWeights(of=Flow())]) != before


def test_docstrings_comments_and_formatting_do_not_count(tmp_path: Path):
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text('"""A module."""\n\ndef f(x):\n    """Twice."""\n    return 2 * x  # doubled\n')
    other.write_text("def f( x ):\n    return (2 * x)\n")
    assert code_text(one) == code_text(other)
    other.write_text("def f(x):\n    return 3 * x\n")
    assert code_text(one) != code_text(other)


def test_a_package_that_shadows_ours_is_named(tmp_path: Path):
    assert elsewhere() == []
    (tmp_path / "tasks.py").write_text("")
    code = "import sys; sys.path.insert(0, sys.argv[1])\n"
    code += "from harness.results.provenance import elsewhere\nprint(elsewhere())"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert f"the package tasks comes from {tmp_path / 'tasks.py'}, not from {ROOT / 'tasks'}" in done.stdout


def test_python_m_harness_prefers_assays_own_packages_to_the_current_folder(tmp_path: Path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "__init__.py").write_text("raise SystemExit('the wrong conf')")
    (tmp_path / "tasks.py").write_text("raise SystemExit('the wrong tasks')")
    command = [sys.executable, "-m", "harness", "list", "tasks"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "sst2" in done.stdout


def test_the_commit_is_that_of_our_own_checkout(monkeypatch: pytest.MonkeyPatch):
    answers = {"--show-toplevel": str(ROOT), "HEAD": "c0ffee", "--porcelain": ""}
    monkeypatch.setattr(provenance, "_git", lambda *words: answers[words[-1]])
    assert provenance.surroundings()["commit"] == "c0ffee"
    answers["--show-toplevel"] = str(ROOT.parent)  # installed inside somebody else's checkout
    assert provenance.surroundings()["commit"] is None
    assert provenance.surroundings()["dirty"] is None
