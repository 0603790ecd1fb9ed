"""Random numbers that depend only on a seed and on what they are drawn for."""

import hashlib

import numpy as np


def generator(seed: int, *drawn_for: str | int) -> np.random.Generator:
    """A generator for a seed and, say, an example's id: the same in any batch, order or shard."""
    digest = hashlib.sha256(":".join(map(str, (seed, *drawn_for))).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16]))
