import numpy as np
import pandas as pd
import pytest

from harness.statistics.source_shares import source_shares

EXAMPLES = pd.DataFrame({"example": ["a", "b", "c"], "cluster": ["s", "s", "t"], "source": [2, 1, 1]})


def scored(example: str, *scores: float, method: str = "m", layer: int = 1, kind: str = "explainer") -> dict:
    return {
        "example": example,
        "kind": kind,
        "method": method,
        "layer": layer,
        "head": 0,
        "scores": np.array(scores),
    }


def test_the_share_is_the_mean_over_examples_of_absolute_scores_on_the_source():
    rows = [scored("a", 1.0, -2.0, 1.0), scored("b", 0.5, 0.5), scored("c", 3.0, -1.0)]
    rows += [scored("a", 0.0, 0.0, 0.0, layer=2), scored("b", np.nan, 1.0, layer=2), scored("c", 0.0, 5.0, layer=2)]
    rows += [scored("a", 0.0, 1.0, 1.0, method="floor", layer=0)]
    table = source_shares(EXAMPLES, pd.DataFrame(rows), ["floor"]).set_index(["explainer", "layer"])
    first, second, floor = (table.loc[line] for line in (("m", 1), ("m", 2), ("floor", 0)))
    assert first["mean"] == pytest.approx((3 / 4 + 1 / 2 + 3 / 4) / 3)
    assert (first["n"], first["undefined"], first["kind"]) == (3, 0, "explainer")
    # Two clusters: both examples of the first, or the second's alone, or both clusters
    assert [first["low"], first["high"]] == pytest.approx([(3 / 4 + 1 / 2) / 2, 3 / 4])
    assert (second["mean"], second["n"], second["undefined"]) == (0.0, 1, 2)  # all zero, and not finite
    assert (floor["mean"], floor["n"], floor["kind"]) == (0.5, 1, "floor")


def test_examples_of_one_text_have_no_shares():
    assert source_shares(EXAMPLES.assign(source=0), pd.DataFrame([scored("a", 1.0, 2.0, 3.0)])).empty
