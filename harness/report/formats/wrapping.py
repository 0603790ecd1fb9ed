"""Sentences broken into lines that no terminal folds."""

import re

from rich.cells import cell_len

INDENT = "  "  # of the second line of a sentence and those after it
WORD = re.compile(r"\s*\S+")  # with the spaces before it


def broken(text: str, width: int) -> str:
    """A text with its lines broken between words, to `width` characters at most unless a single word has more."""
    return "\n".join(line for whole in text.splitlines() for line in _lines(whole, width))


def _lines(text: str, width: int) -> list[str]:
    lines = [""]
    for word in WORD.findall(text):
        if lines[-1].strip() and cell_len(lines[-1] + word) > width:
            lines.append(INDENT + word.lstrip())
        else:
            lines[-1] += word
    return lines
