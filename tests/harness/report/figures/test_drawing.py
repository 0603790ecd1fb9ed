"""Files, labels and positions that all figures share."""

import io
import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest
from PIL import Image

from harness.report.figures.drawing import canvas, finished, layer_ticks, look, save, spread, styled


@styled
def plain():
    figure = canvas(2, 1)
    figure.subplots().plot([0, 1], [1, 0], label="$x$")
    return finished(figure)


def test_three_kinds_of_files_are_written_with_the_same_bytes_each_time(tmp_path):
    first, second = save(plain(), tmp_path / "first", "line"), save(plain(), tmp_path / "second", "line")
    assert [path.name for path in first] == ["line.svg", "line.pdf", "line.png"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert ElementTree.fromstring(first[0].read_text()).tag.endswith("svg")
    assert first[1].read_bytes().startswith(b"%PDF-")
    assert b"%%EOF" in first[1].read_bytes()[-10:]
    image = Image.open(io.BytesIO(first[2].read_bytes()))
    assert image.size == (600, 300)
    assert np.asarray(image.convert("L")).min() < 128
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == ["line.pdf", "line.png", "line.svg"]


def test_global_settings_neither_change_a_figure_nor_are_changed_by_it(tmp_path):
    before = save(plain(), tmp_path, "before")[2].read_bytes()
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9}):
        assert save(plain(), tmp_path, "after")[2].read_bytes() == before
        assert matplotlib.rcParams["font.size"] == 20


def test_forty_lines_are_distinguished_by_marker_and_dashes_alone():
    def shape(index):
        style = look(index)
        return style["marker"], str(style["linestyle"]), style["markerfacecolor"] == "white"

    assert len({shape(index) for index in range(40)}) == 40


@pytest.mark.parametrize(
    ("layers", "room", "ticks"),
    [(6, 6, [1, 2, 3, 4, 5, 6]), (12, 6, [2, 4, 6, 8, 10, 12]), (24, 7, [4, 8, 12, 16, 20, 24]), (1, 1, [1])],
)
def test_layers_are_labelled_where_there_is_room(layers, room, ticks):
    assert layer_ticks(layers, room) == ticks


def test_labels_are_moved_apart_no_further_than_needed():
    assert spread([], 1, 0, 9) == []
    assert spread([5.0, 1.0], 1, 0, 9) == [5.0, 1.0]
    assert spread([5.0, 5.0], 1, 0, 9) == pytest.approx([4.5, 5.5])
    assert spread([9.0, 9.0, 9.0], 1, 0, 9) == pytest.approx([7, 8, 9])
