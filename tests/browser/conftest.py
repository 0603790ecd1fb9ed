"""The browser, once for all tests, and the pages of real runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from selenium.webdriver import Chrome

from harness.report.page.write_page import write_sweep_page
from harness.report.pool_tables import PoolTables
from harness.results.pooled import found as found_runs
from harness.results.pooled import pooled
from tests.browser.browser import Page, chromium
from tests.browser.runs import RUNS, write_hostile_page, write_runs_with_pages

SCREENSHOTS = Path(__file__).parent / "screenshots"


@pytest.fixture(scope="session")
def driver() -> Iterator[Chrome]:
    browser = chromium()
    yield browser
    browser.quit()


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, Path]:
    """Each run's folder, by the kind of its model; the first of several workers makes them for all."""
    own = tmp_path_factory.getbasetemp()
    base = (own if worker_id == "master" else own.parent) / "browser"
    with FileLock(f"{base}.lock"):
        if not (base / "done").exists():
            for old in SCREENSHOTS.glob("*.p[nd][gf]"):
                old.unlink()
            write_runs_with_pages(base / "runs", base / "cache")
            (base / "done").touch()
    return {name: base / "runs" / name for name in RUNS}


@pytest.fixture(scope="session")
def paths(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each page's file."""
    base = tmp_path_factory.mktemp("pages")
    found = {name: folder / "report.html" for name, folder in folders.items()}
    found["hostile"] = write_hostile_page(folders["encoder"], base / "hostile")
    found["sweep"] = write_sweep_page(PoolTables(*pooled(found_runs([folders["encoder"].parent]))), base / "sweep")
    return found


@pytest.fixture
def opened(driver: Chrome, paths: dict[str, Path]):
    """Open a page by its name in a fresh, light window of 1280 pixels; at the end nothing may have complained."""
    pages = []

    def call(name: str, hashed: str = "") -> Page:
        page = Page(driver, paths[name])
        page.resize(1280)
        page.appear()
        page.complaints()
        page.open(hashed)
        pages.append(page)
        return page

    yield call
    for page in pages:
        assert page.complaints() == []
        assert page.script("return performance.getEntriesByType('resource').map((one) => one.name)") == []


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Where pictures of every view are kept to be looked at."""
    SCREENSHOTS.mkdir(exist_ok=True)
    return SCREENSHOTS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"screenshots of the pages: {SCREENSHOTS}")
