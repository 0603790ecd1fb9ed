"""What the table of alignment error rates prints, checked by hand."""

import pandas as pd

from harness.report.formats.plain import plain_lines
from harness.report.layouts.alignments import alignment_grid
from tests.harness.report.layouts.boards import NAN

COLUMNS = ["kind", "explainer", "layer", "head", "row", "links", "aer", "low", "high", "sentences", "undefined"]
BOARD = pd.DataFrame(
    [
        ("explainer", "flow", 1, 0, "output", "argmax", 0.75, 0.7, 0.8, 9, 2),
        ("explainer", "flow", 2, 0, "output", "argmax", 0.25, 0.2, 0.3, 9, 0),
        ("explainer", "flow", 2, 0, "output", "threshold", 0.05, 0.0, 0.1, 9, 0),
        ("explainer", "flow", 1, 0, "input", "argmax", NAN, NAN, NAN, 9, 40),
        ("explainer", "flow", 2, 0, "input", "argmax", 0.35, 0.3, 0.42, 9, 0),
        ("reference", "blank_out", 0, 0, "output", "argmax", 0.1, 0.0, 0.2, 9, 0),
        ("floor", "diagonal", 0, 0, "output", "argmax", 0.4, 0.3, 0.5, 9, 0),
        ("floor", "random", 0, 0, "output", "argmax", 0.9, 0.8, 0.95, 9, 0),
    ],
    columns=COLUMNS,
)


def test_rates_are_printed_by_layer_for_both_readings_of_rows_with_floors_apart():
    assert alignment_grid("translation", "title", {"m": BOARD[:0]}) is None
    grid = alignment_grid("translation", "title", {"m": BOARD})
    assert grid is not None
    assert grid.headers == ["explainer", "row", "input", "L1", "L2", "n", "undefined"]
    assert plain_lines(grid) == [
        ["flow", "output", "", "0.75 [0.70, 0.80]°", "0.25 [0.20, 0.30]", "9", "0–2"],
        ["flow", "input", "", "–", "0.35 [0.30, 0.42]°", "9", "0–40"],
        ["diagonal", "output", "0.40 [0.30, 0.50]", "", "", "9", "0"],
        ["random", "output", "0.90 [0.80, 0.95]", "", "", "9", "0"],
        ["blank_out (reference)", "output", "0.10 [0.00, 0.20]", "", "", "9", "0"],
    ]
    assert grid.bold == {(0, 4)}  # of explainers alone, by argmax
    assert grid.rules == (2, 4)
    assert grid.notes[-1] == "° the interval reaches the lowest error rate of a floor (diagonal, random)"


def test_several_models_are_named_and_compared_with_their_own_floors():
    grid = alignment_grid("translation", "title", {"m": BOARD, "other": BOARD[1:2]})
    assert grid is not None
    assert grid.headers[:3] == ["model", "explainer", "row"]
    assert [line[0] for line in plain_lines(grid)] == ["m"] * 5 + ["other"]
    assert plain_lines(grid)[-1][3:] == ["", "", "0.25 [0.20, 0.30]", "9", "0"]  # without a floor, no mark
    assert grid.bold == {(0, 5), (5, 5)}
