"""The evaluation loop: examples to batches to traces to scores to rows."""

import gc
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch

from harness.contracts import Explainer, Metric, Model, Reference
from harness.measure.methods import Methods
from harness.measure.protocol import EvaluationProtocol
from harness.measure.rows import Scored, correlation_rows, example_table, reliability_rows, score_table
from harness.measure.scored import metric_table, scored
from harness.tables import METRICS, ROWS, Costs, Part
from harness.tracing.batch import Example, pack
from harness.tracing.meter import Meter

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
    working: Callable[[str], None] = lambda _method: None,
) -> Iterator[Part]:
    """Yield a `Part` per batch except those `done`; the batches depend on the examples and the token budget alone.

    Rows compare every explainer and every other reference (which shows how far two references agree) with each
    reference, and the two halves of every method that draws random numbers with each other.

    A method that raises an error gives rows with status `failed` and the error; the others continue. Where the device's
    memory does not hold a batch, the batch is divided and the token budget halved from then on. `working` is called
    with each method's name before its work on a batch, which may take minutes.
    """
    batches = _Batches(model, Methods(explainers, references, metrics or {}), protocol, classes, device, working)
    groups = pack([len(example.input_ids) for example in examples], protocol.token_budget)
    budget = protocol.token_budget
    for number, group in enumerate(groups):
        if number in done:
            continue
        waiting, pieces = [[examples[index] for index in group]], []
        while waiting:
            chosen = waiting.pop(0)
            smallest = len(chosen) == 1 and budget <= len(chosen[0].input_ids)
            try:
                pieces.append(batches.part(number, chosen, budget, smallest))
                continue
            except torch.OutOfMemoryError:
                if smallest:
                    raise
            gc.collect()  # what the failed attempt still holds
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            budget = max(1, budget // 2)
            smaller = pack([len(example.input_ids) for example in chosen], budget)
            waiting = [[chosen[index] for index in part] for part in smaller] + waiting
        yield _whole(number, pieces)


@dataclass(frozen=True)
class _Batches:
    """Everything about an evaluation except the examples."""

    model: Model
    methods: Methods
    protocol: EvaluationProtocol
    classes: Sequence[str]
    device: torch.device | str
    working: Callable[[str], None]

    def part(self, number: int, examples: Sequence[Example], budget: int, smallest: bool) -> Part:
        """One batch's tables.

        torch.OutOfMemoryError where the device does not hold it; a method that does not even fit the `smallest` batch
        is a failed cell.
        """
        methods, ranks = self.methods, self.protocol.ranks
        with Meter() as meter:
            with meter.of("phase", "trace"):
                trace = self.protocol.trace(self.model, examples, self.classes, self.device, budget)
            results: dict[tuple[str, str], Scored] = {}
            for kind, named in (("explainer", methods.explainers), ("reference", methods.references)):
                for name, method in named.items():
                    self.working(name)
                    results[kind, name] = scored(name, method, kind, trace, smallest, meter)
            with meter.of("phase", "correlation"):
                rows = []
                for (kind, _), one in results.items():
                    for name in methods.references:
                        if (kind, one.name) != ("reference", name):
                            values = results["reference", name].values
                            rows.append(correlation_rows(trace.batch, one, name, values, ranks))
                    if one.halves is not None:
                        rows.append(reliability_rows(trace.batch, one, ranks))
                tables = example_table(trace, self.model), score_table(trace, results)
            values = []
            for name, metric in methods.metrics.items():
                self.working(name)
                with meter.of("metric", name):
                    for explainer, method in methods.explainers.items():
                        one = results["explainer", explainer]
                        values.append(metric_table(trace, one, method, name, metric, smallest))
        return Part(
            number,
            *tables,
            rows=_table(rows, ROW_COLUMNS),
            metrics=_table(values, METRIC_COLUMNS),
            costs=Costs(meter.costs),
        )


def _table(pieces: Sequence[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    if not pieces:
        return METRICS.empty()[columns]
    return pd.concat(pieces, ignore_index=True)[columns]


def _whole(number: int, pieces: Sequence[Part]) -> Part:
    """The pieces that one batch was divided into, as one part."""
    if len(pieces) == 1:
        return pieces[0]
    return Part(
        number,
        pd.concat([piece.examples for piece in pieces], ignore_index=True),
        pd.concat([piece.scores for piece in pieces], ignore_index=True),
        pd.concat([piece.rows for piece in pieces], ignore_index=True),
        pd.concat([piece.metrics for piece in pieces], ignore_index=True),
        sum((piece.costs for piece in pieces), start=Costs()),
    )
