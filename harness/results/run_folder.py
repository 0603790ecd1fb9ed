"""A run's folder: tables written part by part, so that a killed run loses at most one part and can go on."""

import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.measure.evaluate import Part
from harness.tracing.meter import Cost

TABLES = ("examples", "scores", "metrics", "rows")  # in the order of writing: a part counts once its rows are there
MANIFEST = "manifest.json"
# of a run and what goes on with it, and of all shards of a run
MUST_MATCH = ("config", "task_version", "data", "model", "code")
FORMAT = 3  # of these tables; raised when a column comes or goes


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file as a whole: a reader, or a run killed here, never sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    temporary.replace(path)


class RunFolder:
    """Tables `rows`, `scores`, `metrics` and `examples` as parquet, and `manifest.json`.

    While a run goes on, each table is a row of numbered files in `parts/`; `merge` makes one file of each.
    """

    def __init__(self, path: Path):
        self.path = path
        self.parts = path / "parts"

    def open(self) -> None:
        """Make the folder, or say why it cannot be written."""
        try:
            self.parts.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path / ".writable", "")
            (self.path / ".writable").unlink()
        except OSError as error:
            raise OSError(
                f"the run folder {self.path} cannot be written ({error.strerror}): "
                "choose another with hydra.run.dir=<folder>, or change its permissions"
            ) from error

    def write_part(self, part: Part, names: Mapping[str, Any]) -> None:
        """Write one batch's tables, the rows last; `names` are constant columns of rows and metrics."""
        costs = {name: asdict(cost) for name, cost in part.costs.items()}
        write_atomically(self.parts / f"costs-{part.number:05d}.json", json.dumps(costs))
        for table in TABLES:
            frame: pd.DataFrame = getattr(part, table)
            if table in ("rows", "metrics"):
                frame = pd.DataFrame(dict(names), index=frame.index).join(frame)
            path = self._part(table, part.number)
            temporary = path.with_suffix(".tmp")
            frame.to_parquet(temporary, index=False)
            temporary.replace(path)

    @property
    def holds_a_run(self) -> bool:
        """Whether a run has begun here."""
        return (self.path / MANIFEST).is_file()

    @property
    def merged(self) -> bool:
        """Whether the run's tables are one file each: all examples are there."""
        return (self.path / "rows.parquet").is_file()

    @property
    def has_rows(self) -> bool:
        """Whether any example is explained."""
        return self.merged or bool(self.finished())

    def finished(self) -> dict[int, int]:
        """Number of examples in each part that was written whole, by the part's number."""
        numbers = sorted(int(path.stem.split("-")[1]) for path in self.parts.glob("rows-*.parquet"))
        return {number: pq.read_metadata(self._part("examples", number)).num_rows for number in numbers}

    def costs(self) -> dict[str, Cost]:
        """What the examples so far took, by phase and method."""
        if self.merged:
            return {name: Cost(**cost) for name, cost in self.manifest["costs"].items()}
        total: dict[str, Cost] = defaultdict(Cost)
        for number in self.finished():
            for name, cost in json.loads((self.parts / f"costs-{number:05d}.json").read_text()).items():
                total[name] += Cost(**cost)
        return dict(total)

    def _part(self, table: str, number: int) -> Path:
        return self.parts / f"{table}-{number:05d}.parquet"

    def table(self, name: str) -> pd.DataFrame:
        """`rows`, `scores` or `examples`, merged or still in parts; FileNotFoundError where there is neither."""
        merged = self.path / f"{name}.parquet"
        if merged.is_file():
            return pq.read_table(merged).to_pandas()
        numbers = self.finished()
        if not numbers:
            error = self.manifest.get("error") if self.holds_a_run else None
            raise FileNotFoundError(
                f"no results in {self.path}: expected {name}.parquet or parts/{name}-*.parquet. "
                + (f"Its run failed: {error}" if error else "Give the folder that a run printed in its last lines")
            )
        return pa.concat_tables(
            [pq.read_table(self._part(name, number)) for number in numbers],
            promote_options="permissive",
        ).to_pandas()

    def measured(self) -> pd.DataFrame:
        """The rows of references and those of metrics alike: the metric in `reference`, its value in `rho`.

        `higher` says of a metric whether more is better; None for references.
        """
        rows, metrics = self.table("rows").assign(higher=None), self.table("metrics")
        if metrics.empty:
            return rows
        return pd.concat([rows, metrics.rename(columns={"metric": "reference", "value": "rho"})], ignore_index=True)

    def write_maps(self, maps: pd.DataFrame) -> None:
        """Write `maps.parquet`: scores from every position of a few examples."""
        temporary = self.path / ".maps.tmp"
        maps.to_parquet(temporary, index=False)
        temporary.replace(self.path / "maps.parquet")

    def maps(self) -> pd.DataFrame | None:
        """What `write_maps` wrote; None where nothing was asked for."""
        path = self.path / "maps.parquet"
        return pq.read_table(path).to_pandas() if path.is_file() else None

    def merge(self, order: Sequence[str]) -> None:
        """Make one file of each table, examples in the given order, and remove the parts."""
        place = {example: index for index, example in enumerate(order)}
        for name in TABLES:
            frame = self.table(name)
            frame = frame.sort_values("example", key=lambda column: column.map(place), kind="stable")
            temporary = self.path / f".{name}.tmp"
            frame.reset_index(drop=True).to_parquet(temporary, index=False)
            temporary.replace(self.path / f"{name}.parquet")
        for path in self.parts.iterdir():
            path.unlink()
        self.parts.rmdir()

    @property
    def manifest(self) -> dict[str, Any]:
        """What the run was, as it wrote it."""
        path = self.path / MANIFEST
        if not path.is_file():
            raise FileNotFoundError(
                f"{self.path} holds no {MANIFEST}, so it is no run folder. "
                "Give the folder that a run printed in its last lines"
            )
        manifest = json.loads(path.read_text())
        if manifest.get("format") != FORMAT:
            raise ValueError(
                f"{self.path} was written by another version of Assay, whose tables have other columns: make the run "
                "again with this one, or read it with that one"
            )
        return manifest

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Write `manifest.json`."""
        content = json.dumps({**manifest, "format": FORMAT}, indent=2, default=str)
        write_atomically(self.path / MANIFEST, content + "\n")
