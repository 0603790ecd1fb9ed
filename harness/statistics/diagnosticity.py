"""Diagnosticity: whether a metric prefers an explainer's scores to random ones (Chan et al. 2022).

https://arxiv.org/abs/2204.05514
"""

import numpy as np
import pandas as pd

from harness.statistics.tests import mean_interval


def diagnosticity(rows: pd.DataFrame, examples: pd.DataFrame, random: str = "random") -> pd.DataFrame:
    """How often each metric prefers real scores to random ones: `metric`, `share`, `low`, `high`, `n` examples.

    A tie counts one half. Averaged over explainers and layers within an example, then over examples. Empty without the
    explainer `random`. Chan et al. 2022, https://arxiv.org/abs/2204.05514
    """
    ok = rows[rows["status"] == "ok"]
    clusters = examples.drop_duplicates("example").set_index("example")["cluster"]
    chance = ok[ok["explainer"] == random][["example", "measure", "value"]].rename(columns={"value": "chance"})
    held = ok[ok["kind"] == "explainer"].merge(chance, on=["example", "measure"])
    sign = np.where(held["higher"], 1.0, -1.0)
    held["preferred"] = (np.sign((held["value"] - held["chance"]) * sign) + 1) / 2
    lines = []
    for metric, part in held.groupby("measure", sort=False):
        by_example = part.groupby("example")["preferred"].mean()
        values = by_example.to_numpy()[:, None]
        low, high = mean_interval(values, clusters.loc[by_example.index].to_numpy())[0]
        lines.append({"metric": metric, "share": values.mean(), "low": low, "high": high, "n": len(values)})
    return pd.DataFrame(lines, columns=["metric", "share", "low", "high", "n"])
