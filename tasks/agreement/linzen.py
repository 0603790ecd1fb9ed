"""Subject-verb agreement in Wikipedia sentences (Linzen, Dupoux & Goldberg, 2016). https://arxiv.org/abs/1611.01368"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.agreement import linzen_files, linzen_splits, linzen_table
from tasks.agreement.sentence import Sentence
from tasks.download import WEB, downloaded


@dataclass(frozen=True)
class Linzen:
    """The words before the verb and the verb's number, in three splits with no sentence in common.

    Reads the simple format (a numpred.* file, a folder of them, or their archive) and the full one
    (agr_50_mostcommon_10K.tsv), plain or gzipped, from a path or a URL. The text is Wikipedia's (CC BY-SA 3.0, GFDL).

    Rows: `words`; `label` (0 singular, 1 plural); `subject` and `attractors`, indices in `words`, empty where unknown;
    `attractor_count`, -1 where unknown; `source`, the file's name. Only the full format has subject and attractors;
    in numpred.test.k each sentence has k attractors. Rows are in a fixed random order: the first n are a fair sample.

    Splits. Simple: `test` and then `validation` sentences of numpred.val, the natural mix, drawn with `seed`; training
    is numpred.train, or without it all other sentences: numpred.test.* may lack sentences without attractors, so the
    rest of numpred.val is used for training too. Without numpred.val they are drawn from numpred.test, else from all.
    Full: the paper's, 10 % train, 1 % validation, 89 % test; `test` and `validation` have no effect.

    `drop_repeats` keeps each sentence once, and drops sentences that occur with both numbers, as their words do not
    determine the answer. False keeps every row, as the paper did; the splits then share sentences.
    """

    path: str
    seed: int = 42
    test: int = 3000
    validation: int = 1000
    drop_repeats: bool = True
    cache_dir: str | None = None  # of the datasets library; None for its default

    def __post_init__(self):
        if min(self.test, self.validation) < 1:
            raise ValueError(f"expected test and validation of 1 or more, got {self.test} and {self.validation}")

    def splits(self) -> datasets.DatasetDict:
        """Rows of "train", "validation" and "test". Raises ValueError for malformed data, OSError for missing data."""
        rows, division = self._rows, self._division
        return datasets.DatasetDict({name: rows.select(division[name]) for name in linzen_splits.SPLITS})

    def sentences(self) -> dict[str, list[Sentence]]:
        """The same splits as sentences; only the first `test` of the test part, since the full file has over a million.

        `source` is their construction; numpred.test.k is selected for its attractors, everything else is natural.
        """
        chosen = {name: self._division[name] for name in linzen_splits.SPLITS}
        chosen["test"] = chosen["test"][: self.test]
        return {name: self._sentences_of(rows) for name, rows in chosen.items()}

    def counts(self) -> dict[str, int]:
        """Number of rows read, and how many are in each split or were left out for each reason; these add up to `read`.

        `attractors_differ` counts the rows whose tags show a different number of attractors than the file states. They
        are kept: `attractors` follows the tags, `attractor_count` the file.
        """
        told = self._column("attractor_count").to_numpy()
        subject, found = (self._column(name).value_lengths().to_numpy() for name in ("subject", "attractors"))
        division = {name: len(chosen) for name, chosen in self._division.items()}
        return {"read": len(told), **division, "attractors_differ": int(((subject > 0) & (found != told)).sum())}

    @property
    def digest(self) -> str:
        """SHA-256 of the content and of everything that determines the splits; independent of where the data are."""
        decides = (linzen_table.ROWS_VERSION, self.seed, self.test, self.validation, self.drop_repeats)
        return hashlib.sha256(repr((self._content, *decides)).encode()).hexdigest()

    @cached_property
    def _local(self) -> Path:
        if self.path.startswith(WEB):
            return downloaded(self.path, self.cache_dir)
        return Path(self.path).expanduser()

    @cached_property
    def _content(self) -> str:
        return linzen_files.content_digest(self._local, self.path)

    @cached_property
    def _rows(self) -> datasets.Dataset:
        rows = linzen_table.cached_rows(self._local, self.path, self._content, self.cache_dir)
        return _with_known_counts(rows)

    def _column(self, name: str) -> pa.Array:  # [row]
        return self._rows.data.column(name).combine_chunks()

    @cached_property
    def _division(self) -> dict[str, np.ndarray]:
        label = self._column("label").to_numpy()
        if len(np.unique(label)) < 2:
            only = ("singular (VBZ)", "plural (VBP)")[label[0]]
            raise ValueError(f"{self.path}: expected both numbers, every verb is {only}; is the file complete?")
        try:
            return linzen_splits.divide(
                _words_number(self._rows),
                label,
                np.array(self._column("source").to_pylist()),
                full=len(self._column("subject")[0]) > 0,
                seed=self.seed,
                test=self.test,
                validation=self.validation,
                drop_repeats=self.drop_repeats,
            )
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from None

    def _sentences_of(self, chosen: np.ndarray) -> list[Sentence]:
        # Not through `splits`: the library reads a shuffled selection 20 times slower than Arrow does.
        table = pa.table({name: self._column(name) for name in linzen_table.FEATURES}).take(chosen)
        same: dict[str, str] = {}  # one object per distinct word: the full file has twenty million words
        sentences = []
        for batch in table.to_batches(50_000):
            for words, label, subject, attractors, count, source in zip(
                *(column.to_pylist() for column in batch.columns), strict=True
            ):
                words = tuple(same.setdefault(word, word) for word in words)
                natural = not linzen_files.BY_COUNT.fullmatch(source)
                sentences.append(Sentence(words, label, tuple(subject), tuple(attractors), count, source, natural))
        return sentences


def _words_number(rows: datasets.Dataset) -> np.ndarray:  # [row]
    """Equal numbers for equal words."""
    words = rows.data.column("words").combine_chunks()
    return pc.call_function("binary_join", [words, " "]).dictionary_encode().indices.to_numpy()


def _with_known_counts(rows: datasets.Dataset) -> datasets.Dataset:
    """The rows; a sentence of numpred.val that also occurs in numpred.test.k gets its k."""
    counts, sentence = rows.data.column("attractor_count").to_numpy(), _words_number(rows)
    known = np.full(sentence.max() + 1, -1)
    np.maximum.at(known, sentence, counts)
    filled = np.where(counts < 0, known[sentence], counts)
    if (filled == counts).all():
        return rows
    filled_rows = rows.remove_columns("attractor_count").add_column("attractor_count", filled)
    return filled_rows.select_columns(list(linzen_table.FEATURES))
