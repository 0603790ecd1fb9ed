"""The parts of a run that goes on: the tables of each finished batch, and a record that says what they should be."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.results.files import file_digest, write_atomically, write_table
from harness.tables import STORED, Costs, Part, Schema

RECORD = re.compile(r"part-(\d{5})\.json")
OURS = re.compile(rf"(part-\d{{5}}\.json)|(({'|'.join(STORED)})-\d{{5}}\.parquet)|(\..+\.\d+)")


@dataclass(frozen=True)
class PartRecord:
    """What a part holds.

    Args:
        run: the run that wrote it.
        examples: their ids.
        digests: a hash of each table's file.
        costs: what they cost.
    """

    run: str
    examples: Sequence[str]
    digests: Mapping[str, str]
    costs: Costs = field(default_factory=Costs)


class Parts:
    """The numbered parts in a folder; those that are damaged or of another run count as not there.

    Args:
        path: the folder.
        run: gives the id of the run that the folder belongs to.
    """

    def __init__(self, path: Path, run: Callable[[], str]):
        self.path, self._run = path, run
        self.problems: list[str] = []  # what is damaged or foreign, a sentence each
        self._sound: dict[int, PartRecord] | None = None

    @property
    def sound(self) -> Mapping[int, PartRecord]:
        """The parts whose tables are those that were written, by number; the others are in `problems`."""
        if self._sound is None:
            self._sound, self.problems = {}, []
            for path in sorted(self.path.iterdir() if self.path.is_dir() else ()):
                if not OURS.fullmatch(path.name) or not path.is_file():
                    self.problems.append(f"{path} is no file of this run and is left alone")
                elif match := RECORD.fullmatch(path.name):
                    self._look_at(int(match[1]), path)
        return self._sound

    def _look_at(self, number: int, path: Path) -> None:
        assert self._sound is not None
        try:
            stored = json.loads(path.read_bytes())
            record = PartRecord(stored["run"], stored["examples"], stored["digests"], Costs.read(stored["costs"]))
            damaged = [name for name in STORED if record.digests[name] != self._digest(name, number)]
            before = {example: other for other, known in self._sound.items() for example in known.examples}
            twice = sorted({before[example] for example in record.examples if example in before})
        except (ValueError, KeyError, TypeError, AttributeError):
            self.problems.append(f"part {number} is damaged ({path.name} cannot be read) and does not count")
            return
        if record.run != self._run():
            self.problems.append(f"part {number} was written by another run and does not count")
        elif damaged:
            self.problems.append(f"part {number} is damaged ({', '.join(damaged)}) and does not count")
        elif twice:
            self.problems.append(f"part {number} holds the examples of part {twice[0]} again and does not count")
        else:
            self._sound[number] = record

    def write(self, part: Part, run: Mapping[str, str | int]) -> None:
        """Write one batch's tables, then its record; `run` gives rows and metrics columns task, model and seed."""
        sound, digests = self.sound, {}
        for name, schema in STORED.items():
            table: pd.DataFrame = getattr(part, name)
            if "task" in schema.columns:
                table = table.assign(**run)[list(schema.columns)]
            digests[name] = write_table(self._file(name, part.number), schema.check(table))
        record = PartRecord(self._run(), part.examples["example"].tolist(), digests, part.costs)
        stored = asdict(record) | {"costs": record.costs.stored()}
        write_atomically(self.path / f"part-{part.number:05d}.json", json.dumps(stored))
        self._sound = {**sound, part.number: record}

    def keep(self, examples: Mapping[int, Sequence[str]]) -> None:
        """Count only parts that hold just these examples, by number; `problems` says which others there were."""
        for number, record in self.sound.items():
            if sorted(record.examples) != sorted(examples.get(number, ())):
                self.problems.append(f"part {number} holds other examples than its batch and does not count")
        self._sound = {
            number: record
            for number, record in self.sound.items()
            if sorted(record.examples) == sorted(examples.get(number, ()))
        }

    def table(self, schema: Schema) -> pd.DataFrame:
        """One table of all parts."""
        tables = [pq.read_table(self._file(schema.name, number)) for number in sorted(self.sound)]
        return schema.check(pa.concat_tables(tables, promote_options="permissive").to_pandas())

    def costs(self) -> Costs:
        """What all parts cost."""
        return sum((record.costs for record in self.sound.values()), start=Costs())

    def remove(self) -> None:
        """Remove all parts, and their folder unless it holds something foreign."""
        for path in self.path.iterdir():
            if OURS.fullmatch(path.name) and path.is_file():
                path.unlink()
        if not any(self.path.iterdir()):
            self.path.rmdir()
        self._sound = {}

    def _file(self, table: str, number: int) -> Path:
        return self.path / f"{table}-{number:05d}.parquet"

    def _digest(self, table: str, number: int) -> str | None:
        path = self._file(table, number)
        return file_digest(path) if path.is_file() else None
