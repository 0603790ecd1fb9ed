"""Debian's Chromium without a window, and a page in it: what a user sees and does."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

READY = """
return document.readyState === "complete" && document.getElementById("page").getAttribute("aria-busy") === "false";
"""
NAMED = (
    "button",
    "link",
    "combobox",
    "searchbox",
    "textbox",
    "checkbox",
    "radio",
    "slider",
    "spinbutton",
    "image",
    "img",
)


def chromium() -> Chrome:
    """The browser; RuntimeError where Debian's packages are absent."""
    places = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    absent = [name for name, place in places.items() if place is None]
    if absent:
        raise RuntimeError(
            f"no {' and no '.join(absent)}: run .ci/install_chromium, or apt-get install chromium-driver"
        )
    options = ChromeOptions()
    options.binary_location = str(places["chromium"])
    # root may not use the sandbox, and containers have little shared memory
    for one in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", "hide-scrollbars"):
        options.add_argument(f"--{one}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return Chrome(options=options, service=ChromeService(executable_path=places["chromedriver"]))


class Page:
    """One page of Assay in the browser.

    Args:
        path: the HTML file.
    """

    def __init__(self, driver: Chrome, path: Path):
        self.driver = driver
        self.path = path

    def open(self, hashed: str = "") -> None:
        """Load the page afresh, as from a link with this hash."""
        self.driver.get("about:blank")
        self.driver.get(self.path.as_uri() + hashed)
        WebDriverWait(self.driver, 30, 0.05).until(lambda driver: driver.execute_script(READY))

    def script(self, code: str, *given: Any) -> Any:
        """What a piece of JavaScript returns."""
        return self.driver.execute_script(code, *given)

    def all(self, selector: str) -> list[WebElement]:
        """The elements that a CSS selector finds."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        """The first of them."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def press(self, selector: str) -> None:
        """Click an element in the middle of the window, where nothing covers it."""
        element = self.one(selector)
        self.script("arguments[0].scrollIntoView({block: 'center', inline: 'center'})", element)
        element.click()

    def choose(self, name: str, value: str) -> None:
        """Choose the option with this value."""
        Select(self.one(f"select[name={name}]")).select_by_value(value)

    def options(self, name: str) -> list[str]:
        """The values that can be chosen."""
        return self.script("return [...arguments[0].options].map((one) => one.value)", self.one(f"select[name={name}]"))

    @property
    def tabs(self) -> list[str]:
        """The titles of the views."""
        return [tab.text for tab in self.all("nav a")]

    def turn_to(self, title: str) -> None:
        """Click a view's tab."""
        next(tab for tab in self.all("nav a") if tab.text == title).click()

    @property
    def hash(self) -> str:
        """What is chosen, as the address says it."""
        return self.script("return location.hash")

    @property
    def shown(self) -> str:
        """The view's markup."""
        return self.script("return document.getElementById('view').outerHTML")

    def complaints(self) -> list[str]:
        """The errors and warnings of the console since the last call; violations of the policy are errors."""
        entries = self.driver.get_log("browser")  # pyright: ignore[reportAttributeAccessIssue]
        return [f"{one['level']}: {one['message']}" for one in entries if one["level"] in ("SEVERE", "WARNING")]

    def resize(self, width: int, height: int = 1000) -> None:
        """A window of this size: a real one is never narrower than 500 pixels."""
        size: Mapping[str, Any] = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", dict(size))
        self._settle()

    def appear(self, scheme: str = "light", medium: str = "") -> None:
        """Light or dark as the system prefers it; on a screen or on paper."""
        features: Sequence[Mapping[str, str]] = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": medium, "features": list(features)})
        self._settle()

    def _settle(self) -> None:
        """Wait until the page has been drawn again."""
        frames = "requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))"
        self.driver.execute_async_script(f"const done = arguments[0]; {frames}")

    def overflow(self) -> list[str]:
        """What makes the page scroll sideways; nothing where it fits."""
        return self.script(
            """
            const width = innerWidth, root = document.documentElement;
            if (root.scrollWidth <= width) return [];
            const wide = [...document.querySelectorAll("#page *:not(.wide *)")]
              .filter((one) => one.getBoundingClientRect().right > width + 0.5);
            return [`${root.scrollWidth} > ${width}`, ...wide.slice(0, 5).map((one) => one.outerHTML.slice(0, 120))];
            """
        )

    def nameless(self) -> list[str]:
        """The controls and pictures that a screen reader has no name for."""
        tree = self.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        nodes = [node for node in tree if not node["ignored"] and node["role"]["value"].lower() in NAMED]
        assert nodes
        return [str(node["role"]) for node in nodes if not node.get("name", {}).get("value", "").strip()]
