"""Small leaderboards and rankings, made by hand."""

import pandas as pd

from harness.tables import STATISTICS

NAN = float("nan")
TABLE = {"task": "t", "model": "m", "seed": 0}


def ranked(*lines: dict, **constant) -> pd.DataFrame:
    """A ranking of these lines."""
    line = {"kind": "explainer", "layer": 1, "head": 0, "mean": 0.5, "low": 0.4, "high": 0.6, "group": "a", "n": 20}
    told = {"measure": "blank_out", "effect": NAN, "floor": "", "higher": None, **dict.fromkeys(STATISTICS, NAN)}
    return pd.DataFrame([TABLE | line | told | constant | one for one in lines])


def examples_of(*clusters: str) -> pd.DataFrame:
    return pd.DataFrame({"example": [str(number) for number in range(len(clusters))], "cluster": list(clusters)})


def board_of(*lines: tuple[str, str, str, float, int]) -> pd.DataFrame:
    """Leaderboard lines of `(kind, explainer, measure, mean, n)`."""
    board = pd.DataFrame(lines, columns=["kind", "explainer", "measure", "mean", "n"])
    return board.assign(**TABLE, low=board["mean"] - 0.1, high=board["mean"] + 0.1)
