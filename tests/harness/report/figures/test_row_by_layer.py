"""The cells of the maps are the scores divided by the largest of their row."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.patches import Rectangle

from harness.report.figures.row_by_layer import row_by_layer
from tests.harness.report.figures.texts import check_readable, seen, texts


def table(methods, head=0):
    return pd.DataFrame(
        [
            {"method": method, "layer": layer + 1 if len(rows) > 1 else 0, "head": head, "scores": row}
            for method, rows in methods.items()
            for layer, row in enumerate(np.asarray(rows, dtype=float))
        ],
        columns=["method", "layer", "head", "scores"],
    )


def cells(axes):
    mesh = next(part for part in axes.collections if isinstance(part, QuadMesh))
    return mesh, np.ma.filled(mesh.get_array(), np.nan)


def test_cells_are_scores_divided_by_the_largest_magnitude_of_their_row():
    scores = {"attention": [[0.1, 0.4], [0.2, np.nan], [0, 0]], "gradient": [[-2.0, 1.0]]}
    figure = seen(row_by_layer(["a", "b"], table(scores), position=1))
    attention, gradient = figure.axes[:2]
    mesh, drawn = cells(attention)
    assert np.array_equal(drawn, [[0.25, 1], [1, np.nan], [0, 0]], equal_nan=True)
    assert (mesh.norm.vmin, mesh.norm.vmax) == (0, 1)
    assert [patch.get_xy() for patch in attention.patches if isinstance(patch, Rectangle)] == [(1, 1)]
    mesh, drawn = cells(gradient)
    assert drawn.tolist() == [[-1, 0.5]]
    assert (mesh.norm.vmin, mesh.norm.vmax) == (-1, 1)
    marked = [line.get_xydata().tolist() for line in gradient.get_lines() if len(line.get_xdata())]
    assert marked == [[[0.5, 0.5]]]
    note = " ".join(text.replace("\n", " ") for text, _ in texts(figure))
    for said in ("divided by their row's largest magnitude", "dash marks a negative", "Hatched: undefined", "b (1)"):
        assert said in note
    check_readable(figure)


def test_layers_run_from_bottom_to_top():
    axes = seen(row_by_layer(["a", "b"], table({"flow": [[1, 0], [0, 1], [1, 1]]}))).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["1", "2", "3"]
    low, high = axes.get_ylim()
    assert low < high


def test_unsigned_scores_get_darker_in_greyscale_too():
    axes = seen(row_by_layer(["a", "b"], table({"flow": [[1, 0], [0, 1]]}))).axes[0]
    colours = cells(axes)[0].cmap(np.linspace(0, 1, 50))[:, :3] @ [0.299, 0.587, 0.114]
    assert (np.diff(colours) < 0).all()


def test_nothing_is_drawn_without_a_score():
    rows = {"flow": [[1, 0], [0, 1]]}
    assert row_by_layer(["a", "b"], table({})) is None
    assert row_by_layer(["a", "b"], table(rows, head=1)) is None
    assert row_by_layer(["a", "b"], table({"flow": [[np.nan, np.inf]]})) is None


def test_scores_of_different_tokens_are_refused():
    with pytest.raises(ValueError, match="scores of 1 tokens, got 2 of flow, layer 1"):
        row_by_layer(["a"], table({"flow": [[1, 0], [0, 1]]}))


def test_thirty_tokens_and_twenty_explainers_with_24_layers_are_legible():
    draw = np.random.default_rng(0)
    methods = {f"layer_gradient_{index}": draw.uniform(size=(24, 30)) for index in range(4)}
    methods |= {f"integrated_gradients_{index}": draw.normal(size=(1, 30)) for index in range(16)}
    tokens = [f"##token{index}" for index in range(30)]
    check_readable(row_by_layer(tokens, table(methods), position=3, title="task, model"))
