"""What the table of costs prints, checked by hand."""

from harness.report.formats.plain import plain_lines
from harness.report.layouts.costs import cost_grid
from harness.tables import Cost, Costs, Method
from tests.harness.report.run_folders import manifest


def test_costs_are_per_example_and_keyed_by_kind_and_name():
    """A phase, an explainer and a reference may share a name."""
    methods = {"trace": Method("Trace()", "An explainer (Someone 2020)"), "left_out": Method("", "")}
    costs = Costs(
        {
            ("phase", "trace"): Cost(2.0, 4),
            ("explainer", "trace"): Cost(1.0, 8, 4),
            ("reference", "trace"): Cost(0.0005, 2, 0),
        }
    )
    told = manifest(explainers=methods, references={"trace": Method("", "A reference")})
    grid = cost_grid(told, costs, 4)
    assert grid is not None
    assert plain_lines(grid) == [
        ["trace", "explainer", "An explainer (Someone 2020)", "0.25", "2.0", "1.0"],
        ["trace", "reference", "A reference", "0.000125", "0.5", "0.0"],
    ]
    assert grid.rules == (1,)
    assert "(0.5 seconds)" in grid.notes[0]
    assert grid.title == "agreement, small, seed 0: cost per example, n 4"


def test_without_measured_costs_there_is_no_such_table():
    assert cost_grid(manifest(), Costs(), 4) is None
