"""The one loop: examples to batches to traces to scores to rows."""

import gc
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from harness import check
from harness.contracts import Explainer, Metric, Model, Reference, Task
from harness.measure.rows import Scored, correlation_rows, example_table, failed, reliability_rows, score_table, tidy
from harness.statistics.correlation import RANKS
from harness.tracing.batch import INCLUDE, Example, collate, pack
from harness.tracing.meter import Cost, Meter
from harness.tracing.run import OUTPUTS, TARGETS, Trace

METRIC_COLUMNS = ["example", "kind", "explainer", "metric", "layer", "head", "value", "higher", "status", "error"]


@dataclass(frozen=True)
class Protocol:
    """What is explained and how it is ranked, for all methods of a run alike.

    Args:
        target: the class that is explained: `predicted`, `gold`, or the name of one of the task's classes.
        output: its scalar: `probability`, `logit`, `difference` or `logit_difference`; `task` for the task's own.
        include: the ranked tokens: `all`, `no_cls` or `content`.
        ranks: `average` or `dense`.
        token_budget: tokens in one run of the model, padding counted; it changes no number.
    """

    target: str = "predicted"
    output: str = "difference"
    include: str = "content"
    ranks: str = "average"
    token_budget: int = 2048

    def __post_init__(self):
        check.choice("output", self.output, (*OUTPUTS, "task"))
        check.choice("include", self.include, INCLUDE)
        check.choice("ranks", self.ranks, RANKS)
        check.count("token_budget", self.token_budget)

    def of(self, task: Task) -> "Protocol":
        """With the task's own output where none is chosen; ValueError where it has no such class as `target`."""
        check.choice("target", self.target, [*TARGETS, *task.classes])
        return replace(self, output=task.output) if self.output == "task" else self

    def trace(
        self,
        model: Model,
        examples: Sequence[Example],
        classes: Sequence[str] = (),
        device: torch.device | str = "cpu",
        budget: int | None = None,
    ) -> Trace:
        """The examples in one batch, explained as this protocol says; `budget` in the place of its own."""
        batch = collate(examples, self.include, model.blank_ids, device)
        target = classes.index(self.target) if self.target in classes else self.target
        return Trace(model.module, batch, target, self.output, self.token_budget if budget is None else budget)


@dataclass(frozen=True)
class Part:
    """What one batch gives: tidy tables, one row per example, per scores, per metric's value, and per correlation."""

    number: int
    examples: pd.DataFrame
    scores: pd.DataFrame
    rows: pd.DataFrame
    metrics: pd.DataFrame
    costs: Mapping[str, Cost] = field(default_factory=dict)


def evaluate(
    examples: Sequence[Example],
    model: Model,
    explainers: Mapping[str, Explainer],
    references: Mapping[str, Reference],
    protocol: Protocol,
    metrics: Mapping[str, Metric] | None = None,
    classes: Sequence[str] = (),
    device: torch.device | str = "cpu",
    done: Collection[int] = (),
    working: Callable[[str], None] = lambda _method: None,
) -> Iterator[Part]:
    """Yield a `Part` per batch but those `done`; the batches hang on the examples and the token budget alone.

    Rows hold every explainer and every other reference (the yardstick: how far two honest views agree) against each
    reference, and the two halves of every method that draws by chance against each other.

    A method that fails gives rows with status `failed` and the error; the rest go on. Where the device's memory does
    not hold a batch, it is cut up and the budget halved for all that follows. `working` is called with each method's
    name before its work on a batch, which may take minutes.
    """
    batches = _Batches(model, explainers, references, metrics or {}, protocol, classes, device, working)
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
        yield _joined(number, pieces)


@dataclass(frozen=True)
class _Batches:
    """Everything of an evaluation but the examples."""

    model: Model
    explainers: Mapping[str, Explainer]
    references: Mapping[str, Reference]
    metrics: Mapping[str, Metric]
    protocol: Protocol
    classes: Sequence[str]
    device: torch.device | str
    working: Callable[[str], None]

    def part(self, number: int, examples: Sequence[Example], budget: int, smallest: bool) -> Part:
        """One batch's tables.

        torch.OutOfMemoryError where the device does not hold it; a method that does not even fit the `smallest` batch
        is a failed cell.
        """
        protocol, ranks = self.protocol, self.protocol.ranks
        with Meter() as meter:
            with meter.of("trace"):
                trace = protocol.trace(self.model, examples, self.classes, self.device, budget)
                batch = trace.batch
            scored: dict[tuple[str, str], Scored] = {}
            for kind, methods in (("explainer", self.explainers), ("reference", self.references)):
                for name, method in methods.items():
                    self.working(name)
                    scored[kind, name] = _scored(name, method, kind, trace, smallest, meter)
            with meter.of("correlation"):
                rows = []
                for one in scored.values():
                    against = [name for name in self.references if (one.kind, one.name) != ("reference", name)]
                    rows += [
                        correlation_rows(batch, one, name, scored["reference", name].values, ranks) for name in against
                    ]
                    if one.halves is not None:
                        rows.append(reliability_rows(batch, one, ranks))
                tables = example_table(trace, self.model), score_table(trace, scored)
            values = []
            for name, metric in self.metrics.items():
                self.working(name)
                with meter.of(f"metric {name}"):
                    for explainer, method in self.explainers.items():
                        values.append(_values(trace, scored["explainer", explainer], method, name, metric, smallest))
        measured = pd.concat(values, ignore_index=True) if values else pd.DataFrame(columns=METRIC_COLUMNS)
        return Part(number, *tables, pd.concat(rows, ignore_index=True), measured, dict(meter.costs))


def _scored(name: str, method: Any, kind: str, trace: Trace, smallest: bool, meter: Meter) -> Scored:
    """The method's scores; a cell that fails is a row that says so."""
    said = "floor" if kind == "explainer" and getattr(method, "floor", False) else kind
    try:
        with meter.of(f"{kind} {name}", alone=True):
            values = _checked(method(trace), kind, trace).double().cpu()
        halves = saturated = None
        with meter.of("reliability"):
            if hasattr(method, "halves"):
                first, second = (_checked(half, kind, trace).double().cpu() for half in method.halves(trace))
                halves = first, second
            if hasattr(method, "saturated"):
                saturated = method.saturated(trace).double().cpu()
                if saturated.shape != values.shape[:-1]:
                    raise ValueError(
                        f"saturated is of shape {tuple(saturated.shape)}, expected {tuple(values.shape[:-1])}"
                    )
    except Exception as error:
        if isinstance(error, torch.OutOfMemoryError) and not smallest:
            raise
        return Scored(name, said, f"{type(error).__name__}: {error}")
    return Scored(name, said, values, halves, saturated)


def _joined(number: int, pieces: Sequence[Part]) -> Part:
    """The pieces that one batch was cut into, as one part."""
    if len(pieces) == 1:
        return pieces[0]
    costs: dict[str, Cost] = defaultdict(Cost)
    for piece in pieces:
        for name, cost in piece.costs.items():
            costs[name] += cost
    return Part(
        number,
        pd.concat([piece.examples for piece in pieces], ignore_index=True),
        pd.concat([piece.scores for piece in pieces], ignore_index=True),
        pd.concat([piece.rows for piece in pieces], ignore_index=True),
        pd.concat([piece.metrics for piece in pieces], ignore_index=True),
        dict(costs),
    )


def _checked(scores: Tensor, kind: str, trace: Trace) -> Tensor:
    batch, token = trace.batch.input_ids.shape
    layers, heads = trace.attention.shape[1:3]
    shapes = {
        "reference": [(batch, token)],
        "explainer": [(batch, 1, token), (batch, layers, token), (batch, layers, heads, token)],
    }[kind]
    if tuple(scores.shape) not in shapes:
        expected = " or ".join(map(str, shapes))
        raise ValueError(f"the {kind} returned scores of shape {tuple(scores.shape)}, expected {expected}")
    return scores.detach()


def _values(trace: Trace, one: Scored, explainer: Explainer, name: str, metric: Metric, smallest: bool) -> pd.DataFrame:
    """A metric's value of an explainer's scores, a row per example, layer and head."""
    if isinstance(one.values, str):
        table = failed(trace.batch, one, one.values).assign(value=np.nan)
    else:
        scores = one.layered()
        asked = (explainer,) if getattr(metric, "asks_explainer", False) else ()
        try:
            value = metric(trace, scores.flatten(1, -2).to(trace.logits.device), *asked).double().cpu()
            if value.shape != scores.flatten(1, -2).shape[:2]:
                raise ValueError(
                    f"the metric returned values of shape {tuple(value.shape)}, expected one for each example and "
                    f"layer, {tuple(scores.flatten(1, -2).shape[:2])}"
                )
            table = tidy(trace.batch, one, scores, {"value": value.numpy()})
            table = table.assign(status=np.where(table["value"].isna(), "undefined", "ok"), error=None)
        except Exception as error:
            if isinstance(error, torch.OutOfMemoryError) and not smallest:
                raise
            table = failed(trace.batch, one, f"{type(error).__name__}: {error}").assign(value=np.nan)
    return table.assign(metric=name, higher=bool(metric.higher_is_better)).reindex(columns=METRIC_COLUMNS)
