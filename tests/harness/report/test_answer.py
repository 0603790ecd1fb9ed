"""What a run says in a few sentences, word for word."""

import numpy as np
import pandas as pd
import pytest

from harness.report.answer import answers
from harness.statistics.ranking import is_validation, ranking
from harness.statistics.sample_size import sample_size
from tests.harness.report.layouts.boards import NAN, TABLE, examples_of, ranked

IDS = [f"{number:03d}" for number in range(90)]
NO_ROWS = pd.DataFrame({"example": []})
FLOOR = {"kind": "floor", "layer": 0, "group": "c", "mean": 0.1}


def rows_of(values: dict[str, np.ndarray], layer: int = 1) -> pd.DataFrame:
    """Rows of explainers; of floors, where a name starts so."""
    tables = [pd.DataFrame({"example": IDS, "value": value, "explainer": name}) for name, value in values.items()]
    rows = pd.concat(tables, ignore_index=True).assign(
        **TABLE, measure="blank_out", layer=layer, head=0, higher=None, same=False
    )
    rows["kind"] = np.where(rows["explainer"].str.startswith("floor"), "floor", "explainer")
    return rows.assign(status=np.where(rows["value"].isna(), "constant scores", "ok"))


def said(values: dict[str, np.ndarray], clusters: list[str] = IDS) -> list[str]:
    rows, examples = rows_of(values), pd.DataFrame({"example": IDS, "cluster": clusters})
    return answers(ranking(rows, examples), rows, examples)


def noise(seed: int, scale: float = 0.2) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=scale, size=len(IDS))


def centred(seed: int, mean: float, deviation: float) -> np.ndarray:
    """Values of which the mean and standard deviation outside the validation part are just these."""
    values, outside = noise(seed), ~is_validation(np.array(IDS))
    return mean + deviation * (values - values[outside].mean()) / values[outside].std(ddof=1)


def test_a_leader_a_rival_a_floor_and_the_examples_that_would_settle_it():
    shared = centred(0, 0.5, 0.2)
    rival = shared - centred(1, 0.02, 0.2)
    values = {"flow": shared, "rollout": rival, "worse": shared - 0.3, "floor": centred(2, 0.0, 0.01)}
    n = int((~is_validation(np.array(IDS))).sum())
    assert n == 69
    first, *others = said(values)
    assert first.startswith("flow at L1 agrees best with blank_out: mean rho 0.50 [0.45, 0.5")
    assert first.endswith("], n 69.")
    assert others == [
        "Not significantly different from it: rollout (L1, 0.48).",
        "All 3 explainers are significantly above every floor (the best is floor, 0.00).",
        # ((1.96 + 0.842) * 0.2 / 0.02)^2 = 784.9
        "To tell flow from rollout, about 790 examples are needed besides those that choose the layers (69 now; "
        "80% power).",
    ]


def test_clusters_are_counted_where_examples_depend_on_each_other():
    clusters = np.repeat([f"t{number}" for number in range(30)], 3).tolist()
    values = {"flow": 0.5 + noise(0), "rollout": 0.49 + noise(1)}
    *_, last = said(values, clusters)
    assert last.startswith("To tell ")
    assert "clusters of examples are needed" in last
    outside = ~is_validation(np.array(clusters))
    assert f"({len(set(np.array(clusters)[outside]))} now; 80% power)" in last


def test_where_only_the_correction_stands_in_the_way_it_says_so():
    values = {"flow": centred(0, 0.5, 0.2)}
    values["rollout"] = values["flow"] - centred(1, 0.06, 0.16)  # alone, p is about .004
    values |= {f"other_{number}": centred(9 + number, 0.1, 0.3) for number in range(12)}
    sentences = said(values)
    assert sentences[1].startswith("Not significantly different from it: rollout (L1, 0.44)")
    assert sentences[3] == (
        "A test of this pair alone would tell flow from rollout with about 56 examples (69 now); the correction for "
        "all pairs of the ranking asks for more."
    )


def test_equal_means_are_not_told_apart_by_any_number_of_examples():
    same = noise(0) + 0.5
    assert said({"flow": same, "rollout": same})[3] == (
        "No number of examples is likely to tell flow from rollout: their means are almost the same."
    )
    nearly = same - centred(1, 1e-5, 0.2)
    assert said({"flow": same, "rollout": nearly})[3] == (
        "No number of examples is likely to tell flow from rollout: their means are almost the same."
    )


def test_a_pair_with_too_few_examples_in_common_is_undecided():
    """Its lines share a letter, but only one example outside the validation part has both."""
    outside = ~is_validation(np.array(IDS))
    half = np.zeros(len(IDS), dtype=bool)
    half[np.flatnonzero(outside)[:20]] = True
    first, second = 0.5 + noise(0), 0.49 + noise(1)
    first[outside & half] = NAN
    second[outside & ~half] = NAN
    second[np.flatnonzero(outside & ~half)[0]] = 0.4
    rows, examples = rows_of({"flow": first, "rollout": second}), examples_of(*IDS).assign(example=IDS)
    table = ranking(rows, examples)
    assert set(table["group"]) == {"a"}
    assert answers(table, rows, examples)[3] == (
        f"How many examples would tell {table['explainer'][0]} from {table['explainer'][1]} cannot be said: they have "
        "too few in common."
    )


def test_where_nothing_is_tied_three_sentences_are_enough():
    table = ranked(
        {"explainer": "saliency", "layer": 0, "mean": 0.7, "low": 0.65, "high": 0.75, "n": 40},
        {"explainer": "attention", "head": 3, "mean": 0.5, "group": "b"},
        {"explainer": "input_gradient", "kind": "reference", "mean": 0.45, "group": "a"},
        {"explainer": "position"} | FLOOR,
        {"explainer": "flow", "mean": 0.05, "group": "c"},
    )
    assert answers(table, NO_ROWS, NO_ROWS) == [
        "saliency agrees best with blank_out: mean rho 0.70 [0.65, 0.75], n 40.",
        "Every other explainer is significantly below it.",
        "Significantly above every floor (the best is position, 0.10): saliency, attention head 3.",
    ]


def test_nothing_above_the_floors_is_said_and_a_floor_beside_the_leader_is_named():
    table = ranked(
        {"explainer": "random", "group": "a", "mean": 0.6} | {"kind": "floor", "layer": 0},
        {"explainer": "flow", "mean": 0.5, "low": NAN, "high": NAN, "n": 1},
        {"explainer": "position"} | FLOOR,
    )
    assert answers(table, NO_ROWS, NO_ROWS) == [
        "flow at L1 agrees best with blank_out: mean rho 0.50, n 1.",
        "Not significantly different from it: random (floor, 0.60).",
        "No explainer is significantly above every floor (the best is random, 0.60).",
    ]


def test_one_floor_that_is_not_beaten_is_enough():
    """Even if it is not the best one: its values may be spread widely."""
    table = ranked(
        {"explainer": "flow", "group": "ab", "mean": 0.5},
        {"explainer": "position"} | FLOOR | {"mean": 0.3},
        {"explainer": "random"} | FLOOR | {"group": "b"},
    )
    assert answers(table, NO_ROWS, NO_ROWS)[2] == (
        "No explainer is significantly above every floor (the best is position, 0.30)."
    )


def test_without_floors_or_rivals_it_says_so():
    table = ranked({"explainer": "flow"}, {"explainer": "gone", "mean": NAN, "group": ""})
    assert answers(table, NO_ROWS, NO_ROWS)[1:] == [
        "It is the only explainer.",
        "No floor was measured, so this does not show what is better than chance: add random or position.",
    ]


@pytest.mark.parametrize(
    ("count", "names"),
    [
        (1, "e1"),
        (6, "e1, e2, e3, e4, e5, e6"),
        (7, "e1, e2, e3, e4, e5 and 2 more"),
        (40, "e1, e2, e3, e4, e5 and 35 more"),
    ],
)
def test_a_sentence_names_six_explainers_at_most(count: int, names: str):
    above = [{"explainer": f"e{number}", "group": "b"} for number in range(1, count + 1)]
    table = ranked({"explainer": "best"}, *above, {"explainer": "position"} | FLOOR)
    table.loc[0, "group"] = "c"  # so that not all are above the floor
    sentence = answers(table, NO_ROWS, NO_ROWS)[2]
    assert sentence == f"Significantly above every floor (the best is position, 0.10): {names}."


def test_only_the_first_reference_is_answered():
    table = pd.concat(
        [
            ranked({"explainer": "deep", "mean": 0.9}, measure="aopc", higher=True),
            ranked({"explainer": "flow"}),
            ranked({"explainer": "rollout"}, measure="input_gradient"),
        ]
    )
    assert answers(table, NO_ROWS, NO_ROWS)[0].startswith("flow at L1 agrees best with blank_out")


def test_without_a_ranking_or_a_defined_correlation_there_is_one_sentence():
    assert answers(ranked({"explainer": "flow"})[:0], NO_ROWS, NO_ROWS) == [
        "No explainer can be ranked: that takes defined values on the third of the examples that chooses layers, "
        "and on the others."
    ]
    assert answers(ranked({"explainer": "flow", "mean": NAN}), NO_ROWS, NO_ROWS) == [
        "No explainer has a defined correlation with blank_out."
    ]


def test_the_sample_size_is_rounded_up_to_two_digits():
    shared = centred(0, 0.5, 0.2)
    exact = centred(1, 0.0123, 0.2)
    last = said({"flow": shared, "rollout": shared - exact})[3]
    needed = sample_size(exact[~is_validation(np.array(IDS))]).needed
    assert needed == 2076
    assert "about 2,100 examples are needed" in last


def test_nothing_is_above_a_floor_of_which_no_letter_is_known():
    """There are 52 letters; lines of further groups have none, and may share one."""
    table = ranked(
        {"explainer": "saliency", "mean": 0.7, "group": "a"},
        {"explainer": "flow", "mean": 0.3, "group": ""},
        {"explainer": "random"} | FLOOR | {"group": ""},
    )
    assert answers(table, NO_ROWS, NO_ROWS)[2] == (
        "No explainer is significantly above every floor (the best is random, 0.10)."
    )
    table.loc[2, "group"] = "b"
    assert answers(table, NO_ROWS, NO_ROWS)[2] == (
        "Significantly above every floor (the best is random, 0.10): saliency."
    )
