import numpy as np
import pandas as pd
import pytest

from harness.statistics.referent_agreement import referent_agreement, referent_rows


def example(name: str, predicted: int, points_to: dict[int, str]) -> dict:
    return {
        "example": name,
        "predicted": predicted,
        "planted": [{"name": "referent 1", "indices": [1]}, {"name": "referent 2", "indices": [3, 4]}],
        "referents": ["referent 1", "referent 2"],
        "points_to": [{"class": key, "name": value} for key, value in points_to.items()],
    }


def scored(name: str, *scores: float, layer: int = 1, kind: str = "explainer") -> dict:
    return {"example": name, "kind": kind, "method": "m", "layer": layer, "head": 0, "scores": np.array(scores)}


def test_the_pointed_to_candidate_must_have_the_higher_mean_score():
    names = {0: "referent 1", 1: "referent 2"}
    examples = pd.DataFrame([example("a", 0, names), example("b", 1, names), example("c", 1, {0: "referent 1"})])
    scores = pd.DataFrame(
        [
            scored("a", 0, 0.5, 0, 0.4, 0.4),  # the first, though the second's sum is larger: right
            scored("b", 0, 0.5, 0, 0.4, 0.4),  # the same, but the model means the second: wrong
            scored("c", 0, 0.5, 0, 0.4, 0.4),  # its word points to no candidate: undefined
            scored("a", 0, 0.4, 0, 0.4, 0.4, layer=2),  # a tie: one half
            scored("b", 0, np.nan, 0, 0.4, 0.4, layer=2),  # not finite: undefined
            scored("a", 0, 0.1, 0, 0.4, 0.4, kind="reference"),
        ]
    )
    board = referent_agreement(referent_rows(examples, scores)).set_index("layer")
    assert board["share"].tolist() == [0.5, 0.5]
    assert board["n"].tolist() == [2, 1]
    assert board["undefined"].tolist() == [1, 1]
    assert board.loc[1, "low"] == pytest.approx(0.0945, abs=1e-3)  # Wilson, 1 of 2


def test_without_candidates_there_is_nothing_to_agree_on():
    plain = pd.DataFrame([{"example": "a", "predicted": 0, "planted": [], "referents": [], "points_to": []}])
    assert referent_agreement(referent_rows(plain, pd.DataFrame([scored("a", 1, 2)]))).empty


def test_an_example_with_an_unknown_referent_is_counted_as_undefined():
    rows = referent_rows(pd.DataFrame([example("a", 0, {})]), pd.DataFrame([scored("a", 0, 0.5, 0, 0.4, 0.4)]))
    assert rows["right"].isna().tolist() == [True]
    assert referent_agreement(rows)[["n", "undefined"]].values.tolist() == [[0, 1]]
