"""Text in figures: glyphs, line breaks and numbers of examples."""

from harness.report.figures.lettering import examples, label, wrapped


def test_a_token_that_the_font_lacks_is_a_box_and_a_long_one_is_truncated():
    assert label("[CLS]") == "[CLS]"
    assert label("漢a\n") == "□a□"
    assert label("x" * 30) == "x" * 23 + "…"


def test_text_is_broken_between_words():
    assert wrapped("one two\nthree", 9) == "one two\nthree"
    assert wrapped("one two", 0.1) == "one\ntwo"


def test_example_counts_range_from_least_to_most():
    assert examples([3, 5, 0, float("nan")]) == "n = 3–5 examples"
    assert examples([4, 4]) == "n = 4 examples"
    assert examples([0]) == ""
