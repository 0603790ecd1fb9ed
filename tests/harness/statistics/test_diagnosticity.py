"""Diagnosticity, checked by hand."""

import numpy as np
import pandas as pd
import pytest

from harness.statistics.diagnosticity import diagnosticity
from tests.harness.report.layouts.boards import NAN, examples_of


def metric_rows(**values: list[float]) -> pd.DataFrame:
    """Values of `explainer__metric` for each example; lower is better if the name ends in `_low`."""
    tables = []
    for name, column in values.items():
        explainer, metric = name.split("__")
        frame = pd.DataFrame({"example": [str(number) for number in range(len(column))], "value": column})
        kind = "floor" if explainer in ("random", "position") else "explainer"
        tables.append(frame.assign(explainer=explainer, kind=kind, measure=metric, higher=metric[-4:] != "_low"))
    rows = pd.concat(tables, ignore_index=True)
    return rows.assign(status=np.where(rows["value"].isna(), "undefined", "ok"), layer=0, head=0)


def test_diagnosticity_by_hand():
    rows = metric_rows(
        random__aopc=[0.5, 0.5, 0.5, NAN, 0.5],
        flow__aopc=[0.9, 0.5, 0.1, 0.9, NAN],  # a win, a tie, a loss; nothing to compare
        rollout__aopc=[0.9, 0.9, 0.1, 0.9, 0.6],  # a win, a win, a loss, a win
        position__aopc=[9.0] * 5,  # a floor is not a real attribution
        random__sufficiency_low=[0.5, 0.5, 0.5, 0.5, 0.5],
        flow__sufficiency_low=[0.9, 0.5, 0.1, 0.1, 0.1],
    )
    table = diagnosticity(rows, examples_of(*"abcde")).set_index("metric")
    assert table["share"].to_dict() == pytest.approx({"aopc": (1 + 0.75 + 0 + 1) / 4, "sufficiency_low": 3.5 / 5})
    assert table["n"].to_dict() == {"aopc": 4, "sufficiency_low": 5}
    assert ((table["low"] < table["share"]) & (table["share"] < table["high"])).all()
    assert diagnosticity(rows[rows["explainer"] != "random"], examples_of(*"abcde")).empty
    one = diagnosticity(rows, examples_of(*"aaaaa"))
    assert one["low"].isna().all()  # a single cluster has no interval


def test_layers_count_evenly_within_an_example():
    rows = metric_rows(random__aopc=[0.5, 0.5], flow__aopc=[0.9, 0.1])
    deep = rows[rows["explainer"] == "flow"].assign(layer=2, value=[0.1, 0.1])
    table = diagnosticity(pd.concat([rows, deep]), examples_of(*"ab"))
    assert table["share"].tolist() == [(0.5 + 0) / 2]
