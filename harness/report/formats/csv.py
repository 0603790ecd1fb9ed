"""Tables as CSV."""

import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute


def csv(table: pd.DataFrame) -> str:
    """A table as CSV; a text that a spreadsheet would take for a formula gets an apostrophe in front."""
    changed = {}
    for name in table.columns:
        formulas = [isinstance(value, str) and value.startswith(FORMULA) for value in table[name]]
        if any(formulas):
            changed[name] = [f"'{value}" if one else value for value, one in zip(table[name], formulas, strict=True)]
    return table.assign(**changed).to_csv(index=False)
