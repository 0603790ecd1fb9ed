"""The columns of every table, stored or derived, and the manifest of a run, as types: no torch, no files.

Layers and heads count from 1; layer 0 means a method without layers, head 0 the mean over heads.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Self

import pandas as pd

FORMAT = 8  # of a run folder; increased when a column or a key is added or removed
CHANCE = "chance"  # the line that metrics of planted truth have for scores that are all equal
NO_GOLD = -1  # in place of the right class where the data do not give it
ACCURACY_BY = "accuracy_by_"  # begins the name of a model's fact, its accuracy by groups: accuracy_by_attractors


@dataclass(frozen=True)
class Schema:
    """A table's columns, in their order.

    Args:
        name: of the table, and of its file.
        columns: what each holds: `text`, `whole` or `real` numbers, `truth` values, or a `list`; `?` after it means
            that values may be missing.
    """

    name: str
    columns: Mapping[str, str]

    def check(self, table: pd.DataFrame) -> pd.DataFrame:
        """The table itself; ValueError unless it has these columns, each of its kind."""
        missing = [name for name in self.columns if name not in table]
        surplus = [str(name) for name in table if name not in self.columns]
        if missing or surplus:
            raise ValueError(
                f"the table {self.name} should have the columns {', '.join(self.columns)}"
                + (f"; missing: {', '.join(missing)}" if missing else "")
                + (f"; unknown: {', '.join(surplus)}" if surplus else "")
                + ": it was written by another version of Assay, or by another program"
            )
        for name, kind in self.columns.items():
            if len(table) and not _holds(table[name], kind):
                raise ValueError(
                    f"the column {name} of the table {self.name} should hold {kind.rstrip('?')} values, got "
                    f"{table[name].dtype}: it was written by another version of Assay, or by another program"
                )
        return table[list(self.columns)]

    def empty(self) -> pd.DataFrame:
        """The table without rows."""
        return pd.DataFrame({name: pd.Series(dtype=_DTYPES[kind.rstrip("?")]) for name, kind in self.columns.items()})


_DTYPES: Mapping[str, Any] = {"text": object, "whole": int, "real": float, "truth": bool, "list": object}


def _holds(column: pd.Series, kind: str) -> bool:
    optional, kind = kind.endswith("?"), kind.rstrip("?")
    values = column.dropna() if optional else column
    if not len(values):
        return True
    if kind == "whole":
        return pd.api.types.is_integer_dtype(values) or (optional and bool((values == values.astype(int)).all()))
    if kind == "real":
        return pd.api.types.is_float_dtype(values)
    if kind == "truth":
        return pd.api.types.is_bool_dtype(values) or all(isinstance(value, bool) for value in values)
    if kind == "list":
        return all(hasattr(value, "__len__") and not isinstance(value, str) for value in values)
    return all(isinstance(value, str) for value in values)


# Further statistics of every row, beside rho
STATISTICS = ("rho_all", "rho_content", "partial", "tau", "top", "tied", "saturated", "unassigned")

EXAMPLES = Schema(
    "examples",
    {
        "example": "text",
        "cluster": "text",
        "tokens": "list",
        "ranked": "list",
        "position": "whole",
        "gold": "whole",
        "predicted": "whole",
        "logits": "list",
        "probabilities": "list",
        "gradient_sum_over_norm": "real",
        "planted": "list",
        "referents": "list",
        "points_to": "list",
        "tags": "list",
        # Of an encoder-decoder's example, as in `tracing.batch.TwoSided`; elsewhere 0, -1, or nothing
        "source": "whole",
        "target_length": "whole",
        "words": "list",
        "next_word": "whole",
        "links": "list?",  # of the sentence: {source, target, sure}; missing where they are not known
    },
)
SCORES = Schema(
    "scores",
    {"example": "text", "kind": "text", "method": "text", "layer": "whole", "head": "whole", "scores": "list"},
)
_RUN = {"task": "text", "model": "text", "seed": "whole"}
_CELL = {"example": "text", "kind": "text", "explainer": "text", "layer": "whole", "head": "whole"}
ROWS = Schema(
    "rows",
    _RUN
    | _CELL
    | {"reference": "text", "rho": "real", "n_tokens": "whole"}
    | dict.fromkeys(STATISTICS, "real")
    | {"same": "truth", "status": "text", "error": "text?"},
)
METRICS = Schema(
    "metrics",
    _RUN | _CELL | {"metric": "text", "value": "real", "higher": "truth", "status": "text", "error": "text?"},
)
MAPS = Schema(
    "maps",
    {"example": "text", "method": "text", "layer": "whole", "head": "whole", "query": "whole", "scores": "list"},
)
# `attention` is `self`, or in an encoder-decoder `encoder`, `decoder` (its own) or `cross`, each with layers from 1;
# `side` is `query` or `key`; `token` is an index from 0 into the tokens of `examples`
_HEAD = {"attention": "text", "layer": "whole", "head": "whole"}
PROJECTIONS = Schema(
    "projections", {"example": "text", **_HEAD, "side": "text", "token": "whole", "x": "real", "y": "real"}
)
PLANES = Schema(
    "planes",
    _HEAD
    | {"scale": "real", "explained": "real", "agreement": "real", "agreement_by_query": "real"}  # `statistics.plane`
    | {"left_out": "real"},  # how far attention is from the softmax of queries times keys, at most
)
STORED = {schema.name: schema for schema in (EXAMPLES, SCORES, METRICS, ROWS)}  # in the order of writing


@dataclass(frozen=True)
class Cost:
    """Work on a batch.

    Args:
        seconds: of the wall clock.
        forward: rows of tokens that ran through a whole model; padding variants count like any other.
        backward: rows whose logits a gradient was taken of.

    Work on parts of the model, such as one layer's arithmetic, counts in seconds but not as a pass.
    """

    seconds: float = 0.0
    forward: int = 0
    backward: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.seconds + other.seconds, self.forward + other.forward, self.backward + other.backward)

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.seconds - other.seconds, self.forward - other.forward, self.backward - other.backward)


KINDS = ("phase", "explainer", "reference", "metric")  # of what a run spends time on


class Costs(Mapping[tuple[str, str], Cost]):
    """What a run's phases and methods cost, by kind (one of `KINDS`) and name."""

    def __init__(self, costs: Mapping[tuple[str, str], Cost] | None = None):
        self._costs = dict(costs or {})

    def __getitem__(self, key: tuple[str, str]) -> Cost:
        return self._costs[key]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._costs)

    def __len__(self) -> int:
        return len(self._costs)

    def __add__(self, other: Mapping[tuple[str, str], Cost]) -> "Costs":
        return Costs({key: self.get(key, Cost()) + other.get(key, Cost()) for key in dict.fromkeys([*self, *other])})

    def of(self, kind: str) -> dict[str, Cost]:
        """Those of one kind, by name."""
        return {name: cost for (other, name), cost in self._costs.items() if other == kind}

    def stored(self) -> dict[str, dict[str, object]]:
        """As JSON: kind, then name."""
        return {kind: {name: asdict(cost) for name, cost in self.of(kind).items()} for kind in KINDS if self.of(kind)}

    @classmethod
    def read(cls, stored: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Self:
        """What `stored` gave."""
        return cls({(kind, name): Cost(**cost) for kind, named in stored.items() for name, cost in named.items()})


@dataclass(frozen=True)
class Method:
    """What a run records about an explainer, a reference or a metric.

    Args:
        description: its repr, all parameters included.
        source: its paper, from the first line of its file.
        reduction: how it reduces hidden dimensions to one number per token; None where it does not.
        files: the files that it reads, by name, with a hash of their content.
    """

    description: str
    source: str
    reduction: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordedProtocol:
    """What was explained and how it was ranked, as a run records it: see `measure.protocol.EvaluationProtocol`."""

    target: str
    output: str
    include: str
    ranks: str
    token_budget: int
    removal: str = "unk"


@dataclass(frozen=True)
class Counts:
    """Of a run's rows.

    Args:
        computed_now: examples that this process explained, not an earlier one that it resumed.
        undefined: rows without a value, for a reason that `status` names.
        failed: rows of a method that raised an error.
    """

    examples: int
    computed_now: int
    rows: int
    undefined: int
    failed: int


METHOD_GROUPS = {"explainers": "explainer", "references": "reference", "metrics": "metric"}  # and the kind of each
# What a run and its continuation must share, and all shards of a run
MUST_MATCH = ("config", "task_version", "data", "model", "code", "files")


@dataclass(frozen=True)
class Manifest:
    """What a run was. Of a job that failed before it had a model, only the plan is known.

    Args:
        run: a random id, by which the tables of a folder are known to belong to it.
        status: `running`, `complete`, `stopped` or `failed`.
        task: its name on the command line.
        model_name: what tables call the model.
        shard: `2/8`, or None for all examples.
        config: the whole configuration, with every default.
        overrides: what was typed on the command line.
        config_dir: a folder of further configuration files, where one was given.
        error: why it failed.
        task_version: increased by the task with every change that moves a number.
        data: a hash of the data; None where the job failed before it read them, as for the fields below.
        model: the model's identity.
        code: a hash of the code that measures, of the chosen methods, and of the task and its model.
        left_out: methods that cannot serve the model, and why.
        exclusive_classes: whether the classes exclude each other.
        examples: how many there are to explain.
        facts: of the model, e.g. its accuracy.
        data_facts: of the data, e.g. how many sentences were left out and why.
        causal: whether the model reads only earlier tokens.
        head_size: dimensions of one attention head's values, where known.
        phases: seconds of work outside methods, by name, where `costs` has no entry: reading data, loading the model …
        costs: of methods and of phases within the evaluation.
        joined: of a run that was put together from shards, their overrides.
    """

    status: str
    task: str
    model_name: str
    seed: int
    shard: str | None
    config: Mapping[str, Any]
    overrides: Sequence[str]
    run: str = ""
    config_dir: str | None = None
    error: str | None = None
    task_version: str | None = None
    protocol: RecordedProtocol | None = None
    data: str | None = None
    model: str | None = None
    code: str | None = None
    explainers: Mapping[str, Method] = field(default_factory=dict)
    references: Mapping[str, Method] = field(default_factory=dict)
    metrics: Mapping[str, Method] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    classes: Sequence[str] = ()
    exclusive_classes: bool = True
    causal: bool = False
    examples: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)
    data_facts: Mapping[str, Any] = field(default_factory=dict)
    head_size: int | None = None
    phases: Mapping[str, float] = field(default_factory=dict)
    costs: Costs = field(default_factory=Costs)
    peak_memory_mib: int | None = None
    warnings: Sequence[str] = ()
    counts: Counts | None = None
    joined: Sequence[Sequence[str]] = ()
    started: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str | None = None
    dirty: bool | None = None
    machine: Mapping[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def files(self) -> dict[str, str]:
        """The hash of each file that a method reads."""
        return {
            f"{name}: {file}": digest
            for group in METHOD_GROUPS
            for name, method in getattr(self, group).items()
            for file, digest in method.files.items()
        }

    @property
    def has_model(self) -> bool:
        """Whether the run came as far as its model; without one it starts again from nothing."""
        return self.model is not None

    def stored(self) -> dict[str, object]:
        """As JSON."""
        return {**asdict(self), "costs": self.costs.stored()}

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        """What `stored` gave; what only describes the run may be missing. ValueError for anything else."""
        if not isinstance(stored, Mapping):
            raise ValueError(f"it holds a {type(stored).__name__}, not a run's settings")
        if stored.get("format") != FORMAT:
            raise ValueError(
                f"it has format {stored.get('format')}, and this version of Assay reads format {FORMAT}: run it again "
                "with this version, or read it with the one that wrote it"
            )
        known = {one.name: one for one in fields(cls)}
        needed = [name for name, one in known.items() if one.default is MISSING and one.default_factory is MISSING]
        if missing := [name for name in needed if name not in stored]:
            raise ValueError(f"it lacks {', '.join(missing)}")
        values: dict[str, Any] = {
            name: value for name, value in stored.items() if name in needed or (name in known and value is not None)
        }
        try:
            for group in METHOD_GROUPS:
                values[group] = {name: Method(**method) for name, method in values.get(group, {}).items()}
            for name, kind in (("protocol", RecordedProtocol), ("counts", Counts)):
                if name in values:
                    values[name] = kind(**values[name])
            values["costs"] = Costs.read(values.get("costs", {}))
        except (TypeError, AttributeError) as error:
            raise ValueError(f"a part of it has another form ({error})") from error
        for name in ("config", "facts", "data_facts", "phases", "left_out", "versions", "machine"):
            if not isinstance(values.get(name, {}), Mapping):
                raise ValueError(f"its {name} has another form")
        return cls(**values)


@dataclass(frozen=True)
class Part:
    """What one batch gives: a table of each kind, and what it cost."""

    number: int
    examples: pd.DataFrame
    scores: pd.DataFrame
    rows: pd.DataFrame
    metrics: pd.DataFrame
    costs: Costs = field(default_factory=Costs)


# Derived tables. A measure is a reference or a metric; the value is rho, or the metric's own.
MEASURED = Schema(
    "measured",
    _RUN
    | _CELL
    | {"measure": "text", "value": "real", "n_tokens": "whole?"}
    | dict.fromkeys(STATISTICS, "real")
    | {"same": "truth?", "higher": "truth?", "status": "text", "error": "text?"},
)


def measured(rows: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """Rows of references and of metrics as one table: `measure` and `value`.

    `higher` says of a metric whether more is better; it is None for references.
    """
    table = rows.rename(columns={"reference": "measure", "rho": "value"}).assign(higher=None)
    if metrics.empty:
        return table
    return pd.concat([table, metrics.rename(columns={"metric": "measure"})], ignore_index=True)
