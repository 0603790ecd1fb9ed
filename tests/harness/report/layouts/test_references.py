"""What the table of references prints, checked by hand."""

from harness.report.formats.plain import plain_lines
from harness.report.layouts.references import reference_grids
from tests.harness.report.layouts.boards import NAN, board_of


def test_references_are_compared_with_each_other_by_hand():
    board = board_of(
        ("explainer", "flow", "blank_out", 0.9, 9),
        ("reference", "input_gradient", "blank_out", 0.5, 9),
        ("reference", "blank_out", "input_gradient", 0.5, 9),
        ("explainer", "flow", "input_gradient", 0.8, 9),
        ("reference", "shapley", "blank_out", NAN, 0),
        ("reference", "blank_out", "shapley", NAN, 0),
        ("reliability", "shapley", "shapley", 0.6, 9),
    )
    (grid,) = reference_grids(board)
    assert grid.headers == ["", "blank_out", "input_gradient", "shapley", "halves"]
    assert plain_lines(grid) == [
        ["blank_out", "", "0.50 [0.40, 0.60]", "–", ""],
        ["input_gradient", "0.50 [0.40, 0.60]", "", "", ""],
        ["shapley", "–", "", "", "0.60 [0.50, 0.70], r 0.75"],  # Spearman–Brown: 1.2 / 1.6
    ]
    (without,) = reference_grids(board[board["kind"] != "reliability"])
    assert without.headers == ["", "blank_out", "input_gradient", "shapley"]
    assert not any("halves" in note for note in without.notes)


def test_halves_alone_make_a_table_too():
    board = board_of(
        ("explainer", "kernel_shap", "blank_out", 0.3, 9), ("reliability", "kernel_shap", "kernel_shap", 0.5, 9)
    )
    (grid,) = reference_grids(board)
    assert grid.headers == ["", "halves"]
    assert plain_lines(grid) == [["kernel_shap", "0.50 [0.40, 0.60], r 0.67"]]


def test_without_two_references_there_is_no_such_table():
    assert reference_grids(board_of(("explainer", "flow", "blank_out", 0.9, 9))) == []
