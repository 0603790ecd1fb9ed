"""A run's folder: tables written part by part, so that a killed run loses at most one part and can be resumed."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from harness.results.files import file_digest, write_atomically, write_table
from harness.results.parts import Parts
from harness.results.shell import argument
from harness.tables import MAPS, PLANES, PROJECTIONS, STORED, Costs, Manifest, Part, Schema, measured

MANIFEST = "manifest.json"
CHECKSUMS = "checksums.json"  # the run's id, and a hash of each table's file
LAST = "rows"  # the table that is written last: where it is, the others are


class RunFolder:
    """Tables `rows`, `scores`, `metrics` and `examples` as parquet, `checksums.json` and `manifest.json`.

    While a run goes on, each table is a series of numbered files in `parts/`; `merge` makes one file of each.
    """

    def __init__(self, path: Path):
        self.path = path
        self.parts = Parts(path / "parts", lambda: self._run)

    def open(self) -> None:
        """Create the folder for parts; OSError, with a remedy, where it cannot be written."""
        try:
            self.parts.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                f"the run folder {self.path} cannot be written ({error.strerror}): "
                "choose another with hydra.run.dir=<folder>, or change its permissions"
            ) from error

    def write_part(self, part: Part, run: Mapping[str, str | int]) -> None:
        """Write one batch's tables; `run` gives rows and metrics their columns task, model and seed."""
        self.parts.write(part, run)

    @property
    def holds_a_run(self) -> bool:
        """Whether a run has begun here."""
        return (self.path / MANIFEST).is_file()

    @property
    def merged(self) -> bool:
        """Whether each table is a single file: all examples are explained."""
        return self._file(LAST).is_file()

    @property
    def has_rows(self) -> bool:
        """Whether any example is explained."""
        if self.merged:
            return True
        return bool(self.finished()) if self.holds_a_run else any(self.parts.path.glob("*.parquet"))

    def finished(self) -> dict[int, int]:
        """The number of examples in each part that was written whole, by the part's number."""
        return {number: len(record.examples) for number, record in self.parts.sound.items()}

    @property
    def problems(self) -> list[str]:
        """What of the parts is damaged or foreign, a sentence each."""
        self.parts.sound  # noqa: B018  which finds them
        return self.parts.problems

    def costs(self) -> Costs:
        """What the examples so far cost, by phase and method."""
        return self.manifest.costs if self.merged else self.parts.costs()

    def table(self, name: str) -> pd.DataFrame:
        """`rows`, `scores`, `metrics` or `examples`, merged or still in parts.

        Raises:
            FileNotFoundError: there is neither.
            ValueError: the table is not the one that was written.
        """
        if self.merged:
            self._check(name)
            return STORED[name].check(pq.read_table(self._file(name)).to_pandas())
        if not self.parts.sound:
            error = self.manifest.error if self.holds_a_run else None
            damage = "".join(f"; {problem}" for problem in self.problems)
            raise FileNotFoundError(
                f"no results in {self.path}: expected {name}.parquet or finished batches in parts/{damage}. "
                + (f"Its run failed: {error}" if error else "Give the folder that a run printed in its last lines")
            )
        return self.parts.table(STORED[name])

    def check_tables(self) -> None:
        """Raise ValueError unless every merged table is the one that was written."""
        for name in STORED:
            self._check(name)

    def _check(self, name: str) -> None:
        path = self._file(name)
        try:
            known = json.loads((self.path / CHECKSUMS).read_bytes())
            belongs = known["run"] == self._run and known["tables"][name] == file_digest(path)
        except (OSError, ValueError, KeyError, TypeError):
            belongs = False
        if not belongs:
            raise ValueError(
                f"{path} is not the table that this run wrote (it does not match {CHECKSUMS}): restore the "
                f"folder from a copy, or compute it again with assay {argument('resume', self.path)}"
            )

    def measured(self) -> pd.DataFrame:
        """The rows of references and of metrics as one table: see `tables.measured`."""
        return measured(self.table("rows"), self.table("metrics"))

    def write_maps(self, maps: pd.DataFrame) -> None:
        """Write `maps.parquet`: scores from every position of a few examples."""
        write_table(self._file(MAPS.name), MAPS.check(maps))

    def maps(self) -> pd.DataFrame | None:
        """What `write_maps` wrote; None where no maps were asked for."""
        return self._optional(MAPS)

    def write_projections(self, projections: pd.DataFrame, planes: pd.DataFrame) -> None:
        """Write `projections.parquet` and `planes.parquet`: queries and keys of a few examples, by head."""
        write_table(self._file(PLANES.name), PLANES.check(planes))
        write_table(self._file(PROJECTIONS.name), PROJECTIONS.check(projections))

    def projections(self) -> pd.DataFrame | None:
        """The places that `write_projections` wrote; None where no projections were asked for."""
        return self._optional(PROJECTIONS)

    def planes(self) -> pd.DataFrame | None:
        """What it wrote of each head's plane, or None."""
        return self._optional(PLANES)

    def _optional(self, schema: Schema) -> pd.DataFrame | None:
        path = self._file(schema.name)
        return schema.check(pq.read_table(path).to_pandas()) if path.is_file() else None

    def write_tables(self, tables: Mapping[str, pd.DataFrame]) -> None:
        """Write each table as a single file, with their checksums."""
        digests = {name: write_table(self._file(name), tables[name]) for name in STORED if name != LAST}
        temporary = self.path / f".{LAST}.parquet.{os.getpid()}"
        digests[LAST] = write_table(temporary, tables[LAST])
        write_atomically(self.path / CHECKSUMS, json.dumps({"run": self._run, "tables": digests}, indent=2) + "\n")
        temporary.replace(self._file(LAST))

    def merge(self, order: Sequence[str]) -> dict[str, pd.DataFrame]:
        """Make one file of each table, examples in the given order, and remove the parts; returns the tables."""
        rank = {example: index for index, example in enumerate(order)}
        merged = {}
        for name in STORED:
            table = self.table(name).sort_values("example", key=lambda column: column.map(rank), kind="stable")
            merged[name] = table.reset_index(drop=True)
        self.write_tables(merged)
        self.parts.remove()
        return merged

    def take_apart(self) -> None:
        """Remove the merged tables, so that every batch is computed again."""
        for name in [LAST, *STORED]:
            self._file(name).unlink(missing_ok=True)
        (self.path / CHECKSUMS).unlink(missing_ok=True)

    @property
    def _run(self) -> str:
        return self.manifest.run

    def _file(self, table: str) -> Path:
        return self.path / f"{table}.parquet"

    @property
    def manifest(self) -> Manifest:
        """What the run was, as it wrote it.

        Raises:
            FileNotFoundError: there is no manifest.
            ValueError: it is damaged, or was written by another version of Assay.
        """
        path = self.path / MANIFEST
        if not path.is_file():
            raise FileNotFoundError(
                f"{self.path} holds no {MANIFEST}, so it is not a run folder. "
                "Give the folder that a run printed in its last lines"
            )
        try:
            stored = json.loads(path.read_bytes())
        except ValueError as error:
            raise ValueError(
                f"{path} is damaged ({error}): restore it from a copy, or run again in another folder"
            ) from error
        try:
            return Manifest.read(stored)
        except ValueError as error:
            raise ValueError(f"{path} is not a manifest that this version of Assay can read: {error}") from error

    def write_manifest(self, manifest: Manifest) -> None:
        """Write `manifest.json`."""
        write_atomically(self.path / MANIFEST, json.dumps(manifest.stored(), indent=2, default=str) + "\n")

    def forget(self) -> None:
        """Remove the manifest, so that the folder holds no run."""
        (self.path / MANIFEST).unlink(missing_ok=True)
