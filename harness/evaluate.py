"""The one loop: examples to batches to traces to scores to rows."""

import gc
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from harness import check
from harness.batch import INCLUDE, Batch, Example, collate, pack
from harness.contracts import Explainer, Model, Reference, Task
from harness.correlation import MINIMUM, RANKS, spearman_by_layer
from harness.trace import OUTPUTS, TARGETS, Trace

SAME = 1e-5  # relative; scores nearer than this to the reference's, up to one factor, are the reference's own


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


@dataclass(frozen=True)
class Part:
    """What one batch gives: tidy tables, one row per example, per scores, and per correlation."""

    number: int
    examples: pd.DataFrame
    scores: pd.DataFrame
    rows: pd.DataFrame
    seconds: Mapping[str, float] = field(default_factory=dict)


def evaluate(
    examples: Sequence[Example],
    model: Model,
    explainers: Mapping[str, Explainer],
    references: Mapping[str, Reference],
    protocol: Protocol,
    classes: Sequence[str] = (),
    device: torch.device | str = "cpu",
    done: Collection[int] = (),
) -> Iterator[Part]:
    """Yield a `Part` per batch but those `done`; the batches hang on the examples and the token budget alone.

    A method that fails gives rows with status `failed` and the error; the rest go on. Where the device's memory does
    not hold a batch, it is cut up and the budget halved for all that follows.
    """
    batches = _Batches(model, explainers, references, protocol, classes, device)
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
    protocol: Protocol
    classes: Sequence[str]
    device: torch.device | str

    def part(self, number: int, examples: Sequence[Example], budget: int, smallest: bool) -> Part:
        """One batch's tables.

        torch.OutOfMemoryError where the device does not hold it; a method that does not even fit the `smallest` batch
        is a failed cell.
        """
        protocol = self.protocol
        target = self.classes.index(protocol.target) if protocol.target in self.classes else protocol.target
        seconds: dict[str, float] = defaultdict(float)
        start = time.perf_counter()
        batch = collate(examples, protocol.include, self.model.blank_ids, self.device)
        trace = Trace(self.model.module, batch, target, protocol.output, budget)
        seconds["trace"] = time.perf_counter() - start
        scored: dict[tuple[str, str], Tensor | str] = {}
        for kind, methods in (("reference", self.references), ("explainer", self.explainers)):
            for name, method in methods.items():
                start = time.perf_counter()
                try:
                    scored[kind, name] = _checked(method(trace), kind, trace).double().cpu()
                except Exception as error:  # a cell that fails is a row that says so
                    if isinstance(error, torch.OutOfMemoryError) and not smallest:
                        raise
                    scored[kind, name] = f"{type(error).__name__}: {error}"
                seconds[f"{kind} {name}"] = time.perf_counter() - start
        start = time.perf_counter()
        rows = [
            _rows(batch, explainer, scored["explainer", explainer], reference, scored["reference", reference], protocol)
            for reference in self.references
            for explainer in self.explainers
        ]
        part_examples, scores = _example_table(trace, self.model), _score_table(trace, scored)
        seconds["correlation"] = time.perf_counter() - start
        return Part(number, part_examples, scores, pd.concat(rows, ignore_index=True), dict(seconds))


def _joined(number: int, pieces: Sequence[Part]) -> Part:
    """The pieces that one batch was cut into, as one part."""
    if len(pieces) == 1:
        return pieces[0]
    seconds: dict[str, float] = defaultdict(float)
    for piece in pieces:
        for name, value in piece.seconds.items():
            seconds[name] += value
    return Part(
        number,
        pd.concat([piece.examples for piece in pieces], ignore_index=True),
        pd.concat([piece.scores for piece in pieces], ignore_index=True),
        pd.concat([piece.rows for piece in pieces], ignore_index=True),
        dict(seconds),
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


def _rows(
    batch: Batch,
    explainer: str,
    scores: Tensor | str,
    reference: str,
    values: Tensor | str,
    protocol: Protocol,
) -> pd.DataFrame:
    """One row per example, layer and head."""
    names = [example.id for example in batch.examples]
    failure = next((side for side in (scores, values) if isinstance(side, str)), None)
    if failure is not None or isinstance(scores, str) or isinstance(values, str):
        table = pd.DataFrame({"example": names, "layer": 0, "head": 0, "rho": np.nan, "n_tokens": 0})
        return table.assign(explainer=explainer, reference=reference, status="failed", error=failure, same=False)
    ranked = batch.ranked.cpu() & ~values.isnan()  # a reference's NaN takes its token out of the ranking
    rho = spearman_by_layer(scores, values, ranked, protocol.ranks)  # [batch, layer(, head)]
    same = _same(scores, values, ranked)
    status = _status(scores, values, ranked, rho)
    by_head = rho.dim() == 3
    count, layers = rho.shape[:2]
    heads = rho.shape[2] if by_head else 1
    with_layers = layers > 1 or by_head
    index = np.arange(count * layers * heads)
    return pd.DataFrame(
        {
            "example": np.asarray(names, dtype=object)[index // (layers * heads)],
            "layer": index // heads % layers + 1 if with_layers else 0,
            "head": index % heads + 1 if by_head else 0,
            "rho": rho.flatten().numpy(),
            "n_tokens": ranked.sum(dim=1).numpy()[index // (layers * heads)],
            "explainer": explainer,
            "reference": reference,
            "status": status.flatten(),
            "error": None,
            "same": same.flatten().numpy(),
        }
    )


def _status(scores: Tensor, values: Tensor, ranked: Tensor, rho: Tensor) -> np.ndarray:
    """Why a correlation is undefined, first reason first; `ok` where it is not."""
    shape = [len(ranked), *[1] * (scores.dim() - 2), ranked.shape[1]]
    wide, values = ranked.view(shape), values.view(shape)

    def constant(side: Tensor) -> Tensor:
        low = side.masked_fill(~wide, torch.inf).amin(dim=-1)
        return low == side.masked_fill(~wide, -torch.inf).amax(dim=-1)

    def unfinite(side: Tensor) -> Tensor:
        return (~torch.isfinite(side) & wide).any(dim=-1)

    status = np.full(rho.shape, "ok", dtype=object)
    reasons = [
        ("constant reference", constant(values)),
        ("constant scores", constant(scores)),
        ("reference not finite", unfinite(values)),
        ("scores not finite", unfinite(scores)),
        (f"fewer than {MINIMUM} tokens", wide.sum(dim=-1) < MINIMUM),
    ]
    for reason, where in reasons:
        status[(where.expand(rho.shape) & rho.isnan()).numpy()] = reason
    return status


def _same(scores: Tensor, values: Tensor, ranked: Tensor) -> Tensor:
    """Whether the explainer's scores are the reference's own up to a positive factor, `[batch, layer(, head)]`."""
    shape = [len(ranked), *[1] * (scores.dim() - 2), ranked.shape[1]]
    ranked, values = ranked.view(shape), values.view(shape)

    def scaled(side: Tensor) -> Tensor:
        side = side.masked_fill(~ranked, 0.0)
        return side / side.abs().amax(dim=-1, keepdim=True)

    return ((scaled(scores) - scaled(values)).abs() <= SAME).all(dim=-1)


def _example_table(trace: Trace, model: Model) -> pd.DataFrame:
    """What is needed of each example to redo tables and pictures without the model."""
    batch = trace.batch
    probability = trace.logits.double().softmax(dim=-1).cpu()
    # How much of a gradient is left when it is summed over hidden dimensions: rounding noise in a pre-LN model
    gradient = trace.gradient.double()
    left = (gradient.sum(dim=-1).abs() / gradient.norm(dim=-1)).cpu()
    columns = defaultdict(list)
    for index, example in enumerate(batch.examples):
        n = len(example.input_ids)
        columns["example"].append(example.id)
        columns["tokens"].append(model.tokens.convert_ids_to_tokens(list(example.input_ids)))
        columns["ranked"].append(batch.ranked[index, :n].tolist())
        columns["position"].append(example.position)
        columns["gold"].append(example.gold)
        columns["predicted"].append(int(trace.predicted[index]))
        columns["logits"].append(trace.logits[index].double().tolist())
        columns["probabilities"].append(probability[index].tolist())
        columns["gradient_sum_over_norm"].append(left[index, :n].nanmedian().item())
        columns["planted"].append([{"name": key, "indices": list(value)} for key, value in example.planted.items()])
        columns["points_to"].append([{"class": key, "name": value} for key, value in example.points_to.items()])
        columns["tags"].append([{"name": key, "value": str(value)} for key, value in example.tags.items()])
    return pd.DataFrame(columns)


def _score_table(trace: Trace, scored: Mapping[tuple[str, str], Tensor | str]) -> pd.DataFrame:
    """One row per example, method, layer and head; scores of the example's own tokens."""
    columns = defaultdict(list)
    lengths = trace.batch.length.tolist()
    for (kind, name), scores in scored.items():
        if isinstance(scores, str):
            continue
        layered = scores if scores.dim() > 2 else scores[:, None]
        by_head = layered.dim() == 4
        flat = layered.flatten(1, -2).numpy()  # [batch, layer * head, token]
        heads = layered.shape[2] if by_head else 1
        for index, example in enumerate(trace.batch.examples):
            for cell in range(flat.shape[1]):
                columns["example"].append(example.id)
                columns["kind"].append(kind)
                columns["method"].append(name)
                columns["layer"].append(cell // heads + 1 if layered.shape[1] > 1 or by_head else 0)
                columns["head"].append(cell % heads + 1 if by_head else 0)
                columns["scores"].append(flat[index, cell, : lengths[index]])
    return pd.DataFrame(columns)
