"""Texts of figures: what can be printed, how wide it is, and where it breaks."""

import functools
from collections.abc import Iterable, Sequence

from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import text_to_path

SMALL, PLAIN, LARGE = 7.0, 7.5, 8.5  # points
LINE = 0.15  # inches between two lines of small text


def label(text: str, most: int = 24) -> str:
    """A token as it can be printed: a box for what the font lacks, cut off after `most` characters."""
    shown = "".join(character if _has_glyph(character) else "□" for character in text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


@functools.cache
def _has_glyph(character: str) -> bool:
    return (
        character.isprintable()
        and get_font(findfont(FontProperties(family="DejaVu Sans"))).get_char_index(ord(character)) != 0
    )


@functools.lru_cache(maxsize=4096)
def text_width(text: str, size: float = SMALL, bold: bool = False) -> float:
    """The width of a line of text in inches."""
    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal", size=size)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]) / 72


def widest(texts: Sequence[str], size: float = SMALL, bold: bool = False) -> float:
    """The width of the widest text in inches; 0 for none."""
    return max((text_width(text, size, bold) for text in texts), default=0.0)


def wrapped(text: str, width: float, size: float = SMALL) -> str:
    """Text broken into lines of at most `width` inches; a longer word stays whole."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        words = paragraph.split(" ")
        lines.append(words[0])
        for word in words[1:]:
            longer = f"{lines[-1]} {word}"
            if text_width(longer, size) <= width:
                lines[-1] = longer
            else:
                lines.append(word)
    return "\n".join(lines)


def examples(counts: Iterable[float]) -> str:
    """The number of examples behind a figure: `n = 57–60 examples`."""
    known = [int(count) for count in counts if count == count and count > 0]
    if not known:
        return ""
    low, high = min(known), max(known)
    return f"n = {low}" + (f"–{high}" if high > low else "") + (" examples" if high > 1 else " example")


def sentence(title: str, *more: str) -> str:
    """A title and what follows it, separated by commas; empty parts are left out."""
    return ", ".join(part for part in (title, *more) if part)
