"""Checks of parameters, whose errors say what was expected, what came and what to do."""

import difflib
from collections.abc import Sequence


def choice(name: str, value: object, options: Sequence[object]) -> None:
    """Raise ValueError unless `value` is one of `options`."""
    if value not in options:
        near = difflib.get_close_matches(str(value), [str(option) for option in options], n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"{name} is one of {', '.join(map(str, options))}, got {value!r}{hint}")


def number(name: str, value: object, low: float, high: float) -> None:
    """Raise ValueError unless `value` is a real number in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name} is a number from {low:g} to {high:g}, got {value!r}")


def count(name: str, value: object, low: int = 1) -> None:
    """Raise ValueError unless `value` is an integer of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ValueError(f"{name} is a whole number, at least {low}, got {value!r}")
