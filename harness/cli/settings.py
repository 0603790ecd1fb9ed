"""What a run is called and where it runs."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from harness import check
from harness.statistics.plane import check_reduction

DTYPES = ("float32", "float64", "bfloat16", "float16")


@dataclass(frozen=True)
class Settings:
    """The settings of a run that belong to no task, model or method.

    Args:
        task: its name in tables.
        model: its name in tables.
        limit: explain at most this many test examples (a whole number), or this share (below 1.0); None for all.
        shard: `2/8` explains every eighth of them, starting with the second; None for all.
        swaps: the number of texts to swap tokens from, where the task gives none.
        threads: processor threads of torch and numba; None for all cores.
        maps: the number of first examples whose scores are kept from every position.
        projections: the number of first examples whose queries and keys are kept, each head's in a plane.
        projection: how the planes are found, one of `statistics.plane.REDUCTIONS`.
        figures: whether to draw figures.
        pictured: the number of first examples that are drawn individually.
        html: whether to write a page to explore the run in a browser.
        pairs: explainers to compare with each other, two names each.
    """

    task: str
    model: str
    seed: int = 0
    limit: int | float | None = None
    shard: str | None = None
    dtype: str = "float32"
    device: str = "cpu"
    swaps: int = 4
    threads: int | None = None
    maps: int = 0
    projections: int = 0
    projection: str = "pca"
    figures: bool = True
    pictured: int = 3
    html: bool = False
    pairs: Sequence[Sequence[str]] = ()

    def __post_init__(self):
        for name in ("seed", "maps", "projections", "pictured"):
            check.count(name, getattr(self, name), low=0)
        check.choice("dtype", self.dtype, DTYPES)
        check_reduction(self.projection)
        check.count("swaps", self.swaps)
        if self.threads is not None:
            check.count("threads", self.threads)
        check.choice("html", self.html, (True, False))
        if isinstance(self.limit, float):
            if not 0 < self.limit < 1:
                raise ValueError(
                    f"limit is a whole number of examples or a share below 1.0, got {self.limit}: "
                    "leave it out for all examples"
                )
        elif self.limit is not None:
            check.count("limit", self.limit)
        self.shard_of  # noqa: B018  checked at once
        _check_device(self.device)

    @property
    def shard_of(self) -> tuple[int, int]:
        """Which shard, from 1, and of how many; ValueError for anything else."""
        if self.shard is None:
            return 1, 1
        match = re.fullmatch(r"(\d+)/(\d+)", str(self.shard))
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise ValueError(f"shard is k/n with k from 1 to n, as in shard=2/8, got {self.shard!r}")
        return int(match[1]), int(match[2])


def _check_device(device: str) -> None:
    import torch  # only a run needs it, not a command that is refused

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device={device} cannot be used here ({error}): set device=cpu") from error


def check_pairs(pairs: object, explainers: Collection[str]) -> None:
    """Raise ValueError unless `pairs` is a list of lists of two different explainers, no pair twice."""
    form = "pairs is a list of lists of two explainers of the run, as in 'pairs=[[attention,effective_attention]]'"
    if isinstance(pairs, str) or not isinstance(pairs, Sequence):
        raise ValueError(f"{form}, got {pairs!r}")
    seen = set()
    for pair in pairs:
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise ValueError(f"{form}, got {pair!r} in it")
        for name in pair:
            if name not in explainers:
                raise ValueError(
                    f"pairs names {name!r}, which is not an explainer of this run: add it, '+explainers=[{name}]', or "
                    f"choose two of {', '.join(explainers)}"
                )
        if pair[0] == pair[1] or frozenset(pair) in seen:
            why = "the same explainer twice" if pair[0] == pair[1] else "a pair that is there already"
            raise ValueError(f"{form}, got {list(pair)} in it: {why}")
        seen.add(frozenset(pair))
