from itertools import permutations

import pytest
import torch
from torch import Tensor

from harness.contracts import Model
from harness.tables import Cost
from harness.tracing import meter as clocked
from harness.tracing.batch import Batch
from harness.tracing.meter import Meter
from harness.tracing.run import Trace
from methods.explainers.attention import Attention
from methods.explainers.generic_relevance import GenericRelevance
from methods.explainers.integrated_gradients import IntegratedGradients
from methods.explainers.randomised_weights import RandomisedWeights
from methods.explainers.saliency import Saliency
from methods.references.blank_out import BlankOut
from methods.references.input_gradient import InputGradient
from tests.real_model import MASKED, real_model, real_trace


def passes(cost: Cost) -> tuple[int, int]:
    return cost.forward, cost.backward


@pytest.mark.filterwarnings("ignore::harness.tracing.notices.Inexact")  # few steps, so that they can be counted
def test_passes_are_those_that_a_method_is_known_to_need(model: Model, batch: Batch):
    words = int(batch.attention_mask.sum()) - 2 * len(batch.examples)  # all except CLS and the end token
    methods = {
        "attention": (Attention(), 0, 0),
        "saliency": (Saliency(), 1, 1),
        "integrated": (IntegratedGradients(steps=7), None, 7),
        "blanked": (BlankOut(), None, 0),
        "randomised": (RandomisedWeights(of=Attention()), 1, 0),
    }
    with Meter() as meter:
        with meter.of("phase", "trace"):
            trace = Trace(model.module, batch)
        for name, (method, _, _) in methods.items():
            with meter.of("phase", name, alone=True):
                method(trace)
    count = len(batch.examples)
    assert passes(meter.costs["phase", "trace"]) == (count, 0)
    for name, (_, forward, backward) in methods.items():
        assert meter.costs["phase", name].backward == backward * count
        assert forward is None or meter.costs["phase", name].forward == forward * count
    assert meter.costs["phase", "integrated"].forward >= 7 * count
    assert words <= meter.costs["phase", "blanked"].forward <= words + 2 * count
    assert all(cost.seconds > 0 for cost in meter.costs.values())


@pytest.mark.parametrize("turned", [False, True])
def test_work_shared_by_two_methods_is_charged_to_both_in_any_order(model: Model, batch: Batch, turned: bool):
    methods = [InputGradient(), InputGradient(reduce="l1"), GenericRelevance(), GenericRelevance(output="logit")]
    with Meter() as meter:
        trace = Trace(model.module, batch)
        for number, method in list(enumerate(methods))[:: -1 if turned else 1]:
            with meter.of("phase", str(number), alone=True):
                method(trace)
                method(trace)  # it only pays once
    assert [passes(meter.costs["phase", str(number)]) for number in range(4)] == [(0, len(batch.examples))] * 4
    assert meter.costs["phase", "1"].seconds > 0


@pytest.mark.parametrize("order", list(permutations(["inner", "outer", "both", "turned"])))
def test_a_part_built_on_another_is_charged_for_both_in_any_order(
    model: Model, batch: Batch, order: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    made, now = [], [0.0]
    monkeypatch.setattr(clocked.time, "perf_counter", lambda: now[0])

    def inner(trace: Trace) -> Tensor:
        now[0] += 1
        return trace.gradient

    def outer(trace: Trace) -> Tensor:
        made.append(trace)
        now[0] += 10
        return trace.once(inner) + 1

    asks = {
        "inner": lambda: trace.once(inner),
        "outer": lambda: trace.once(outer),
        "both": lambda: (trace.once(outer), trace.once(inner)),
        "turned": lambda: (trace.once(inner), trace.once(outer)),
    }
    with Meter() as meter:
        trace = Trace(model.module, batch)
        for name in order:
            with meter.of("phase", name, alone=True):
                asks[name]()
    assert made == [trace]
    for name in order:
        assert passes(meter.costs["phase", name]) == (0, len(batch.examples))
        assert meter.costs["phase", name].seconds == (1 if name == "inner" else 11)


def test_cached_work_is_redone_for_another_trace_or_after_it_is_forgotten(model: Model, batch: Batch):
    made = []
    trace = Trace(model.module, batch)

    def part(trace: Trace) -> Tensor:
        made.append(trace)
        return trace.gradient

    assert trace.once(part) is trace.once(part)
    other = trace.by_logit
    assert other.once(part) is not trace.once(part)
    assert made == [trace, other]
    trace.forget()
    trace.once(part)
    assert made == [trace, other, trace]


def test_a_part_that_fails_is_not_cached(model: Model, batch: Batch):
    def part(_trace: Trace) -> Tensor:
        raise ValueError("no such part")

    with Meter() as meter:
        trace = Trace(model.module, batch)
        for _ in range(2):
            with pytest.raises(ValueError, match="no such part"), meter.of("phase", "one", alone=True):
                trace.once(part)
        with meter.of("phase", "next", alone=True):
            trace.gradient  # noqa: B018
    assert passes(meter.costs["phase", "next"]) == (0, len(batch.examples))


def test_nothing_is_counted_outside_and_no_hook_remains(model: Model, batch: Batch):
    hooks = torch.nn.modules.module._global_forward_hooks
    with Meter() as meter, meter.of("phase", "nothing"):
        assert len(hooks) == 1
    assert not hooks
    Trace(model.module, batch).gradient  # noqa: B018
    assert passes(meter.costs["phase", "nothing"]) == (0, 0)


def test_costs_add_up():
    assert Cost(1.5, 2, 1) + Cost(0.5, 3, 0) - Cost(1.0, 1, 1) == Cost(1.0, 4, 0)


def test_a_wrapped_model_counts_once():
    real_model(MASKED)  # loaded before anything is counted
    with Meter() as meter:
        with meter.of("phase", "trace"):
            trace = real_trace(MASKED)
        with meter.of("phase", "gradient", alone=True):
            trace.gradient  # noqa: B018
    count = len(trace.batch.examples)
    assert passes(meter.costs["phase", "trace"]) == (count, 0)
    assert passes(meter.costs["phase", "gradient"]) == (0, count)
