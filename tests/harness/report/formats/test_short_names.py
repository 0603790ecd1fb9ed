"""Names are shortened only as far as each still means one thing."""

import pytest
from rich.cells import cell_len

from harness.report.cells import AtLayer, Cell, MeanStd, Text
from harness.report.formats.short_names import short_names, with_short_names
from harness.report.grid import Column, Grid, name_columns

NAMES = ["layer_gradient_x_activation", "input_gradient (reference)", "randomised_attention head 11", "flow"]


def of_names(*lines: list[Cell], headers: tuple[str, ...] = ("explainer",)) -> Grid:
    columns = [*name_columns(*headers), Column("L1", "layer")]
    return Grid("t", "title", columns, [[*line, MeanStd(0.5, 0.2)] for line in lines], ["a note"], frozenset({(0, 1)}))


def test_the_middle_is_left_out_and_words_at_the_end_are_kept_whole():
    assert short_names(NAMES, 21) == [
        "layer_grad…activation",
        "input_gra…(reference)",
        "randomised_at…head 11",
        "flow",
    ]
    assert short_names(["a" * 30, "b" * 10], 9) == ["aaaa…aaaa", "bbbb…bbbb"]


@pytest.mark.parametrize("width", range(4, 30))
def test_a_short_name_can_be_read_as_no_other(width: int):
    names = [*NAMES, "layer_gradient_y_activation", "layer_gradient_x_activatio", "layer_activation", "f" * 40]
    short = short_names(names, width)
    assert len(set(short)) == len(names)
    for name, text in zip(names, short, strict=True):
        head, left_out, tail = text.partition("…")
        fitting = [one for one in names if one.startswith(head) and one.endswith(tail)] if left_out else [text]
        assert fitting == [name]
        assert not left_out or len(text) < len(name)


def test_a_name_becomes_wider_rather_than_ambiguous():
    assert short_names(["abcdefgh_1_z", "abcdefgh_2_z"], 5) == ["a…1_z", "a…2_z"]
    assert short_names(["a1" + "x" * 20, "a2" + "x" * 20], 4) == ["a1…x", "a2…x"]
    assert short_names(["aaaaaaaa", "aaaaaaaaa"], 4) == ["aaaaaaaa", "aaaaaaaaa"]


def test_wide_characters_count_as_two():
    (short,) = short_names(["漢字" * 10], 11)
    assert short == "漢字…字漢字"
    assert cell_len(short) == 11


def test_columns_of_names_share_the_room_and_numbers_stay():
    grid = of_names(
        [Text("distilbert-base-uncased-finetuned-sst-2-english"), Text("layer_gradient_x_activation"), AtLayer(3)],
        headers=("model", "explainer", "layer"),
    )
    short = with_short_names(grid, 57)
    model, explainer, layer, value = short.lines[0]
    assert (model, explainer) == (Text("distilbert-b…2-english"), Text("layer_gradi…activation"))
    assert (layer, value) == (AtLayer(3), MeanStd(0.5, 0.2))
    assert (short.columns, short.notes, short.bold) == (grid.columns, grid.notes, grid.bold)


def test_names_that_fit_stay_as_they_are_and_none_is_cut_below_twenty_characters():
    grid = of_names(*([Text(name)] for name in NAMES))
    assert with_short_names(grid, 40) is grid
    assert with_short_names(grid, 1).lines[0][0] == Text("layer_gra…activation")
    tiny = of_names([Text("integrated_gradients")])
    assert with_short_names(tiny, 1) is tiny
