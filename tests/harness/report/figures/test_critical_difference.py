"""Ranks are at their place on the line, and bars join the given groups."""

import numpy as np
import pandas as pd
import pytest

from harness.report.figures.critical_difference import critical_difference, stacked
from tests.harness.report.figures.texts import check_readable, seen, texts


def table(ranks, groups):
    names = [f"layer_gradient_x_act_{index}" for index in range(len(ranks))]
    groups = [[names[index] for index in group] for group in groups]
    return pd.DataFrame({"explainer": names, "mean_rank": ranks, "groups": [groups] * len(ranks)})


def ranks_of(figure):
    """Where each explainer's line leaves the line of ranks, in inches."""
    lines = figure.axes[0].get_lines()
    return {
        line.get_gid().removeprefix("rank "): line.get_xdata()[0] for line in lines if "rank" in str(line.get_gid())
    }


def test_places_are_linear_in_the_mean_rank():
    ranks = [2.5, 1.0, 4.0, 3.25]
    places = list(ranks_of(critical_difference(table(ranks, []))).values())
    slope = np.diff(places) / np.diff(sorted(ranks))
    assert np.allclose(slope, slope[0])
    assert slope[0] > 0


def test_a_bar_has_a_dot_for_each_member_and_groups_are_drawn_once():
    groups = [[0, 1], [1, 2, 3], [2, 3], [3]]
    figure = seen(critical_difference(table([1, 2, 3, 4], groups)))
    places = list(ranks_of(figure).values())
    dots = [line.get_xdata().tolist() for line in figure.axes[0].get_lines() if line.get_gid() == "group"]
    assert np.allclose(sorted(place for dot in dots for place in dot), sorted([places[0], places[1], *places[1:]]))
    assert [len(dot) for dot in dots] == [2, 3]


def test_overlapping_bars_are_stacked():
    ranks = dict(zip("abcd", (1.0, 2.0, 3.0, 4.0), strict=True))
    assert stacked(["ab", "bc", "cd"], ranks) == [(0, "ab"), (1, "bc"), (0, "cd")]


def test_an_undefined_rank_is_noted_and_left_out():
    figure = seen(critical_difference(table([1, np.nan, 2], [[0, 1, 2]])))
    assert len(ranks_of(figure)) == 2
    assert any("No mean rank: layer_gradient_x_act_1." in text.replace("\n", " ") for text, _ in texts(figure))


def test_nothing_is_drawn_with_fewer_than_two_ranks():
    assert critical_difference(table([], [])) is None
    assert critical_difference(table([1, np.nan], [])) is None


@pytest.mark.parametrize("count", [2, 5, 20])
def test_names_do_not_overlap(count):
    ranks = np.sort(np.random.default_rng(count).uniform(1, count, size=count))
    groups = [[index, index + 1] for index in range(count - 1)]
    check_readable(critical_difference(table(ranks, groups), title="task, model, blank_out, n = 100 examples"))
