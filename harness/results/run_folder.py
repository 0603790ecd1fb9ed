"""A run's folder: tables written part by part, so that a killed run loses at most one part and can be resumed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.results.files import write_atomically, write_table
from harness.tables import MAPS, STORED, Costs, Manifest, Part, measured

MANIFEST = "manifest.json"


class RunFolder:
    """Tables `rows`, `scores`, `metrics` and `examples` as parquet, and `manifest.json`.

    While a run goes on, each table is a series of numbered files in `parts/`; `merge` makes one file of each.
    """

    def __init__(self, path: Path):
        self.path = path
        self.parts = path / "parts"

    def open(self) -> None:
        """Create the folder; OSError, with a remedy, where it cannot be written."""
        try:
            self.parts.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path / ".writable", "")
            (self.path / ".writable").unlink()
        except OSError as error:
            raise OSError(
                f"the run folder {self.path} cannot be written ({error.strerror}): "
                "choose another with hydra.run.dir=<folder>, or change its permissions"
            ) from error

    def write_part(self, part: Part, run: Mapping[str, str | int]) -> None:
        """Write one batch's tables, the rows last; `run` gives rows and metrics their columns task, model and seed."""
        write_atomically(self._costs(part.number), json.dumps(part.costs.stored()))
        for name, schema in STORED.items():
            table: pd.DataFrame = getattr(part, name)
            if "task" in schema.columns:
                table = table.assign(**run)[list(schema.columns)]
            write_table(self._part(name, part.number), schema.check(table))

    @property
    def holds_a_run(self) -> bool:
        """Whether a run has begun here."""
        return (self.path / MANIFEST).is_file()

    @property
    def merged(self) -> bool:
        """Whether each table is a single file: all examples are explained."""
        return (self.path / "rows.parquet").is_file()

    @property
    def has_rows(self) -> bool:
        """Whether any example is explained."""
        return self.merged or bool(self.finished())

    def finished(self) -> dict[int, int]:
        """The number of examples in each part that was written whole, by the part's number."""
        numbers = sorted(int(path.stem.split("-")[1]) for path in self.parts.glob("rows-*.parquet"))
        return {number: pq.read_metadata(self._part("examples", number)).num_rows for number in numbers}

    def costs(self) -> Costs:
        """What the examples so far cost, by phase and method."""
        if self.merged:
            return self.manifest.costs
        total = Costs()
        for number in self.finished():
            total = total + Costs.read(json.loads(self._costs(number).read_text()))
        return total

    def _part(self, table: str, number: int) -> Path:
        return self.parts / f"{table}-{number:05d}.parquet"

    def _costs(self, number: int) -> Path:
        return self.parts / f"costs-{number:05d}.json"

    def table(self, name: str) -> pd.DataFrame:
        """`rows`, `scores`, `metrics` or `examples`, merged or still in parts.

        Raises:
            FileNotFoundError: there is neither.
            ValueError: the table does not have the columns of `harness.tables`.
        """
        merged = self.path / f"{name}.parquet"
        if merged.is_file():
            return STORED[name].check(pq.read_table(merged).to_pandas())
        numbers = self.finished()
        if not numbers:
            error = self.manifest.error if self.holds_a_run else None
            raise FileNotFoundError(
                f"no results in {self.path}: expected {name}.parquet or parts/{name}-*.parquet. "
                + (f"Its run failed: {error}" if error else "Give the folder that a run printed in its last lines")
            )
        tables = [pq.read_table(self._part(name, number)) for number in numbers]
        return STORED[name].check(pa.concat_tables(tables, promote_options="permissive").to_pandas())

    def measured(self) -> pd.DataFrame:
        """The rows of references and of metrics as one table: see `tables.measured`."""
        return measured(self.table("rows"), self.table("metrics"))

    def write_maps(self, maps: pd.DataFrame) -> None:
        """Write `maps.parquet`: scores from every position of a few examples."""
        write_table(self.path / "maps.parquet", MAPS.check(maps))

    def maps(self) -> pd.DataFrame | None:
        """What `write_maps` wrote; None where no maps were asked for."""
        path = self.path / "maps.parquet"
        return MAPS.check(pq.read_table(path).to_pandas()) if path.is_file() else None

    def merge(self, order: Sequence[str]) -> dict[str, pd.DataFrame]:
        """Make one file of each table, examples in the given order, and remove the parts; returns the tables."""
        rank = {example: index for index, example in enumerate(order)}
        merged = {}
        for name in STORED:
            table = self.table(name).sort_values("example", key=lambda column: column.map(rank), kind="stable")
            merged[name] = table.reset_index(drop=True)
            write_table(self.path / f"{name}.parquet", merged[name])
        for path in self.parts.iterdir():
            path.unlink()
        self.parts.rmdir()
        return merged

    @property
    def manifest(self) -> Manifest:
        """What the run was, as it wrote it.

        Raises:
            FileNotFoundError: there is no manifest.
            ValueError: it was written by another version of Assay.
        """
        path = self.path / MANIFEST
        if not path.is_file():
            raise FileNotFoundError(
                f"{self.path} holds no {MANIFEST}, so it is not a run folder. "
                "Give the folder that a run printed in its last lines"
            )
        try:
            return Manifest.read(json.loads(path.read_text()))
        except ValueError as error:
            raise ValueError(f"{self.path} was written by another version of Assay: {error}") from error

    def write_manifest(self, manifest: Manifest) -> None:
        """Write `manifest.json`."""
        write_atomically(self.path / MANIFEST, json.dumps(manifest.stored(), indent=2, default=str) + "\n")

    def forget(self) -> None:
        """Remove the manifest, so that the folder holds no run."""
        (self.path / MANIFEST).unlink()
