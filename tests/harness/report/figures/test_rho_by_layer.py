"""Lines, bands, floors and references are the board's numbers."""

import numpy as np
import pandas as pd
import pytest

from harness.report.figures.rho_by_layer import rho_by_layer
from tests.harness.report.figures.texts import check_readable, seen, texts

COLUMNS = ["explainer", "head", "layer", "mean", "low", "high", "n", "kind"]


def cells(name, means, kind="explainer", first=1, head=0):
    return [
        (name, head, layer, mean, mean - 0.1, mean + 0.2, 8 + head, kind)
        for layer, mean in enumerate(means, start=first)
    ]


def board(*groups):
    return pd.DataFrame([row for group in groups for row in group], columns=COLUMNS)


def line(figure, name):
    return next(line for axes in figure.axes for line in axes.get_lines() if line.get_gid() == name)


@pytest.fixture(scope="module")
def small():
    return board(
        cells("attention", [0.1, np.nan, 0.3, 0.5]),
        cells("attention", [0.9], head=2),
        cells("saliency", [0.4], first=0),
        cells("random", [-0.2], "floor", first=0),
        cells("shuffled", [0.0, 0.05, 0.1, -0.1], "floor"),
        cells("shapley", [0.7], "reference", first=0),
    )


@pytest.fixture(scope="module")
def figure(small):
    return rho_by_layer(small, title="task, model", reference="blank_out")


def test_lines_and_bands_are_the_boards_numbers_and_nan_leaves_a_gap(figure):
    drawn = line(figure, "attention")
    assert drawn.get_xdata().tolist() == [1, 2, 3, 4]
    assert np.array_equal(drawn.get_ydata(), [0.1, np.nan, 0.3, 0.5], equal_nan=True)
    axes = drawn.axes
    corners = [path.vertices for band in axes.collections for path in getattr(band, "get_paths", list)()]
    bands = [{tuple(np.round(point, 6)) for point in vertices} for vertices in corners]
    assert any({(3.0, 0.2), (4.0, 0.4), (4.0, 0.7), (3.0, 0.5)} <= band for band in bands)
    assert any(band == {(1.0, 0.0), (1.0, 0.3)} for band in bands)  # the lone layer 1 has a bar
    assert not any({(2.0, 0.2)} & band for band in bands if (1.0, 0.0) in band)


def test_an_explainer_without_layers_is_a_point_with_its_interval(figure):
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["saliency"]
    assert [0.4] in [line.get_ydata().tolist() for line in axes.get_lines() if line.get_linestyle() == "None"]
    bars = [path.vertices.tolist() for part in axes.collections for path in part.get_paths() if len(path.vertices) == 2]
    assert np.allclose(bars, [[[0, 0.3], [0, 0.6]]])


def test_floors_and_references_span_the_width_and_are_labelled(figure):
    for axes in figure.axes:
        across = [line.get_ydata() for line in axes.get_lines() if list(line.get_xdata()) == [0, 1]]
        assert [-0.2, -0.2] in [list(values) for values in across]
        assert [0.7, 0.7] in [list(values) for values in across]
    written = [text for text, _ in texts(figure)]
    assert {"random", "shuffled", "shapley (reference)", "layer"} <= set(written)
    assert "task, model, n = 8 examples" in written
    assert any("ρ with\nblank_out (95% interval)" in text for text in written)
    assert "attention head 2" not in written


def test_nothing_is_drawn_where_nothing_is_defined():
    assert rho_by_layer(board()) is None
    assert rho_by_layer(board(cells("attention_by_head", [0.1, 0.2], head=3))) is None
    assert rho_by_layer(board(cells("attention", [np.nan, np.nan]))) is None


def test_a_failed_cell_does_not_cost_a_method_its_layers():
    figure = seen(rho_by_layer(board(cells("flow", [np.nan, 0.2, 0.3], first=0))))
    assert np.array_equal(line(figure, "flow").get_ydata(), [0.2, 0.3])


def test_an_explainer_looks_the_same_whatever_else_is_drawn():
    order = ["rollout", "attention"]
    both = seen(rho_by_layer(board(cells("rollout", [0.1, 0.2]), cells("attention", [0.1, 0.2])), order=order))
    one = seen(rho_by_layer(board(cells("attention", [0.1, 0.2])), order=order))
    assert line(both, "attention").get_color() == line(one, "attention").get_color()
    assert line(both, "attention").get_color() != line(both, "rollout").get_color()


def test_twenty_explainers_with_24_layers_and_many_gaps_are_legible():
    draw = np.random.default_rng(0)
    groups = []
    for index in range(20):
        means = draw.uniform(-0.3, 0.8, size=24 if index < 13 else 1)
        means[draw.uniform(size=len(means)) < 0.4] = np.nan
        groups.append(cells(f"layer_gradient_x_activation_{index}", means, first=1 if index < 13 else 0))
    groups += [cells(f"floor_{index}", [0.01 * index], "floor", first=0) for index in range(5)]
    groups += [cells(f"reference_{index}", [0.6], "reference", first=0) for index in range(2)]
    figure = seen(rho_by_layer(board(*groups), title="task, model", reference="blank_out"))
    check_readable(figure)
    legends = [axes.get_legend() for axes in figure.axes]
    assert sum(len(legend.get_texts()) for legend in legends if legend) == 13


def test_a_small_board_is_legible(figure):
    check_readable(figure)


@pytest.mark.parametrize("layers", [6, 30, 80])
def test_at_relative_depth_layers_of_every_model_take_the_same_places(layers):
    figure = seen(rho_by_layer(board(cells("attention", np.linspace(0, 1, layers))), relative=True))
    (axes,) = figure.axes
    assert line(figure, "attention").get_xdata().tolist() == list(range(1, layers + 1))
    assert [edge / layers for edge in axes.get_xlim()] == pytest.approx([0, 1.03])
    assert [tick / layers for tick in axes.get_xticks()] == [0.25, 0.5, 0.75, 1]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.25", "0.5", "0.75", "1"]
    assert axes.get_xlabel() == f"relative depth: layer / {layers}"
    check_readable(figure)
