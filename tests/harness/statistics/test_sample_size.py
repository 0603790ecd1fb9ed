"""How many examples tell two means apart: by hand, and by simulation."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

from harness.statistics.ranking import is_validation, ranking
from harness.statistics.sample_size import SampleSize, sample_size, sample_size_of_lines
from harness.statistics.tests import ALPHA, sign_flip

NAN = float("nan")


def test_it_is_the_formula_of_a_paired_comparison():
    """Differences -1 and 2 in turn: mean 1/2, and of 50 each the variance is 9/4 * 100/99."""
    differences = np.tile([-1.0, 2.0], 50)
    exact = (1.959964 + 0.841621) ** 2 * 9 / 4 * 100 / 99 * 4
    assert sample_size(differences) == SampleSize(math.ceil(exact), 100, 100, 0.5)
    assert sample_size(-differences) == SampleSize(math.ceil(exact), 100, 100, -0.5)
    assert sample_size(1000 * differences).needed == math.ceil(exact)


def test_a_known_value_of_cohens_tables():
    """An effect of 0.2 standard deviations at 5% and 80% power: 196.2 pairs by the normal approximation."""
    differences = np.random.default_rng(0).normal(size=500)
    differences = (differences - differences.mean()) / differences.std(ddof=1) + 0.2
    assert sample_size(differences).needed == 197


@pytest.mark.parametrize("effect", [0.2, 0.4])
def test_that_many_examples_give_the_promised_power(effect: float):
    """Of 1,000 samples of that size, the sign-flip test rejects in 80% (here within 4 standard errors)."""
    needed = math.ceil(((ndtri(1 - ALPHA / 2) + ndtri(0.8)) / effect) ** 2)
    unit = np.tile([-1.0, 1.0], 200) / np.sqrt(400 / 399) + effect  # mean and standard deviation exactly as told
    assert sample_size(unit).needed == needed
    drawn = np.random.default_rng(1).normal(effect, 1.0, size=(needed, 1000))  # [example, sample]
    power = (sign_flip(drawn, draws=2000) < ALPHA).mean()
    assert power == pytest.approx(0.8, abs=4 * np.sqrt(0.8 * 0.2 / 1000))


def test_more_power_and_a_smaller_difference_ask_for_more_examples():
    differences = np.random.default_rng(0).normal(0.3, 1.0, size=100)
    assert sample_size(differences, power=0.9).needed > sample_size(differences).needed
    assert sample_size(differences - 0.1).needed > sample_size(differences).needed
    assert sample_size(differences, alpha=0.01).needed > sample_size(differences).needed


def test_clusters_are_the_units():
    """Ten copies of each example tell nothing new."""
    differences = np.random.default_rng(0).normal(0.2, 1.0, size=40)
    copies, clusters = np.repeat(differences, 10), np.repeat(np.arange(40), 10)
    alone = sample_size(differences)
    assert sample_size(copies, clusters) == SampleSize(alone.needed, 40, 400, pytest.approx(alone.difference))
    assert sample_size(differences, np.arange(40).astype(str)) == alone


def test_undefined_differences_are_left_out():
    differences = np.random.default_rng(0).normal(0.2, 1.0, size=40)
    gaps = np.concatenate([[NAN], differences, [NAN]])
    assert sample_size(gaps, np.arange(42)) == sample_size(differences)


def test_without_a_difference_no_number_is_enough():
    assert sample_size(np.zeros(10)).needed == math.inf
    assert sample_size(np.tile([-0.1, 0.1], 20)).needed == math.inf
    assert sample_size(np.array([0.1, 0.2, -0.3])).needed == math.inf  # the sum is rounding


@pytest.mark.parametrize("differences", [[], [0.5], [NAN, 0.5, NAN]])
def test_fewer_than_two_clusters_say_nothing(differences: list[float]):
    found = sample_size(np.array(differences))
    assert math.isnan(found.needed)
    assert math.isnan(sample_size(np.array([0.1, 0.2, 0.3]), np.array(["a", "a", "a"])).needed)
    assert math.isnan(found.difference) == (found.examples == 0)


def test_a_constant_difference_needs_two_pairs_at_least():
    assert sample_size(np.full(10, 0.25)).needed == 2


def test_two_lines_of_a_ranking_are_compared_on_the_examples_that_it_reports():
    generator, size = np.random.default_rng(0), 60
    ids = [f"{number:03d}" for number in range(size)]
    values = {("flow", 1): generator.normal(0.5, 0.2, size), ("rollout", 2): generator.normal(0.4, 0.2, size)}
    values["flow", 1][7:9] = NAN
    tables = [
        pd.DataFrame({"example": ids, "value": value, "explainer": name, "layer": layer})
        for (name, layer), value in values.items()
    ]
    rows = pd.concat(tables, ignore_index=True).assign(
        task="t", model="m", seed=0, measure="blank_out", kind="explainer", head=0, higher=None, same=False
    )
    rows["status"] = np.where(rows["value"].isna(), "constant scores", "ok")
    rows = pd.concat([rows, rows.assign(measure="other", value=9.0)], ignore_index=True)
    examples = pd.DataFrame({"example": ids, "cluster": np.repeat(np.arange(30), 2).astype(str)})
    table = ranking(rows, examples)
    lines = {line["explainer"]: line for line in table[table["measure"] == "blank_out"].to_dict("records")}
    clusters = examples["cluster"].to_numpy()
    outside = ~is_validation(clusters)
    differences = values["flow", 1] - values["rollout", 2]
    found = sample_size_of_lines(rows, examples, lines["flow"], lines["rollout"])
    expected = sample_size(differences[outside], clusters[outside])
    assert found == expected
    assert 0 < found.clusters < found.examples <= lines["flow"]["n"]
    shuffled = rows.sample(frac=1, random_state=1)
    again = sample_size_of_lines(shuffled, examples, lines["flow"], lines["rollout"])
    assert (again.needed, again.examples) == (found.needed, found.examples)
