"""A page's one file: the content, the style and the script, with a policy that allows nothing else."""

import base64
import hashlib
from pathlib import Path

from harness.report.page import PAGE
from harness.report.page.content import run_content
from harness.report.page.packing import Arrays, Content, packed
from harness.report.page.sweep_content import sweep_content
from harness.report.pool_tables import PoolTables
from harness.report.run_tables import RunTables
from harness.results.files import write_atomically

STATIC = Path(__file__).parent / "static"
# what others stand on comes first, and what starts them last
SCRIPTS = ("dom", "data", "state", "looks", "charts", "maps", "views/*", "main")


def write_run_page(run: RunTables, folder: Path) -> Path:
    """Write `report.html` of a run into a folder; returns its path."""
    return write_page(folder / PAGE, *run_content(run))


def write_sweep_page(sweep: PoolTables, folder: Path) -> Path:
    """Write `report.html` of a sweep into a folder; returns its path."""
    return write_page(folder / PAGE, *sweep_content(sweep, folder))


def write_page(path: Path, content: Content, arrays: Arrays) -> Path:
    """Write a page; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, html_page(content, arrays))
    return path


def html_page(content: Content, arrays: Arrays) -> str:
    """The page as HTML.

    Nothing of the content stands in it but as base64, and the script puts text into the page as text, so that no token
    can be read as markup. The policy allows this script and this style alone, and no connection.
    """
    style = (STATIC / "style.css").read_text(encoding="utf-8")
    script = "\n".join(one.read_text(encoding="utf-8") for one in _scripts())
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "style": style,
        "script": script,
        "data": packed(content, arrays),
    }
    text = (STATIC / "page.html").read_text(encoding="utf-8")
    for name, part in parts.items():
        text = text.replace("{{" + name + "}}", part, 1)
    return text


def _scripts() -> list[Path]:
    return [path for name in SCRIPTS for path in sorted(STATIC.glob(f"{name}.js"))]


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
