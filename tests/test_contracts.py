"""The contract of every explainer and reference, checked for all existing yaml files."""

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn

import conf
from harness.contracts import HasUpperBound, Layerless, Model, SplitsHalves
from harness.tracing.batch import Batch, Example, Role, collate
from harness.tracing.run import Trace
from tests.conftest import BLANKS

CONF = Path(conf.__file__).parent
FILES = {
    (group, path.stem): path for group in ("explainers", "references") for path in sorted((CONF / group).glob("*.yaml"))
}
# settings that change a definition but have no file of their own: a file's name and the changes
VARIANTS = [
    ("explainers", variant)
    for variant in (
        "attention heads=max",
        "attention heads=min",
        "rollout read_out=mean",
        "generalized_attention_flow capacity=attention",
        "generalized_attention_flow capacity=gradient",
        "attention_attribution rule=left",
        "decompx value_bias=key",
        "hidden_token_attribution_by_head samples=8",
    )
]
TWO_SIDED = [("explainers", "diagonal")]  # for encoder-decoders alone
SERVED = [case for case in FILES if case not in TWO_SIDED]
CASES = [*SERVED, *VARIANTS]
METHODS = pytest.mark.parametrize(("group", "name"), CASES, ids=[f"{group}-{name}" for group, name in CASES])
IN_FILES = pytest.mark.parametrize(("group", "name"), SERVED, ids=[f"{group}-{name}" for group, name in SERVED])


pytestmark = [
    pytest.mark.filterwarnings("ignore::harness.tracing.notices.Inexact"),  # with few steps
    pytest.mark.filterwarnings("ignore:layer gradient × activation .* cancel in layer [23]"),  # nothing is left there
]


# the contracts do not depend on them, and the suite is faster
AT_MOST = {"steps": 5, "samples": 40}
FEW = {"shapley_value_sampling": {"samples": 4}, "hidden_token_attribution_sampled": {"samples": 8}}


def build(group: str, name: str):
    """The method that a yaml file names, with few steps and samples; `name` may be followed by changed settings."""
    name, *changes = name.split()
    config = OmegaConf.merge({"seed": 0}, OmegaConf.load(FILES[group, name]))[name]
    config.merge_with_dotlist(changes)
    for key, most in (AT_MOST | FEW.get(name, {})).items():
        if isinstance(config.get(key), int):
            config[key] = min(config[key], most)
    return instantiate(config)


def scored(scores: Tensor, trace: Trace, group: str) -> Tensor:
    """Where scores must be finite.

    A reference may mark the explained position as NaN; an explainer's whole row may be undefined.
    """
    if group == "explainers":
        undefined = scores.isnan() | ~trace.batch.ranked.view(len(scores), *[1] * (scores.dim() - 2), -1)
        return ~undefined.all(dim=-1, keepdim=True).expand_as(scores)
    places = torch.arange(scores.shape[1], device=scores.device)
    return ~(scores.isnan() & (places == trace.batch.position[:, None]))


def close(ours: Tensor, theirs: Tensor) -> bool:
    """Equal as far as two batches can agree in float32: scores can be small differences of logits of 8."""
    return torch.allclose(ours.double(), theirs.double(), rtol=1e-4, atol=5e-6, equal_nan=True)


@METHODS
def test_scores_have_the_shape_in_the_contract_and_are_finite(group: str, name: str, trace: Trace):
    method = build(group, name)
    scores = method(trace)
    batch, token = trace.batch.input_ids.shape
    layers, heads = trace.attention.shape[1:3]
    if group == "references":
        assert scores.shape == (batch, token)
    else:
        assert tuple(scores.shape) in {(batch, 1, token), (batch, layers, token), (batch, layers, heads, token)}
        assert (isinstance(method, Layerless) and method.layerless) == (scores.shape[1] == 1)
    ranked = trace.batch.ranked.view(batch, *[1] * (scores.dim() - 2), token).expand_as(scores)
    ranked = ranked & scored(scores, trace, group)
    assert torch.isfinite(scores[ranked]).all()
    assert scores[ranked].std() > 0
    if isinstance(method, HasUpperBound):
        assert method.saturated(trace).shape == scores.shape[:-1]
    for half in (method.halves(trace) if isinstance(method, SplitsHalves) else None) or ():
        assert half.shape == scores.shape


@METHODS
def test_padding_changes_nothing(group: str, name: str, model: Model, examples: list[Example]):
    method = build(group, name)
    short, long = examples[0], examples[-1]
    assert len(short.input_ids) < len(long.input_ids)
    alone = method(Trace(model.module, collate([short], "all", BLANKS)))
    padded = method(Trace(model.module, collate([short, long], "all", BLANKS)))
    assert close(alone[0], padded[0][..., : len(short.input_ids)])


@METHODS
def test_a_batch_of_two_equals_two_batches_of_one(group: str, name: str, model: Model, examples: list[Example]):
    method = build(group, name)
    pair = [examples[3], examples[6]]
    together = method(Trace(model.module, collate(pair, "all", BLANKS)))
    swapped = method(Trace(model.module, collate(pair[::-1], "all", BLANKS)))
    for index, example in enumerate(pair):
        n = len(example.input_ids)
        alone = method(Trace(model.module, collate([example], "all", BLANKS)))
        assert close(alone[0], together[index][..., :n])
        assert close(alone[0], swapped[1 - index][..., :n])


def test_scores_are_the_same_in_any_order_of_methods_and_under_any_grad_mode(model: Model, batch: Batch):
    """What one method computes first is cached in a form that all the others can use."""
    first, second = Trace(model.module, batch), Trace(model.module, batch)
    forward = {key: build(*key)(first) for key in CASES}
    with torch.no_grad():
        backward = {key: build(*key)(second) for key in reversed(CASES)}
    differ = [key for key in CASES if not torch.equal(forward[key].nan_to_num(-1), backward[key].nan_to_num(-1))]
    assert not differ


@METHODS
def test_the_model_and_the_trace_are_left_unchanged(group: str, name: str, trace: Trace):
    method = build(group, name)
    with left_as_it_was(trace):
        method(trace)


def hooks_of(module: nn.Module) -> list[list[object]]:
    """Every hook on any part of a model."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [list(getattr(part, kind).values()) for part in module.modules() for kind in kinds]


@contextmanager
def left_as_it_was(trace: Trace) -> Iterator[None]:
    """Check that the code inside leaves weights, gradients, modes, hooks, the trace and the random state unchanged."""
    module = trace.model
    before, hooks = copy.deepcopy(module.state_dict()), hooks_of(module)  # transformers keeps some of its own
    kept = {key: getattr(trace, key).clone() for key in ("logits", "attention", "hidden", "embedding")}
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    yield
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in module.parameters())
    assert not any(part.training for part in module.modules())
    assert hooks_of(module) == hooks
    assert all(torch.equal(getattr(trace, key), value) for key, value in kept.items())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]
    assert random.getstate() == states[2]


@METHODS
def test_the_repr_names_every_parameter(group: str, name: str):
    method = build(group, name)
    for field in fields(method):
        assert f"{field.name}=" in repr(method)
    with pytest.raises(AttributeError):
        method.a_new_attribute = 1  # frozen


@pytest.mark.parametrize(("group", "name"), list(FILES), ids=[f"{group}-{name}" for group, name in FILES])
def test_a_file_has_its_stem_as_its_only_key(group: str, name: str):
    text = OmegaConf.load(FILES[group, name])
    assert list(text) == [name]
    known = {field.name for field in fields(instantiate(OmegaConf.merge({"seed": 0}, text)[name]))}
    assert set(text[name]) - {"_target_"} <= known


def test_roles_distinguish_padding_from_text(trace: Trace):
    assert ((trace.batch.role == Role.PADDING) == (trace.batch.attention_mask == 0)).all()
    assert not (trace.batch.ranked & (trace.batch.attention_mask == 0)).any()


def refused(both: Trace, again: Trace, alone: Sequence[Trace], defined: Callable[[Tensor, Trace, str], Tensor]) -> dict:
    """Why methods refuse a model; of all others, check that padding, neighbours, order and grad mode change nothing.

    `again` is a second trace of the same batch as `both`, and `alone` traces of each of its examples. `defined` says
    where scores of a group must be finite.
    """
    refusals, first = {}, {}
    for case in CASES:
        method = build(*case)
        try:
            getattr(method, "check_model", lambda module: None)(both.model)
        except ValueError as error:
            refusals[case] = str(error)
            continue
        with left_as_it_was(both):
            first[case] = method(both)
        for index, trace in enumerate(alone):
            scores = method(trace)
            n = len(trace.batch.examples[0].input_ids)
            assert close(scores[0], first[case][index, ..., :n]), case
            assert torch.isfinite(scores[defined(scores, trace, case[0])]).all(), case
            assert case[0] == "references" or scores.shape[1] in (1, trace.layers), case
    with torch.no_grad():
        for case in reversed(first):
            assert close(build(*case)(again), first[case]), case
    return refusals
