"""Scores written by another program or an earlier run, compared with the references like any explainer's."""

import gzip
import json
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from harness.tracing.batch import Example
from harness.tracing.run import Trace

NEEDED = ("example", "layer", "scores")
WHOLE = ("layer", "head")  # columns of whole numbers
Cells = dict[tuple[int, int], np.ndarray]  # (layer, head) -> [token]


@dataclass(frozen=True)
class ScoresFromFile:
    """Scores of the run's examples, read from a file; the file is checked before anything is run.

    A row has an `example` (its id), a `layer` (1 to the model's last, or 0 for a method without layers) and `scores`:
    one number per token of the example, special tokens included. Single heads have separate rows, with `head` from 1.
    NaN or null marks an undefined score. The `scores.parquet` of a run can be used as it is.

    Args:
        path: a parquet file, or JSON lines, plain or gzipped.
        method: which of the file's methods, where it holds several in its column `method`; rows whose `kind` is
            `reference` are not methods.
    """

    cost: ClassVar[str] = "no pass"

    path: str
    method: str | None = None

    def __post_init__(self):
        self._scores()

    @property
    def files(self) -> tuple[Path]:
        """The file of scores."""
        return (Path(self.path).expanduser(),)

    def check_model(self, model: nn.Module) -> None:
        """Raise where the file can no longer be read; its layers are compared with the model's in each batch."""
        self._scores()

    @property
    def layerless(self) -> bool:
        """Whether the file has layer 0 alone."""
        return {layer for layer, _ in next(iter(self._scores().values()))} == {0}

    def __call__(self, trace: Trace) -> Tensor:  # [batch, layer, (head,) token]
        known, batch = self._scores(), trace.batch
        if unknown := [example.id for example in batch.examples if example.id not in known]:
            raise ValueError(
                f"{self.path} has no scores of {len(unknown)} of a batch's {len(batch.examples)} examples, the first "
                f"{unknown[0]!r}: expected all examples of the run; write them for the same task, data and "
                "limit (their ids are in a run's examples.parquet)"
            )
        cells = sorted(known[batch.examples[0].id])  # the same for every example
        layers, heads = (len({cell[axis] for cell in cells}) for axis in (0, 1))
        self._check_cells(cells, trace.layers, trace.attention.shape[2])
        scores = torch.zeros(len(batch.examples), layers * heads, batch.input_ids.shape[1], dtype=torch.float64)
        for row, example in enumerate(batch.examples):
            own = np.stack([known[example.id][cell] for cell in cells])  # [layer * head, token]
            self._check_length(example, own.shape[1])
            scores[row, :, : own.shape[1]] = torch.from_numpy(own)
        scores = scores.to(batch.input_ids.device)
        return scores if cells[0][1] == 0 else scores.unflatten(1, (layers, heads))

    def _scores(self) -> dict[str, Cells]:
        file = Path(self.path).expanduser()
        if not file.is_file():
            raise FileNotFoundError(
                f"{self.path} is not a file: expected scores as parquet or JSON lines; give a run's scores.parquet, or "
                f"write one with the columns {', '.join(NEEDED)}"
            )
        facts = file.stat()
        return _scores(str(file), facts.st_mtime_ns, facts.st_size, self.method)

    def _check_cells(self, cells: list[tuple[int, int]], model_layers: int, model_heads: int) -> None:
        """Raise unless heads and layers are the model's, or absent."""
        layers, heads = sorted({layer for layer, _ in cells}), sorted({head for _, head in cells})
        if layers not in ([0], [*range(1, model_layers + 1)]):
            raise ValueError(
                f"{self.path} has the layers {_short(layers)}: expected 1 to {model_layers}, this model's, or 0 alone "
                "for a method without layers; write all layers, counted from 1"
            )
        if heads not in ([0], [*range(1, model_heads + 1)]) or (layers == [0] and heads != [0]):
            raise ValueError(
                f"{self.path} has the heads {_short(heads)} of the layers {_short(layers)}: expected 1 to "
                f"{model_heads} of each layer, or no column head; write all heads, counted from 1"
            )

    def _check_length(self, example: Example, length: int) -> None:
        if length != len(example.input_ids):
            raise ValueError(
                f"{self.path} has {length} scores of example {example.id!r}, which has {len(example.input_ids)} "
                "tokens: expected one for each token of the example, special ones too and no padding"
            )


@cache  # a file is read once, not once per batch, until it changes
def _table(path: str, changed: int, size: int) -> pd.DataFrame:
    with Path(path).open("rb") as file:
        start = file.read(4)
    try:
        if start == b"PAR1":
            table = pd.read_parquet(path)
        else:
            with (gzip.open if start[:2] == b"\x1f\x8b" else open)(path, "rt", encoding="utf-8") as file:
                table = pd.DataFrame([json.loads(line) for line in file if line.strip()], dtype=object)
    except (OSError, ValueError, EOFError, zlib.error) as error:  # pyarrow's and json's errors are subclasses of these
        raise ValueError(
            f"{path} cannot be read as parquet or JSON lines ({error}): write one object a line, or parquet"
        ) from error
    if missing := [name for name in NEEDED if name not in table]:
        raise ValueError(
            f"{path} has no column {', '.join(missing)}: expected {', '.join(NEEDED)} and, if wanted, head, method "
            f"and kind, got {', '.join(map(str, table)) or 'no rows'}; rename the columns"
        )
    return table


@cache
def _scores(path: str, changed: int, size: int, method: str | None) -> dict[str, Cells]:
    """A method's scores by example, all with the same cells."""
    rows = _rows(path, _table(path, changed, size), method)
    columns = [rows[name].tolist() if name in rows else [0] * len(rows) for name in ("example", *WHOLE, "scores")]
    found: dict[str, Cells] = {}
    for example, layer, head, values in zip(*columns, strict=True):
        name = _id(path, example)
        for column, value in zip(WHOLE, (layer, head), strict=True):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(
                    f"{path} has {column} {value!r} for example {name!r}: expected a whole number from 1, or 0 for none"
                )
        cells = found.setdefault(name, {})
        if (layer, head) in cells:
            raise ValueError(
                f"{path} has example {name!r}, layer {layer}, head {head} twice: expected one row for each; leave one "
                "out, or distinguish them by a column `method`"
            )
        cells[layer, head] = _numbers(path, name, values)
    _check_shapes(path, found)
    return found


def _rows(path: str, table: pd.DataFrame, method: str | None) -> pd.DataFrame:
    """The rows of one explainer."""
    if "kind" in table:
        table = table.loc[table["kind"] != "reference"]
    if "method" not in table:
        if method is not None:
            raise ValueError(f"{path} has no column method, in which to find {method!r}: leave method out")
        names = [""] if len(table) else []
    else:
        names = list(table["method"].unique())
        if method is None and len(names) > 1:
            raise ValueError(f"{path} has several explainers: set method to one of {', '.join(map(str, names))}")
        if method is not None and method not in names:
            raise ValueError(f"{path} has no explainer {method!r}: set method to one of {', '.join(map(str, names))}")
    if not names:
        raise ValueError(f"{path} has no explainer's scores: expected a row for each example and layer")
    return table if method is None else table.loc[table["method"] == method]


def _id(path: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{path} has the example {value!r}: expected an id, as text; write the run's own ids")
    return str(value)


def _numbers(path: str, example: str, values: Any) -> np.ndarray:
    """`[token]`, float64, bit for bit what the file holds."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu":
        return values.astype(np.float64)
    given = list(values) if isinstance(values, list | np.ndarray) else [values]
    wrong = next((one for one in given if isinstance(one, bool | np.bool_) or not _is_number(one)), None)
    if wrong is not None or not isinstance(values, list | np.ndarray):
        raise ValueError(
            f"{path} has {wrong if wrong is not None else values!r} among the scores of example {example!r}: expected "
            "a list of numbers, one for each token; write NaN or null for a score that is undefined"
        )
    return np.array([np.nan if one is None else one for one in given], dtype=np.float64)


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, int | float | np.integer | np.floating)


def _check_shapes(path: str, found: dict[str, Cells]) -> None:
    """Raise unless every example has the layers and heads of the first, and some score is a number."""
    first, *_ = found
    for example, cells in found.items():
        if cells.keys() != found[first].keys():
            theirs, ours = (sorted(found[one]) for one in (first, example))
            raise ValueError(
                f"{path} has the layers and heads {_short(ours)} of example {example!r} and {_short(theirs)} of "
                f"{first!r}: expected the same of all examples; write them all"
            )
        lengths = {len(values) for values in cells.values()}
        if len(lengths) > 1:
            raise ValueError(
                f"{path} has {' and '.join(map(str, sorted(lengths)))} scores of example {example!r} in different "
                "layers: expected one for each of its tokens, in every layer"
            )
    layers, heads = ({cell[axis] for cell in found[first]} for axis in (0, 1))
    if len(found[first]) != len(layers) * len(heads):
        raise ValueError(
            f"{path} has the layers and heads {_short(sorted(found[first]))} of example {first!r}: expected every "
            "head in every layer; write them all"
        )
    if all(np.isnan(values).all() for cells in found.values() for values in cells.values()):
        raise ValueError(f"{path}: every score is NaN; expected numbers: look at the program that wrote them")


def _short(values: list) -> str:
    """The first few of a list, in words."""
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
