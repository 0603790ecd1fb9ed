"""What is packed into a page comes out of it as it was."""

import numpy as np

from harness.report.page.packing import packed
from tests.harness.report.page.unpacked import unpacked

HOSTILE = "</script><img src=x onerror=alert(1)>\u2028 {{data}} é 中 \U0001f600 \x00"


def test_arrays_come_back_bit_by_bit():
    arrays = {
        "real": np.array([[1.5, np.nan, -0.0], [np.inf, 1e-30, -3.25]], np.float32),
        "whole": np.array([[[1], [-2]], [[2**31 - 1], [0]]], np.int32),
        "small": np.arange(7, dtype=np.uint8),
        "empty": np.empty((0, 3), np.float32),
    }
    content, found = unpacked(packed({"text": HOSTILE}, arrays))
    assert content == {"text": HOSTILE}
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


def test_numbers_of_numpy_are_jsons_and_what_is_not_finite_is_null():
    given = {"count": np.int64(3), "rho": np.float64("nan"), "values": np.array([[0.5, np.inf]]), 4: (True, None)}
    content, _ = unpacked(packed(given, {}))
    assert content == {"count": 3, "rho": None, "values": [[0.5, None]], "4": [True, None]}


def test_the_packed_text_is_base64_whatever_the_content():
    letters = set(packed({HOSTILE: [HOSTILE] * 3}, {}))
    assert letters <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
