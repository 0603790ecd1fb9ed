"""The evaluation loop: examples to batches to traces to scores to rows."""

import gc
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
import torch

from harness.contracts import Explainer, HasChance, Metric, Model, Reference
from harness.measure.behaviour import check_head, check_scores, padding_matters
from harness.measure.methods import Methods
from harness.measure.processor import release_memory
from harness.measure.protocol import EvaluationProtocol
from harness.measure.rows import Scored, correlation_rows, example_table, reliability_rows, score_table, untraced_table
from harness.measure.scored import metric_table, row_kind, scored
from harness.measure.watch import watched
from harness.measure.work import Work
from harness.tables import CHANCE, METRICS, ROWS, SCORES, Costs, Part
from harness.tracing.batch import Example, collate, pack
from harness.tracing.meter import Meter
from harness.tracing.notices import Notice
from harness.tracing.run import Trace

OF_RUN = ("task", "model", "seed")  # columns of rows and metrics that a run adds
ROW_COLUMNS = [name for name in ROWS.columns if name not in OF_RUN]
METRIC_COLUMNS = [name for name in METRICS.columns if name not in OF_RUN]


def evaluate_batches(
    examples: Sequence[Example],
    model: Model,
    explainers: Mapping[str, Explainer],
    references: Mapping[str, Reference],
    protocol: EvaluationProtocol,
    metrics: Mapping[str, Metric] | None = None,
    classes: Sequence[str] = (),
    device: torch.device | str = "cpu",
    done: Collection[int] = (),
    working: Callable[[str, float], None] = lambda _method, _share: None,
) -> Iterator[Part]:
    """Yield a `Part` per batch except those `done`; the batches depend on the examples and the token budget alone.

    Batches come in a random order, always the same, so that the first ones tell how long the others will take. Rows
    compare every explainer and every other reference (which shows how far two references agree) with each reference,
    and the two halves of every method that draws random numbers with each other.

    A method that raises an error gives rows with status `failed` and the error, for those examples that it fails on;
    everything else continues. Where the device's memory does not hold a batch, the batch is divided and the token
    budget halved from then on. `working` is called with each method's name before its work on a batch, which may take
    minutes, and the share of all work that is done.

    Raises:
        ValueError: the model cannot be run, or a method changes what all methods share.
    """
    methods = Methods(explainers, references, metrics or {})
    groups = pack([len(example.input_ids) for example in examples], protocol.token_budget)
    order = [number for number in _order(groups, examples) if number not in done]
    if not order:
        return
    sizes = {
        number: (len(groups[number]), max(len(examples[one].input_ids) for one in groups[number])) for number in order
    }
    apart = padding_matters(examples, model, protocol, device)
    batches = _Batches(
        model, methods, protocol, classes, device, working, Work(methods, sizes.values()), padded=not apart
    )
    budget = protocol.token_budget
    for number in order:
        chosen = [examples[index] for index in groups[number]]
        waiting, pieces = [[one] for one in chosen] if apart else [chosen], []
        while waiting:
            chosen = waiting.pop(0)
            smallest = len(chosen) == 1 and budget <= len(chosen[0].input_ids)
            try:
                piece = batches.part(number, chosen, budget, smallest)
            except torch.OutOfMemoryError:
                if smallest:
                    raise
            except _Split as split:
                waiting = [*split.groups, *waiting]
                continue
            else:
                pieces.append(piece)
                continue
            gc.collect()  # what the failed attempt still holds
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            budget = max(1, budget // 2)
            smaller = pack([len(example.input_ids) for example in chosen], budget)
            waiting = [[chosen[index] for index in part] for part in smaller] + waiting
        yield _whole(number, pieces)


def _order(groups: Sequence[Sequence[int]], examples: Sequence[Example]) -> list[int]:
    """The numbers of the batches in a random order, one with padding first if there is any."""
    order = np.random.default_rng(0).permutation(len(groups)).tolist()
    padded = [number for number in order if len({len(examples[one].input_ids) for one in groups[number]}) > 1]
    return list(dict.fromkeys([*padded[:1], *order]))


class _Split(Exception):  # noqa: N818  it is no error
    """A batch to be computed in groups instead, because of examples that fail."""

    def __init__(self, groups: Sequence[Sequence[Example]]):
        super().__init__()
        self.groups = [list(group) for group in groups if group]


@dataclass
class _Batches:
    """Everything about an evaluation except the examples, and what its first batches have shown."""

    model: Model
    methods: Methods
    protocol: EvaluationProtocol
    classes: Sequence[str]
    device: torch.device | str
    working: Callable[[str, float], None]
    work: Work
    padded: bool
    looked_at: bool = False  # the first batch
    fail_always: set[tuple[str, str]] = field(default_factory=set)  # methods that fail on every example

    def trace(self, examples: Sequence[Example], budget: int) -> Trace:
        """The examples' trace."""
        return self.protocol.trace(self.model, examples, self.classes, self.device, budget, self.padded)

    def part(self, number: int, examples: Sequence[Example], budget: int, smallest: bool) -> Part:
        """One batch's tables.

        torch.OutOfMemoryError where the device does not hold it; a method that does not even fit the `smallest` batch
        is a failed cell. `_Split` where some of its examples fail.
        """
        with Meter() as meter:
            try:
                with meter.of("phase", "trace"):
                    trace = self.trace(examples, budget)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                if len(examples) > 1:
                    raise _Split([[one] for one in examples]) from error
                if not self.looked_at:  # not even the first example runs
                    raise
                return self._untraced(number, examples, f"{type(error).__name__}: {error}")
            results = self._results(trace, meter, smallest)
            with meter.of("phase", "correlation"):
                rows = self._rows(trace, results)
                tables = example_table(trace, self.model), score_table(trace, results)
            values = self._values(trace, results, meter, smallest)
            if not self.looked_at:
                check_head(trace)
                check_scores(trace, results, self._named, lambda example: self.trace([example], budget))
                self.looked_at = True
        return Part(
            number,
            *tables,
            rows=_table(rows, ROW_COLUMNS),
            metrics=_table(values, METRIC_COLUMNS),
            costs=Costs(meter.costs),
        )

    @property
    def _named(self) -> dict[tuple[str, str], Explainer | Reference]:
        explainers = {("explainer", name): one for name, one in self.methods.explainers.items()}
        return {**explainers, **{("reference", name): one for name, one in self.methods.references.items()}}

    def _results(self, trace: Trace, meter: Meter, smallest: bool) -> dict[tuple[str, str], Scored]:
        results: dict[tuple[str, str], Scored] = {}
        for (kind, name), method in self._named.items():
            with self._step(kind, name, trace):
                one = scored(name, method, kind, trace, smallest, meter)
            if isinstance(one.values, str):
                self._split(kind, name, trace, partial(_fails, name, method, kind, smallest))
            results[kind, name] = one
        return results

    def _split(self, kind: str, name: str, trace: Trace, fails: Callable[[Trace], bool]) -> None:
        """Raise `_Split` where a method that failed on a batch does not fail on each of its examples alone."""
        if (kind, name) in self.fail_always or len(trace.batch.examples) == 1:
            return
        sound, failing = [], []
        for example in trace.batch.examples:
            (failing if fails(self.trace([example], trace.token_budget)) else sound).append(example)
        if sound:
            raise _Split([sound if failing else [], *([one] for one in (failing or sound))])
        self.fail_always.add((kind, name))

    @contextmanager
    def _step(self, kind: str, name: str, trace: Trace) -> Iterator[None]:
        """Around one method's work on a batch: progress, and on the first batch a close look."""
        self.working(name, self.work.share)
        start, noted = time.perf_counter(), []
        with nullcontext() if self.looked_at else watched(kind, name, trace, noted):
            yield
        release_memory()
        examples, tokens = trace.batch.input_ids.shape
        self.work.did((kind, name), examples, tokens, time.perf_counter() - start)
        for text in noted:
            warnings.warn(text, Notice, stacklevel=2)

    def _rows(self, trace: Trace, results: Mapping[tuple[str, str], Scored]) -> list[pd.DataFrame]:
        rows, ranks = [], self.protocol.ranks
        for (kind, _), one in results.items():
            for name in self.methods.references:
                if (kind, one.name) != ("reference", name):
                    values = results["reference", name].values
                    rows.append(correlation_rows(trace.batch, one, name, values, ranks))
            if one.halves is not None:
                rows.append(reliability_rows(trace.batch, one, ranks))
        return rows

    def _values(
        self, trace: Trace, results: Mapping[tuple[str, str], Scored], meter: Meter, smallest: bool
    ) -> list[pd.DataFrame]:
        values = []
        for name, metric in self.methods.metrics.items():
            with self._step("metric", name, trace), meter.of("metric", name):
                for explainer, method in self.methods.explainers.items():
                    one = results["explainer", explainer]
                    values.append(metric_table(trace, one, method, name, metric, smallest))
                    if isinstance(one.values, str) or (values[-1]["status"] != "failed").all():
                        continue
                    fails = partial(_metric_fails, name, metric, method, smallest)
                    self._split("metric", f"{name} of {explainer}", trace, fails)
                if isinstance(metric, HasChance) and metric.chance:
                    values.append(metric_table(trace, _equal(trace), _equal_scores, name, metric, smallest))
        return values

    def _untraced(self, number: int, examples: Sequence[Example], error: str) -> Part:
        """The tables of an example that the model cannot be run on: every method has failed."""
        batch = collate(examples, self.protocol.include, self.model.blank_ids)
        results = {key: Scored(key[1], row_kind(key[0], method), error) for key, method in self._named.items()}
        rows = [
            correlation_rows(batch, one, name, error, self.protocol.ranks)
            for (kind, _), one in results.items()
            for name in self.methods.references
            if (kind, one.name) != ("reference", name)
        ]
        return Part(
            number,
            untraced_table(batch, self.model),
            SCORES.empty(),
            _table(rows, ROW_COLUMNS),
            METRICS.empty()[METRIC_COLUMNS],
        )


def _equal_scores(trace: Trace) -> torch.Tensor:
    """Scores that tell nothing apart, `[batch, 1, token]`."""
    return torch.ones(len(trace.batch.examples), 1, trace.batch.input_ids.shape[1], dtype=torch.float64)


def _equal(trace: Trace) -> Scored:
    return Scored(CHANCE, "floor", _equal_scores(trace).numpy())


def _fails(name: str, method: Explainer | Reference, kind: str, smallest: bool, trace: Trace) -> bool:
    with Meter() as unused:
        return isinstance(scored(name, method, kind, trace, smallest, unused).values, str)


def _metric_fails(name: str, metric: Metric, explainer: Explainer, smallest: bool, trace: Trace) -> bool:
    with Meter() as unused:
        one = scored(name, explainer, "explainer", trace, smallest, unused)
    table = metric_table(trace, one, explainer, name, metric, smallest)
    return bool((table["status"] == "failed").any())


def _table(pieces: Sequence[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    if not pieces:
        return METRICS.empty()[columns]
    return pd.concat(pieces, ignore_index=True)[columns]


def _whole(number: int, pieces: Sequence[Part]) -> Part:
    """The pieces that one batch was divided into, as one part."""
    if len(pieces) == 1:
        return pieces[0]

    def joined(name: str) -> pd.DataFrame:
        tables = [table for piece in pieces if len(table := getattr(piece, name))]
        return pd.concat(tables, ignore_index=True) if tables else getattr(pieces[0], name)

    tables = {name: joined(name) for name in ("examples", "scores", "rows", "metrics")}
    return Part(number, **tables, costs=sum((piece.costs for piece in pieces), start=Costs()))
