"""Lines, bands and points are the tables' numbers."""

import numpy as np
import pandas as pd
import pytest

from harness.report.figures.pair_by_layer import pair_by_layer
from harness.report.figures.pair_by_length import evenly_spaced, pair_by_length
from tests.harness.report.figures.texts import check_readable, seen, texts


def board(first="attention_by_head", layers=(1, 2, 3), heads=4, seed=0, means=None):
    draw = np.random.default_rng(seed)
    cells = []
    for place, layer in enumerate(layers):
        for head in range(heads + 1):
            rho = draw.uniform(-0.2, 0.9) if means is None or head else means[place]
            pearson = rho / 2
            cells.append((first, "other", layer, head, 12, 0, rho, rho - 0.1, rho + 0.2, pearson, -0.3, 0.6))
    names = ["first", "second", "layer", "head", "n", "undefined"]
    return pd.DataFrame(cells, columns=[*names, *(f"{name}{end}" for name in ("rho", "pearson") for end in ENDS)])


ENDS = ["", "_low", "_high"]


def lengths(layers=(1, 2, 3), bins=((1, 8), (9, 16), (17, 24)), n=6, seed=0):
    draw = np.random.default_rng(seed)
    names = ["first", "second", "layer", "shortest", "longest", "tokens", "n", "undefined"]
    cells = []
    for layer in layers:
        for low, high in bins:
            rho = draw.uniform(0, 0.9)
            cells.append(("one", "two", layer, low, high, (low + high) / 2, n, 0, rho, rho - 0.1, rho + 0.1, 0.5, 0, 1))
    return pd.DataFrame(cells, columns=[*names, *(f"{name}{end}" for name in ("rho", "pearson") for end in ENDS)])


def line(axes, name):
    return next(line for line in axes.get_lines() if line.get_gid() == name)


def written(figure):
    return " ".join(text.replace("\n", " ") for text, _ in texts(figure))


def test_lines_bands_and_heads_are_the_boards_numbers():
    table = board(means=[0.1, 0.5, 0.3])
    figure = seen(pair_by_layer(table, title="task, model"))
    left, right = figure.axes
    name = "attention_by_head vs. other"
    assert line(left, name).get_xdata().tolist() == [1, 2, 3]
    assert line(left, name).get_ydata().tolist() == [0.1, 0.5, 0.3]
    assert line(right, name).get_ydata().tolist() == [0.05, 0.25, 0.15]
    band = {tuple(np.round(point, 6)) for part in left.collections for point in part.get_paths()[0].vertices}
    assert {(1.0, 0.0), (1.0, 0.3), (2.0, 0.4), (2.0, 0.7)} <= band
    heads = line(left, f"heads of {name}")
    assert heads.get_ydata().tolist() == table.loc[table["head"] > 0, "rho"].tolist()
    assert left.get_ylim() == right.get_ylim()
    assert "task, model, n = 12 examples" in written(figure)
    assert "Small points: single heads" in written(figure)
    check_readable(figure)


def test_a_pair_without_layers_is_placed_at_the_input():
    both = pd.concat([board("saliency", layers=(0,), heads=0), board("attention", heads=0)])
    figure = seen(pair_by_layer(both))
    assert line(figure.axes[0], "saliency vs. other").get_xdata().tolist() == [0]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["input", "1", "2", "3"]
    assert "single heads" not in written(figure)
    check_readable(figure)


def test_seven_pairs_with_24_layers_are_legible():
    names = [f"layer_gradient_x_activation_by_head_{number}" for number in range(7)]
    many = pd.concat([board(name, layers=range(1, 25), seed=seed) for seed, name in enumerate(names)])
    figure = seen(pair_by_layer(many, title="task, model"))
    check_readable(figure)
    assert all(name in written(figure) for name in names)


def test_points_and_bars_are_the_tables_numbers_and_the_head_dimension_is_marked():
    table = lengths()
    figure = seen(pair_by_length(table, title="task, model", head_size=16))
    left, right = figure.axes
    assert np.allclose(line(left, "L2").get_xdata(), [4.5, 12.5, np.nan, 20.5], atol=0.1, equal_nan=True)
    first, second, third = table.loc[table["layer"] == 2, "rho"]
    assert np.array_equal(line(left, "L2").get_ydata(), [first, second, np.nan, third], equal_nan=True)
    assert np.array_equal(line(right, "L2").get_ydata(), [0.5, 0.5, np.nan, 0.5], equal_nan=True)
    bars = [np.round(path.vertices[:, 1], 6).tolist() for part in left.collections for path in part.get_paths()]
    first = table.iloc[0]
    assert [round(first["rho_low"], 6), round(first["rho_high"], 6)] in bars
    assert list(line(left, "head size").get_xdata()) == [16.5, 16.5]
    assert "more tokens than a head has dimensions (16)" in written(figure)
    assert "n = 18 examples" in written(figure)
    check_readable(figure)


@pytest.mark.parametrize(
    ("head_size", "said"),
    [(None, "bootstrap intervals."), (64, "No sentence has more"), (0, "All sentences have more")],
)
def test_a_head_dimension_beyond_the_lengths_is_noted_and_not_drawn(head_size, said):
    figure = seen(pair_by_length(lengths(), head_size=head_size))
    assert said in written(figure)
    assert not [line for line in figure.axes[0].get_lines() if line.get_gid() == "head size"]


def test_bins_with_few_examples_are_left_out():
    table = pd.concat([lengths(), lengths(bins=((25, 32),), n=1)])
    assert len(line(seen(pair_by_length(table)).axes[0], "L1").get_xdata()) == 3


def test_many_layers_are_thinned_out_and_the_rest_are_legible():
    assert evenly_spaced(range(1, 25), 7) == [1, 5, 9, 13, 16, 20, 24]
    assert evenly_spaced([0], 7) == [0]
    bins = tuple((start, start + 9) for start in range(1, 100, 10))
    figure = seen(pair_by_length(lengths(range(1, 25), bins), title="task, model", head_size=50))
    check_readable(figure)
    assert figure.axes[0].get_legend_handles_labels()[1] == ["L1", "L5", "L9", "L13", "L16", "L20", "L24"]


def test_nothing_is_drawn_where_nothing_is_defined():
    assert pair_by_layer(board()[:0]) is None
    assert pair_by_layer(board().assign(rho=np.nan)) is None
    assert pair_by_length(lengths()[:0]) is None
    assert pair_by_length(lengths(bins=((1, 8),))) is None
    assert pair_by_length(lengths(n=0)) is None
