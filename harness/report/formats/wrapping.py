"""Sentences broken into lines that no terminal folds."""

from rich.cells import cell_len

INDENT = "  "  # of the second line of a sentence and those after it


def broken(text: str, width: int) -> str:
    """A text with its lines broken between words, to `width` characters at most unless a single word has more."""
    return "\n".join(line for whole in text.splitlines() for line in _lines(whole, width))


def _lines(text: str, width: int) -> list[str]:
    first, *words = text.split(" ")  # of several spaces, all but one are empty words
    lines = [first]
    for word in words:
        longer = f"{lines[-1]} {word}"
        if word and lines[-1].strip() and cell_len(longer) > width:
            lines[-1] = lines[-1].rstrip()
            lines.append(INDENT + word)
        else:
            lines[-1] = longer
    return lines
