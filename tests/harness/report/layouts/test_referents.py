"""What the table of referent agreement prints, checked by hand."""

import pandas as pd

from harness.report.formats.plain import plain_lines
from harness.report.layouts.referents import referent_grid
from tests.harness.report.layouts.boards import NAN


def test_referents_print_shares_intervals_and_undefined_counts():
    board = pd.DataFrame(
        [
            ("flow", 1, 0, 0.75, 0.41, 0.93, 8, 2),
            ("flow", 2, 0, NAN, NAN, NAN, 0, 10),
            ("heads", 1, 3, 0.5, 0.2, 0.8, 10, 0),
        ],
        columns=["explainer", "layer", "head", "share", "low", "high", "n", "undefined"],
    )
    assert referent_grid("pronoun", "title", {"m": board[:0]}) is None
    grid = referent_grid("pronoun", "title", {"m": board})
    assert grid is not None
    assert grid.headers == ["explainer", "L1", "L2", "n", "undefined"]
    assert plain_lines(grid) == [
        ["flow", "0.75 [0.41, 0.93]", "–", "0–8", "2–10"],
        ["heads head 3", "0.50 [0.20, 0.80]", "", "10", "0"],
    ]
    both = referent_grid("pronoun", "title", {"m": board, "other": board[2:]})
    assert both is not None
    assert both.headers[:2] == ["model", "explainer"]
    assert [line[0] for line in plain_lines(both)] == ["m", "m", "other"]
