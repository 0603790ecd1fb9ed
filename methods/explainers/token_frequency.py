"""A floor: the rarer a token in a corpus, the higher its score."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from harness.tracing.run import Trace


@dataclass(frozen=True)
class TokenFrequency:
    """Minus a token's count in a corpus. A table that this method leads says nothing about models.

    There is no default, and no file in conf/explainers: few vocabularies are ordered by frequency, and the examples
    that are explained are too few to count. Add it with
    `'+explainers.token_frequency={_target_: methods.explainers.token_frequency.TokenFrequency, path: FILE}'`.

    Args:
        path: a text file with a token id of the model's vocabulary and its count on each line; a token that is not
            listed has count 0.
    """

    cost: ClassVar[str] = "no pass"
    layerless: ClassVar[bool] = True

    path: str
    floor: ClassVar[bool] = True

    def __post_init__(self):
        if not Path(self.path).is_file():
            raise FileNotFoundError(f"{self.path}: expected a file with lines of token id and count, found none")

    @property
    def files(self) -> tuple[Path]:
        """The file of counts."""
        return (Path(self.path),)

    def __call__(self, trace: Trace) -> Tensor:  # [batch, 1, token]
        file = Path(self.path).stat()
        known = _counts(self.path, file.st_mtime_ns, file.st_size)
        ids = trace.batch.input_ids
        counts = [[known.get(token, 0) for token in row] for row in ids.tolist()]
        return -torch.tensor(counts, dtype=torch.float64, device=ids.device)[:, None]


@cache
def _counts(path: str, _changed: int, _size: int) -> dict[int, int]:
    counts: dict[int, int] = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split()
        if len(fields) != 2 or not all(field.isdecimal() for field in fields):
            raise ValueError(f"{path}, line {number}: expected a token id and a count, e.g. '1996 58017', got {line!r}")
        token, count = map(int, fields)
        if token in counts:
            raise ValueError(f"{path}, line {number}: token {token} is there twice; leave one line for each")
        counts[token] = count
    return counts
