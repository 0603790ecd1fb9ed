"""What the table of metrics prints, checked by hand."""

import pandas as pd

from harness.report.formats.plain import plain_lines
from harness.report.layouts.metrics import metric_grids
from tests.harness.report.layouts.boards import NAN, ranked


def test_metrics_at_a_glance_have_arrows_gaps_rules_and_diagnosticity():
    table = pd.concat(
        [
            ranked(
                {"explainer": "flow", "layer": 2, "group": "a"}, {"explainer": "rollout"}, measure="aopc", higher=True
            ),
            ranked(
                {"explainer": "random", "kind": "floor", "layer": 0, "mean": 0.1, "group": "a"},
                {"explainer": "flow", "mean": 0.25, "group": "b"},
                measure="sufficiency",
                higher=False,
            ),
        ]
    )
    told = pd.DataFrame([{"metric": "sufficiency", "share": 0.7, "low": 0.5, "high": NAN, "n": 5}]).assign(high=0.9)
    (grid,) = metric_grids(table, told)
    assert grid.headers == ["explainer", "aopc ↑", "sufficiency ↓"]
    assert plain_lines(grid) == [
        ["flow", "0.500 a L2", "0.250 b L1"],
        ["rollout", "0.500 a L1", ""],
        ["random", "", "0.100 a input"],
        ["diagnosticity", "", "0.70 [0.50, 0.90]"],
    ]
    assert grid.bold == {(0, 1), (1, 1), (0, 2)}
    assert grid.rules == (2, 3)
