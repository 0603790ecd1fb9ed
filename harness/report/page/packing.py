"""A page's content as one compressed text: JSON, and arrays of numbers behind it."""

import base64
import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Content = Mapping[str, Any]  # by name, whatever JSON can hold
Arrays = dict[str, NDArray]


def packed(content: Content, arrays: Arrays) -> str:
    """Base64 of a zlib stream: four bytes with the length of the JSON, the JSON, then the arrays.

    The JSON's key `arrays` tells name, kind and shape of each, in their order. Arrays of float32 and int32 are stored
    byte by byte, all first bytes before all second ones, since they compress better so. NaN and infinity of the JSON
    become null; NaN of an array stays.

    Args:
        content: anything that JSON can hold.
        arrays: float32, int32 or uint8, each in C order.
    """
    described = {name: {"kind": array.dtype.name, "shape": list(array.shape)} for name, array in arrays.items()}
    text = json.dumps(plain_json({**content, "arrays": described}), separators=(",", ":"), ensure_ascii=False)
    head = text.encode()
    blocks = [np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8) for array in arrays.values()]
    sizes = [array.dtype.itemsize for array in arrays.values()]
    body = b"".join(block.reshape(-1, size).T.tobytes() for block, size in zip(blocks, sizes, strict=True))
    return base64.b64encode(zlib.compress(len(head).to_bytes(4, "little") + head + body, 9)).decode()


def plain_json(value: object) -> object:
    """A value as JSON knows it: numpy's numbers and arrays as Python's, what is not finite as null."""
    if isinstance(value, Mapping):
        return {str(key): plain_json(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return plain_json(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain_json(one) for one in value]
    if isinstance(value, np.generic):
        return plain_json(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int, bool)):
        return value
    return str(value)
