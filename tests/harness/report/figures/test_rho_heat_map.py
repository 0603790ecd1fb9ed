"""Cells are the board's numbers, and dark is high."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

from harness.report.figures.rho_heat_map import rho_heat_map
from tests.harness.report.figures.test_rho_by_layer import board, cells
from tests.harness.report.figures.texts import check_readable, seen, texts


def values(axes) -> np.ndarray:
    return np.ma.filled(axes.collections[0].get_array(), np.nan)


def hatched(axes) -> set[tuple[float, float]]:
    return {patch.get_xy() for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_hatch()}


@pytest.fixture(scope="module")
def small() -> pd.DataFrame:
    return board(
        cells("shapley", [0.7], "reference", first=0),
        cells("random", [-0.2], "floor", first=0),
        cells("attention", [0.1, np.nan, 0.3, 0.5]),
        cells("attention", [0.9], head=2),
        cells("attention", [np.nan], first=0),  # an example that failed
        cells("saliency", [0.4], first=0),
        cells("failing", [np.nan], first=0),
        cells("shallow", [0.2, 0.3]),
    )


@pytest.fixture(scope="module")
def figure(small):
    return seen(rho_heat_map(small, title="task, model", reference="blank_out"))


def test_cells_are_the_boards_numbers(figure):
    column, layers, bar = figure.axes
    nan = np.nan
    assert [label.get_text() for label in column.get_yticklabels()] == [
        *("attention", "saliency", "failing", "shallow", "random", "shapley (reference)")
    ]
    assert np.array_equal(values(column)[:, 0], [nan, 0.4, nan, nan, -0.2, 0.7], equal_nan=True)
    drawn = [[0.1, nan, 0.3, 0.5], [nan] * 4, [nan] * 4, [0.2, 0.3, nan, nan], [nan] * 4, [nan] * 4]
    assert np.array_equal(values(layers), drawn, equal_nan=True)
    assert column.yaxis_inverted()  # the first line is at the top
    assert bar.get_xlim() == (-0.2, 0.7)


def test_undefined_cells_are_hatched_and_missing_ones_blank(figure, small):
    column, layers, _ = figure.axes
    assert (hatched(column), hatched(layers)) == ({(0, 2)}, {(1, 0)})
    written = [text for text, _ in texts(figure)]
    assert "Dark is high. Blank: the method has no such layer. Hatched: undefined." in written
    whole = seen(rho_heat_map(small[small["explainer"] == "shallow"]))
    assert not any("Hatched" in text for text, _ in texts(whole))
    assert len(whole.axes) == 2  # no column for methods without layers


def test_floors_and_references_stand_below_rules(figure):
    for axes in figure.axes[:2]:
        assert [list(line.get_ydata()) for line in axes.get_lines()] == [[4, 4], [5, 5]]


def test_high_values_are_darker_in_greyscale_too(figure):
    colours = figure.axes[1].collections[0].cmap(np.linspace(0, 1, 50))[:, :3] @ [0.299, 0.587, 0.114]
    assert (np.diff(colours) < 0).all()


def test_one_scale_serves_layers_and_methods_without(figure):
    column, layers, _ = figure.axes
    scales = [axes.collections[0].norm for axes in (column, layers)]
    assert [(scale.vmin, scale.vmax) for scale in scales] == [(-0.2, 0.7)] * 2


def test_nothing_is_drawn_without_layers_or_a_defined_mean():
    assert rho_heat_map(board()) is None
    assert rho_heat_map(board(cells("saliency", [0.4], first=0))) is None
    assert rho_heat_map(board(cells("attention", [np.nan, np.nan]))) is None
    assert rho_heat_map(board(cells("attention_by_head", [0.1, 0.2], head=3))) is None


@pytest.mark.parametrize(("layers", "ticks"), [(30, range(2, 31, 2)), (80, range(4, 81, 4))])
def test_30_and_80_layers_are_legible(layers: int, ticks: range):
    draw = np.random.default_rng(0)
    deep = [cells(f"layer_gradient_x_activation_{index}", draw.uniform(-0.3, 0.8, layers)) for index in range(12)]
    flat = [cells(f"saliency_{index}", [0.1 * index], first=0) for index in range(20)]
    floors = [cells(f"floor_{index}", [0.01 * index], "floor", first=0) for index in range(5)]
    figure = seen(rho_heat_map(board(*deep, *flat, *floors), title="task, model", reference="blank_out"))
    check_readable(figure)
    assert figure.axes[1].get_xticks().tolist() == [tick - 0.5 for tick in ticks]  # the middle of a cell
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == [str(tick) for tick in ticks]


def test_at_relative_depth_layers_of_every_model_take_the_same_places():
    for layers in (30, 80):
        figure = seen(rho_heat_map(board(cells("attention", np.linspace(0, 1, layers))), relative=True))
        axes = figure.axes[0]
        assert axes.get_xlim() == (0, layers)
        assert [tick / layers for tick in axes.get_xticks()] == [0.25, 0.5, 0.75, 1]
        assert [label.get_text() for label in axes.get_xticklabels()] == ["0.25", "0.5", "0.75", "1"]
        assert axes.get_xlabel() == f"relative depth: layer / {layers}"
        check_readable(figure)


def test_a_small_map_and_a_constant_one_are_legible(figure):
    check_readable(figure)
    check_readable(seen(rho_heat_map(board(cells("attention", [0.5, 0.5])), title="task")))
