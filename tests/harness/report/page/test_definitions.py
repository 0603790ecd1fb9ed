"""What a page's numbers mean is said for every key that the scripts ask for."""

import re

from harness.report.page.definitions import DEFINITIONS
from harness.report.page.write_page import STATIC

ASKED = re.compile(r'Assay\.term\([^()]*(?:\([^()]*\)[^()]*)*, "(\w+)"\)|\bkey: "(\w+)"')


def test_every_key_that_a_view_asks_for_has_a_definition():
    texts = {path.name: path.read_text(encoding="utf-8") for path in STATIC.rglob("*.js")}
    asked = {(name, first or second) for name, text in texts.items() for first, second in ASKED.findall(text)}
    assert ("ranking_costs.js", "frontier") in asked
    assert [(name, key) for name, key in sorted(asked) if key not in DEFINITIONS] == []
