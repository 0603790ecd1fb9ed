"""The Python in docs/python.md, its notebook and README runs as written, on a local checkpoint."""

import json
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT, shared, smollm2

LM = "HuggingFaceTB/SmolLM2-135M"
HUB = "distilbert-base-uncased-finetuned-sst-2-english"


def blocks(page: Path) -> list[str]:
    """The Python in a page or a notebook, block by block."""
    if page.suffix == ".ipynb":
        return [
            "".join(cell["source"]) for cell in json.loads(page.read_text())["cells"] if cell["cell_type"] == "code"
        ]
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("name", ["docs/python.ipynb", "README.md"])  # the page has the same code as its notebook
def test_the_python_in_the_documentation_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = str(shared("checkpoints", "distilbert-minilm-sst2"))
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for code in blocks(ROOT / name):
        if LM in code:
            code = code.replace(LM, str(smollm2()))
        exec(compile(code.replace(HUB, folder), name, "exec"), names)
    assert len(names["results"].leaderboard())
    assert (tmp_path / "my_run" / "leaderboard.md").is_file()


def test_the_notebook_matches_the_page():
    assert [code.strip() for code in blocks(ROOT / "docs/python.ipynb")] == [
        code.strip() for code in blocks(ROOT / "docs/python.md")
    ]


def test_the_readme_fits_on_two_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 90


PAGES = sorted([*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_have_a_target(page: Path):
    for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"
