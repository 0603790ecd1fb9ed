"""Subject-verb agreement in Wikipedia sentences (Linzen, Dupoux & Goldberg, 2016). https://arxiv.org/abs/1611.01368"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path

import datasets
import numpy as np
import pyarrow.compute as pc

from tasks.agreement import linzen_files

FEATURES = datasets.Features(
    {
        "words": datasets.List(datasets.Value("string")),
        "label": datasets.ClassLabel(names=["singular", "plural"]),
        "subject": datasets.List(datasets.Value("int64")),
        "attractors": datasets.List(datasets.Value("int64")),
        "attractor_count": datasets.Value("int64"),
        "source": datasets.Value("string"),
    }
)


@dataclass(frozen=True)
class Linzen:
    """The words before the verb and the verb's number, in three splits with no sentence in common.

    Reads the simple format (a numpred.* file, a folder of them, or their archive) and the full one
    (agr_50_mostcommon_10K.tsv), plain or gzipped, from a path or a URL. Text is Wikipedia's (CC BY-SA 3.0, GFDL) and is
    never copied into the project.

    Rows: `words`; `label` (0 singular, 1 plural); `subject` and `attractors`, indices in `words`, empty where unknown;
    `attractor_count`, -1 where unknown; `source`, the file's name. Only the full format knows subject and attractors;
    in numpred.test.k each sentence has k attractors.

    Splits. Simple: `test` and then `validation` sentences of numpred.val, the natural mix, drawn with `seed`; training
    is numpred.train, or without it every other sentence: numpred.test.* holds none without attractors, so what
    numpred.val has left goes into training too. Without numpred.val they are drawn from numpred.test, else from all.
    Full: the paper's, 10 % train, 1 % validation, 89 % test, and `test` and `validation` are not used.

    `drop_repeats` keeps each sentence once, and none that stands there with both numbers: its words do not tell the
    answer. False keeps every row, as the paper did, and then splits share sentences.
    """

    path: str
    seed: int = 42
    test: int = 3000
    validation: int = 1000
    drop_repeats: bool = True
    cache_dir: str | None = None  # of the datasets library; None is its own choice

    def __post_init__(self):
        if min(self.test, self.validation) < 1:
            raise ValueError(f"expected test and validation of 1 or more, got {self.test} and {self.validation}")

    def splits(self) -> datasets.DatasetDict:
        """Rows of "train", "validation" and "test". Raises ValueError on a malformed line, OSError on no file."""
        rows, division = self._rows, self._division
        return datasets.DatasetDict({name: rows.select(division[name]) for name in ("train", "validation", "test")})

    def counts(self) -> dict[str, int]:
        """How many rows were read and where each of them went; the parts add up to `read`."""
        counts = {"read": len(self._rows), **{name: len(chosen) for name, chosen in self._division.items()}}
        subject, found, told = (self._column(name) for name in ("subject", "attractors", "attractor_count"))
        differ = pc.not_equal(pc.list_value_length(found), told)
        known = pc.greater(pc.list_value_length(subject), 0)
        # Kept all the same: `attractors` as the tags have it, `attractor_count` as the file has it.
        return {**counts, "attractors_differ": pc.sum(pc.and_(known, differ)).as_py() or 0}

    @property
    def digest(self) -> str:
        """SHA-256 of the content and of all that decides the splits: the same wherever the data lie."""
        parts = (self._content, ROWS_VERSION, self.seed, self.test, self.validation, self.drop_repeats)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    @cached_property
    def _local(self) -> Path:
        if not self.path.startswith(("http://", "https://")):
            return Path(self.path).expanduser()
        return _downloaded(self.path, self.cache_dir)

    @cached_property
    def _content(self) -> str:
        return linzen_files.content_digest(self._local, self.path)

    @cached_property
    def _rows(self) -> datasets.Dataset:
        builder = _Rows(self._local, self.path, self._content, self.cache_dir)
        try:
            builder.download_and_prepare()
        except datasets.exceptions.DatasetGenerationError as error:
            if isinstance(error.__cause__, (ValueError, OSError)):
                raise error.__cause__ from None  # names the line; the library's own sentence does not
            raise
        rows = builder.as_dataset(split="train")
        assert isinstance(rows, datasets.Dataset)
        return _with_known_counts(rows)

    def _column(self, name: str):
        return self._rows.data.column(name).combine_chunks()

    @cached_property
    def _division(self) -> dict[str, np.ndarray]:
        """Row numbers by split, and of the rows left out by reason; each row stands in exactly one."""
        rows = self._rows
        sentence, label = _sentences(rows), np.asarray(rows.with_format("numpy")["label"])
        source = np.array(rows["source"])
        both = np.zeros(len(rows), bool)
        if self.drop_repeats:
            plural = np.bincount(sentence, label)[sentence]
            both = (plural > 0) & (plural < np.bincount(sentence)[sentence])
        return {}

