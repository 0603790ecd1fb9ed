"""Which sentence of a text each token belongs to."""

import re
from collections.abc import Sequence

END = re.compile(r"[.!?…]+[\"'”’)\]]*\s+|\n\s*")


def sentences(text: str, offsets: Sequence[tuple[int, int]]) -> list[int]:
    """The number of each token's sentence, counted from 0; `offsets` are the characters `(start, end)` that it covers.

    A sentence ends with a line, or with a full stop, question or exclamation mark before white space: so after an
    abbreviation too. A token without characters belongs to the sentence before it.
    """
    starts = [found.end() for found in END.finditer(text) if found.end() < len(text.rstrip())]
    numbers: list[int] = []
    for low, high in offsets:
        last = next((index for index in range(high - 1, low - 1, -1) if not text[index].isspace()), None)
        before = numbers[-1] if numbers else 0
        numbers.append(before if last is None else sum(start <= last for start in starts))
    return numbers
