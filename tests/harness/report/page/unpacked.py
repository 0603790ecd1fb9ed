"""What a page holds, read back from its file."""

import base64
import json
import re
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def unpacked(data: str) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """The content and the arrays of a packed text."""
    whole = zlib.decompress(base64.b64decode(data))
    size = int.from_bytes(whole[:4], "little")
    content, start, arrays = json.loads(whole[4 : 4 + size]), 4 + size, {}
    for name, described in content.pop("arrays").items():
        kind, count = np.dtype(described["kind"]), int(np.prod(described["shape"]))
        block = np.frombuffer(whole[start : start + count * kind.itemsize], np.uint8)
        values = np.ascontiguousarray(block.reshape(kind.itemsize, count).T).view(kind)
        arrays[name] = values.reshape(described["shape"])
        start += len(block)
    assert start == len(whole)
    return content, arrays


def of_page(html: str) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """The content and the arrays of a page."""
    return unpacked(element(html, '<script type="text/plain" id="data">'))


def element(html: str, tag: str) -> str:
    """The text between an opening tag, which the page has once, and the end of its element."""
    assert html.count(tag) == 1
    name = re.match(r"<(\w+)", tag)
    assert name
    return html.partition(tag)[2].partition(f"</{name[1]}>")[0]
