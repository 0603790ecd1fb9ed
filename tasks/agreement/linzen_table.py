"""The Linzen data as one Arrow table, downloaded, cached and mapped by the datasets library."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import datasets
import pyarrow as pa
from datasets.exceptions import DatasetGenerationError

from tasks.agreement import linzen_files

ROWS_VERSION = "1.0.0"  # increase it when a line is read or split differently: the cache and the digest depend on it
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


def cached_rows(path: Path, shown: str, content: str, cache_dir: str | None) -> datasets.Dataset:
    """All rows of all files under `path`, parsed once per content; errors refer to the data as `shown`."""
    builder = _Rows(path, shown, content, cache_dir)
    try:
        builder.download_and_prepare()
    except DatasetGenerationError as error:
        if isinstance(error.__cause__, (ValueError, OSError)):
            raise error.__cause__ from None  # it names the line; the library's own message does not
        raise
    rows = builder.as_dataset(split="train")
    assert isinstance(rows, datasets.Dataset)
    return rows


class _Rows(datasets.ArrowBasedBuilder):
    """Cached by content, wherever the data are: a changed file is read again."""

    VERSION = datasets.Version(ROWS_VERSION)

    def __init__(self, path: Path, shown: str, content: str, cache_dir: str | None):
        self.path, self.shown = path, shown
        super().__init__(cache_dir=cache_dir, dataset_name="linzen", hash=content)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=FEATURES, citation="Linzen, Dupoux & Goldberg 2016, TACL 4, 521-535")

    def _split_generators(self, dl_manager):
        return [datasets.SplitGenerator(name="train")]

    def _generate_tables(self, **kwargs):  # pyright: ignore[reportIncompatibleMethodOverride]: datasets 4 has no Key
        rows = linzen_files.rows(self.path, self.shown)
        some = iter(lambda: list(islice(rows, 10_000)), [])
        yield from enumerate(pa.Table.from_pylist(batch, schema=FEATURES.arrow_schema) for batch in some)
