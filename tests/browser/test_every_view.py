"""What every view must keep: nothing complains, nothing is fetched, all can be read, reached and printed."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.browser import Page
from tests.browser.runs import PAGES

WIDTHS = (360, 1280, 2560)
Open = Callable[..., Page]
# what the Tab key stops at: of a group that the arrow keys move in, the one with tabindex 0
STOPS = """
return [...document.querySelectorAll("a[href], button:not(:disabled), select, input, summary, [tabindex]")]
  .filter((one) => one.tabIndex >= 0 && one.checkVisibility() && one.getBoundingClientRect().width);
"""
UNDESCRIBED = """
return [...document.querySelectorAll("#view svg")].filter((one) => !one.closest("[aria-hidden=true]")
    && !(["img", "group"].includes(one.getAttribute("role")) && one.getAttribute("aria-label")))
  .concat([...document.querySelectorAll("#view figure")].filter((one) => !one.querySelector("table")))
  .map((one) => one.outerHTML.slice(0, 160));
"""
# the luminance contrast of text with what lies behind it
FAINT = """
const parts = (colour) => {
  const [red, green, blue, opacity = 1] = colour.match(/[\\d.]+/g).map(Number);
  return [red, green, blue, opacity];
};
const part = (value) => { value /= 255; return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4; };
const luminance = ([red, green, blue]) => 0.2126 * part(red) + 0.7152 * part(green) + 0.0722 * part(blue);
const behind = (one) => {
  for (; one; one = one.parentElement) {
    const colour = parts(getComputedStyle(one).backgroundColor);
    if (colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const found = [];
for (const one of document.querySelectorAll("#page *:not(svg *):not(option):not(:disabled)")) {
  const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!own || !one.checkVisibility()) continue;
  const [text, paper] = [luminance(parts(getComputedStyle(one).color)), luminance(behind(one))].sort((a, b) => b - a);
  const ratio = (text + 0.05) / (paper + 0.05);
  if (ratio < 4.5) found.push(`${ratio.toFixed(2)}: ${one.outerHTML.slice(0, 160)}`);
}
return found;
"""


@pytest.mark.parametrize("name", PAGES)
def test_each_tab_opens_its_view_without_a_complaint_or_a_request(opened: Open, name: str):
    page = opened(name)
    assert len(page.tabs) >= 1
    seen = set()
    for title in page.tabs:
        page.turn_to(title)
        assert [tab.text for tab in page.all("nav a[aria-current=page]")] == [title]
        assert page.one("#view").text.strip(), title
        seen.add(page.one("#view").get_attribute("data-view"))
        assert page.complaints() == [], title
    assert len(seen) == len(page.tabs)


@pytest.mark.parametrize("name", PAGES)
def test_no_view_scrolls_sideways(opened: Open, name: str, screenshots: Path):
    page = opened(name)
    for title in page.tabs:
        page.turn_to(title)
        for width in WIDTHS:
            page.resize(width)
            for scheme in ("light", "dark") if name == "encoder" else ("light",):
                page.appear(scheme)
                assert page.overflow() == [], (title, width)
                page.driver.save_screenshot(str(screenshots / f"{name} {title} {width} {scheme}.png"))
        page.resize(1280)
        page.appear()


@pytest.mark.parametrize("name", PAGES)
def test_every_control_has_a_name_and_every_drawing_a_description_and_a_table(opened: Open, name: str):
    page = opened(name)
    for title in page.tabs:
        page.turn_to(title)
        assert page.nameless() == [], title
        assert page.script(UNDESCRIBED) == [], title


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(opened: Open, scheme: str):
    page = opened("encoder")
    page.appear(scheme)
    page.open()
    for title in page.tabs:
        page.turn_to(title)
        assert page.script(FAINT) == [], title


def test_a_page_is_light_or_dark_as_the_system_prefers_until_the_reader_chooses(opened: Open):
    page = opened("encoder")
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = page.script(ground)
    page.appear("dark")
    page.open()
    dark = page.script(ground)
    assert light != dark
    page.press("button.theme")
    assert page.script(ground) == light
    page.press("button.theme")
    assert page.script(ground) == dark


@pytest.mark.parametrize("name", PAGES)
def test_the_tab_key_reaches_every_control_of_every_view(opened: Open, name: str):
    page = opened(name)
    for title in page.tabs:
        page.turn_to(title)
        page.script("window.reached = new Set(); document.activeElement.blur(); getSelection().removeAllRanges()")
        page.script("document.addEventListener('focusin', (event) => window.reached.add(event.target))")
        stops = page.script(STOPS)
        page.script("arguments[0].focus()", stops[0])
        page.one("body").send_keys(
            Keys.TAB * (2 * len(stops) + 100)
        )  # what scrolls, and groups of a drawing, are stops too
        left = "return arguments[0].filter((one) => !window.reached.has(one)).map((one) => one.outerHTML.slice(0, 160))"
        assert page.script(left, stops) == [], title


@pytest.mark.parametrize("name", PAGES)
def test_every_view_can_be_printed(opened: Open, name: str, screenshots: Path):
    page = opened(name)
    for title in page.tabs:
        page.turn_to(title)
        page.resize(720)
        page.appear("dark", "print")
        assert not any(one.is_displayed() for one in page.all("nav, .choices, .tools, .theme, .save")), title
        assert page.script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.overflow() == [], title
        printed = page.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
        (screenshots / f"{name} {title}.pdf").write_bytes(base64.b64decode(printed["data"]))
        page.appear()
        page.resize(1280)


@pytest.mark.parametrize("name", PAGES)
def test_every_view_opens_again_from_its_address(opened: Open, name: str):
    page = opened(name)
    for title in page.tabs:
        page.turn_to(title)
        shown, hashed = page.shown, page.hash
        page.open(hashed)
        assert page.shown == shown, title


@pytest.mark.parametrize("name", PAGES)
def test_back_and_forward_turn_through_the_views(opened: Open, name: str):
    page = opened(name)
    titles, shown = page.tabs, []
    for title in titles:
        page.turn_to(title)
        shown.append(page.shown)
    for before in reversed(shown[:-1]):
        page.driver.back()
        assert page.shown == before
    for after in shown[1:]:
        page.driver.forward()
        assert page.shown == after
