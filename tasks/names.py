"""Stable names of examples, made from what they hold."""

import hashlib
from collections import Counter
from collections.abc import Iterable


def names_of(contents: Iterable[str]) -> list[str]:
    """A hash of each text; from its second occurrence on, a repeated text has a number behind it."""
    seen: Counter[str] = Counter()
    names: list[str] = []
    for content in contents:
        name = hashlib.sha256(content.encode()).hexdigest()[:16]
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return names
