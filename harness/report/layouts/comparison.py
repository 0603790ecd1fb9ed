"""A comparison of two runs, or of two explainers, as a grid."""

import pandas as pd

from harness.report.cells import AtLayer, Count, Estimate, Number, PValue, Text
from harness.report.grid import Column, Grid, GridLines, line_name, name_columns


def comparison_grid(table: pd.DataFrame, title: str) -> Grid:
    """One line per cell; differences that are significant are bold."""
    lines = GridLines()
    before = None
    for line in table.to_dict("records"):
        if line["measure"] != before:
            lines.rule()
        before = line["measure"]
        lines.add(
            [
                Text(line["measure"]),
                Text(line_name(line["explainer"], line["head"], line["kind"])),
                AtLayer(line["layer"]),
                Number(line["first"], "z.3f"),
                Number(line["second"], "z.3f"),
                Estimate(line["difference"], line["low"], line["high"], form="+z.3f"),
                PValue(line["p"]),
                Number(line["effect"]),
                Count(line["n"], line["n"]),
                Count(line["unpaired"], line["unpaired"]),
            ],
            [5] if line["better"] else [],
        )
    differ = int((table["better"] != "").sum())
    notes = [
        f"{differ} of {len(table)} cells differ significantly (bold)",
        "difference: second minus first, mean over the examples that both sides have, and its 95% bootstrap interval; "
        "p: paired sign-flip test, Holm-corrected over the cells of this table; d: mean of the differences divided by "
        "their standard deviation; unpaired: examples left out because only one side has a value",
    ]
    columns = [
        *name_columns("reference", "explainer", "layer"),
        *(Column(name) for name in ("first", "second", "difference", "p", "d")),
        Column("n", "count"),
        Column("unpaired"),
    ]
    return lines.grid("", title, columns, notes)
