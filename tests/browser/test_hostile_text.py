"""Texts from anywhere are shown as they are, and do nothing."""

from collections.abc import Callable

from tests.browser.browser import Page
from tests.browser.runs import HOSTILE

Open = Callable[..., Page]
MARKUP = """
const foreign = document.querySelectorAll("#page :is(img, script, style, iframe, object, embed, base, meta, link)");
const attributes = [...document.querySelectorAll("#page *")].flatMap((one) => one.getAttributeNames());
return [window.hacked, foreign.length, attributes.filter((name) => name.startsWith("on"))];
"""


def test_hostile_texts_do_nothing_in_any_view(opened: Open):
    page = opened("hostile")
    scripts = page.script("return document.scripts.length")
    for title in page.tabs:
        page.turn_to(title)
        for example in page.options("example"):
            page.choose("example", example)
            assert page.script(MARKUP) == [None, 0, []], (title, example)
        for explainer in page.options("explainer"):
            page.choose("explainer", explainer)
            assert page.script(MARKUP) == [None, 0, []], (title, explainer)
        for summary in page.all("summary"):
            page.script("arguments[0].click()", summary)
        assert page.script(MARKUP) == [None, 0, []], title
    assert page.script("return document.scripts.length") == scripts


def test_hostile_tokens_are_shown_verbatim(opened: Open):
    page = opened("hostile", "#view=example")
    seen: set[str] = set()
    for example in page.options("example"):
        page.choose("example", example)
        code = "return [...document.querySelectorAll('.line.base button.token')].map((one) => one.textContent)"
        written = page.script(code)
        assert written == page.script("return Assay.data.examples[arguments[0]].tokens", int(example))
        seen |= set(written)
    assert seen == set(HOSTILE)


def test_a_hostile_task_and_model_are_the_title_and_nothing_else(opened: Open):
    page = opened("hostile")
    assert page.script("return document.querySelector('h1').textContent") == f"{HOSTILE[0]}, {HOSTILE[1]}, seed 0"
    assert page.driver.title.startswith(HOSTILE[0])


def test_a_hostile_choice_in_the_address_does_nothing(opened: Open):
    page = opened(
        "hostile",
        "#view=%3Cimg%20src=x%20onerror=%22window.hacked=1%22%3E&filter=%3Cimg%20src=x%3E&explainer=__proto__",
    )
    assert page.script(MARKUP) == [None, 0, []]
    page.open("#filter=%3Cimg%20src=x%20onerror=window.hacked=1%3E")
    assert page.script(MARKUP) == [None, 0, []]
    assert page.one("input[name=filter]").get_attribute("value") == "<img src=x onerror=window.hacked=1>"


def test_a_saved_drawing_starts_no_request_and_no_script(opened: Open):
    page = opened("hostile")
    for title in page.tabs:
        page.turn_to(title)
        for button in page.all("button.save"):
            page.script("arguments[0].click()", button)
        assert page.script(MARKUP) == [None, 0, []]
