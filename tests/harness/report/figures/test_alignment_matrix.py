"""The matrix of a sentence pair shows its scores row by row, its gold links and the proposed ones."""

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.patches import Rectangle

from harness.report.figures.alignment_matrix import alignment_matrix
from tests.harness.report.figures.texts import check_readable, seen, texts

SOURCE, TARGET = ["das", "Haus", "steht"], ["the", "house"]
NONE = np.zeros((2, 3), dtype=bool)


def marks(*places: tuple[int, int]) -> np.ndarray:
    found = NONE.copy()
    for place in places:
        found[place] = True
    return found


def draw(scores, sure=NONE, possible=NONE, links=NONE, title=""):
    return alignment_matrix(SOURCE, TARGET, np.array(scores), sure=sure, possible=possible, links=links, title=title)


def test_a_row_runs_from_its_lowest_score_to_its_highest_and_links_are_marked():
    scores = [[-1.0, 3.0, 0.0], [0.2, np.nan, 0.1]]
    figure = seen(draw(scores, marks((0, 1)), marks((0, 0), (1, 2)), marks((0, 1)), title="task"))
    axes = figure.axes[0]
    mesh = next(part for part in axes.collections if isinstance(part, QuadMesh))
    drawn = np.ma.filled(mesh.get_array(), np.nan)
    assert np.array_equal(drawn, [[0.0, 1.0, 0.25], [np.nan] * 3], equal_nan=True)
    assert axes.yaxis_inverted()  # the first target word is at the top
    assert [text.get_text() for text in axes.get_xticklabels()] == SOURCE
    assert [text.get_text() for text in axes.get_yticklabels()] == TARGET
    frames = [patch for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_gid()]
    placed = {(patch.get_gid(), int(patch.get_y()), int(patch.get_x())) for patch in frames}
    assert placed == {("sure", 0, 1), ("possible", 0, 0), ("possible", 1, 2)}
    styles = {patch.get_gid(): patch.get_linestyle() for patch in frames}
    assert styles["sure"] in ("-", "solid")
    assert styles["possible"] not in ("-", "solid")
    dots = [line.get_xydata().tolist() for line in axes.get_lines() if line.get_gid() == "link"]
    assert dots == [[[1.5, 0.5]]]
    note = " ".join(text.replace("\n", " ") for text, _ in texts(figure))
    assert "sure (solid) or possible (dashed). Hatched: undefined." in note
    check_readable(figure)


def test_without_possible_or_undefined_links_the_note_names_neither():
    figure = seen(draw(np.eye(2, 3), sure=marks((0, 0))))
    note = " ".join(text for text, _ in texts(figure))
    assert "possible" not in note
    assert "Hatched" not in note


def test_a_constant_row_is_light_and_nothing_is_drawn_without_a_score():
    mesh = next(part for part in seen(draw([[2.0, 2.0, 2.0], [0, 1, 2]])).axes[0].collections)
    assert mesh.get_array()[0].tolist() == [0.0, 0.0, 0.0]
    assert draw(np.full((2, 3), np.nan)) is None


def test_scores_of_other_words_are_refused():
    with pytest.raises(ValueError, match=r"expected scores of 2 target words and 3 source words, got \(3, 2\)"):
        draw(np.zeros((3, 2)))


def test_forty_words_are_legible():
    words = [f"Bundestagsabgeordnete{index}" for index in range(40)]
    scores, nothing = np.random.default_rng(0).normal(size=(40, 40)), np.zeros((40, 40), dtype=bool)
    check_readable(seen(alignment_matrix(words, words, scores, sure=nothing, possible=nothing, links=nothing)))
