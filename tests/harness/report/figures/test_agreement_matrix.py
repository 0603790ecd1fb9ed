"""The heat map shows the table's numbers."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

from harness.report.figures.agreement_matrix import agreement_matrix
from tests.harness.report.figures.texts import check_readable, seen, texts


def square(values):
    names = [f"layer_gradient_x_act_{index}" for index in range(len(values))]
    return pd.DataFrame(values, names, names)


def test_cells_and_their_labels_are_the_tables_numbers():
    figure = seen(agreement_matrix(square([[1, -0.434, 0.0], [-0.434, 1, np.nan], [-0.001, np.nan, 1]]), title="task"))
    axes = figure.axes[0]
    drawn = np.ma.filled(axes.collections[0].get_array(), np.nan)
    assert np.array_equal(drawn, [[1, -0.434, 0], [-0.434, 1, np.nan], [-0.001, np.nan, 1]], equal_nan=True)
    assert axes.yaxis_inverted()  # the first row is at the top
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written[1.5, 0.5] == "−.43"
    assert written[0.5, 2.5] == ".00"
    assert written[0.5, 0.5] == "1"
    assert {patch.get_xy() for patch in axes.patches if isinstance(patch, Rectangle)} == {(2, 1), (1, 2)}
    assert any("Hatched: undefined" in text.replace("\n", " ") for text, _ in texts(figure))


def test_nothing_is_drawn_without_a_pair():
    assert agreement_matrix(square([])) is None
    assert agreement_matrix(square([[1]])) is None
    assert agreement_matrix(square([[1, np.nan], [np.nan, 1]])) is None


def test_rows_and_columns_with_different_names_are_refused():
    with pytest.raises(ValueError, match="same names in rows and columns"):
        agreement_matrix(pd.DataFrame([[1, 2], [3, 4]], ["a", "b"], ["b", "a"]))


@pytest.mark.parametrize("count", [2, 20])
def test_two_and_twenty_names_are_legible(count):
    values = np.corrcoef(np.random.default_rng(0).normal(size=(count, 9)))
    check_readable(agreement_matrix(square(values), title="task, model, n = 100 examples"))
