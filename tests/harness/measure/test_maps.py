from copy import deepcopy
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pytest
import torch
from transformers import BertForSequenceClassification

from harness.contracts import Model, Tokens
from harness.measure.maps import maps
from harness.measure.protocol import EvaluationProtocol
from harness.tables import MAPS
from harness.tracing.batch import Example
from harness.tracing.run import Trace
from methods.explainers.attention import Attention
from methods.explainers.attention_x_gradient import AttentionXGradient
from methods.explainers.decompx import DecompX
from methods.explainers.hidden_token_attribution import HiddenTokenAttribution
from methods.explainers.randomised_weights import RandomisedWeights
from methods.explainers.rollout import Rollout
from methods.explainers.saliency import Saliency
from tests.architectures import blanks, tiny, two_sided
from tests.architectures import example as short


@dataclass(frozen=True)
class Broken:
    """An explainer that fails."""

    def __call__(self, trace: Trace) -> torch.Tensor:
        raise RuntimeError("boom")


def test_maps_are_the_runs_own_scores_for_every_position(model: Model, examples: list[Example]):
    protocol = EvaluationProtocol(target="plural", output="logit", include="all")
    classes, example = ("singular", "plural"), examples[2]
    methods = {"rollout": Rollout(), "gradient": AttentionXGradient(output="run"), "broken": Broken()}
    table, failed = maps([example], model, methods, protocol, classes)
    assert failed == {"broken": "RuntimeError: boom"}
    trace = protocol.trace(model, [example], classes)
    assert trace.target.tolist() == [1]
    n, layers = len(example.input_ids), trace.attention.shape[1]
    assert len(table) == 2 * layers * n
    for name in ("rollout", "gradient"):
        own = table[(table["method"] == name) & (table["query"] == example.position)]
        for layer, row in zip(own["layer"], own["scores"], strict=True):
            assert torch.allclose(torch.from_numpy(row), methods[name](trace)[0, layer - 1].double())
    rows = table[table["method"] == "rollout"]["scores"]
    assert all(abs(row.sum() - 1) < 1e-5 for row in rows)


def test_every_row_is_what_the_explainer_gives_at_that_position(model: Model, examples: list[Example]):
    example = examples[2]
    methods = {"rollout": Rollout(), "jacobian": HiddenTokenAttribution()}  # the second caches what it computed
    table, _ = maps([example], model, methods, EvaluationProtocol())
    for query in range(len(example.input_ids)):
        trace = EvaluationProtocol().trace(model, [replace(example, position=query)])
        for name, method in methods.items():
            rows = table[(table["method"] == name) & (table["query"] == query)].sort_values("layer")["scores"]
            assert torch.allclose(torch.from_numpy(np.stack(rows.tolist())), method(trace)[0].double(), atol=1e-6)


def test_rows_of_an_encoder_decoders_source_are_those_of_its_encoder():
    kind = "marian"  # with two layers of the encoder and three of the decoder
    example, module = two_sided(4, 3), tiny(kind)
    model = Model(module, cast("Tokens", None), "tiny")
    protocol = EvaluationProtocol(include="all", removal="ignore")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "blank_ids", property(lambda _model: blanks(kind)))
        floor = RandomisedWeights()
        methods = {"attention": Attention(), "rollout": Rollout(), "floor": floor}
        table, failed = maps([example], model, methods, protocol)
        trace = protocol.trace(model, [example])
    assert not failed
    size = 5  # the source's words and its end
    attention = trace.attention[0].mean(dim=1).double()  # [step, query, key]
    steps = {step.name: number for number, step in enumerate(trace.steps)}
    rolled = torch.eye(len(example.input_ids), dtype=torch.float64)
    for layer in (1, 2):
        weights = attention[steps[f"encoder {layer}"]]
        rolled[:size] = (weights / 2 @ rolled + rolled / 2)[:size]
        drawn = trace.on(floor.randomised(module)).attention[0, steps[f"encoder {layer}"]].mean(dim=0).double()
        for method, expected in (("attention", weights), ("rollout", rolled), ("floor", drawn)):
            own = table[(table["method"] == method) & (table["layer"] == layer) & (table["query"] < size)]
            assert np.allclose(np.stack(own.sort_values("query")["scores"].tolist()), expected[:size], atol=1e-6)
    own = table[(table["method"] == "attention") & (table["query"] == size + 1)]
    assert own["layer"].tolist() == [1, 2, 3]
    expected = attention[steps["self-attention 3"]] + attention[steps["cross-attention 3"]]
    assert np.allclose(own["scores"].iloc[2], expected[size + 1], atol=1e-6)


def test_single_heads_have_rows_of_their_own(model: Model, examples: list[Example]):
    example = examples[2]
    methods = {"mean": Attention(), "by_head": Attention(heads="each")}
    table, failed = maps([example], model, methods, EvaluationProtocol())
    assert not failed
    attention = EvaluationProtocol().trace(model, [example]).attention[0]  # [layer, head, query, key]
    layers, heads, n = attention.shape[:3]
    assert set(table.loc[table["method"] == "mean", "head"]) == {0}
    own = table[table["method"] == "by_head"].sort_values(["layer", "head", "query"])
    assert own[["layer", "head", "query"]].to_numpy().tolist() == [
        [layer, head, query] for layer in range(1, layers + 1) for head in range(1, heads + 1) for query in range(n)
    ]
    assert np.allclose(np.stack(own["scores"].tolist()).reshape(layers, heads, n, n), attention, atol=1e-6)


def test_heads_of_an_encoder_decoders_source_are_those_of_its_encoder():
    kind = "marian"
    example, model = two_sided(4, 3), Model(tiny(kind), cast("Tokens", None), "tiny")
    protocol = EvaluationProtocol(include="all", removal="ignore")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "blank_ids", property(lambda _model: blanks(kind)))
        table, failed = maps([example], model, {"by_head": Attention(heads="each")}, protocol)
        trace = protocol.trace(model, [example])
    assert not failed
    steps = {step.name: number for number, step in enumerate(trace.steps)}
    of_source = table[(table["query"] == 1) & (table["layer"] == 2)].sort_values("head")["scores"].tolist()
    assert np.allclose(np.stack(of_source), trace.attention[0, steps["encoder 2"], :, 1], atol=1e-6)
    of_prefix = table[(table["query"] == 6) & (table["layer"] == 3)].sort_values("head")["scores"].tolist()
    both = [trace.attention[0, steps[name], :, 6] for name in ("self-attention 3", "cross-attention 3")]
    assert np.allclose(np.stack(of_prefix), sum(both), atol=1e-6)


def test_explainers_without_layers_have_no_maps_and_are_not_asked(model: Model, examples: list[Example]):
    methods = {
        "saliency": Saliency(),
        "decompx": DecompX(at="classifier"),
    }  # its parts are of the explained position's logits
    table, failed = maps([examples[0]], model, methods, EvaluationProtocol())
    assert list(table.columns) == list(MAPS.columns)
    assert len(table) == 0
    assert not failed


def test_a_model_of_one_layer_has_maps():
    module = deepcopy(tiny("bert"))
    encoder = cast("BertForSequenceClassification", module).bert.encoder
    encoder.layer = encoder.layer[:1]
    module.config.num_hidden_layers = 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "blank_ids", property(lambda _model: blanks("bert")))
        model = Model(module, cast("Tokens", None), "tiny")
        table, failed = maps([short(6)], model, {"attention": Attention()}, EvaluationProtocol(include="all"))
    assert not failed
    assert len(table) == len(short(6).input_ids)
