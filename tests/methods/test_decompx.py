import copy
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForMaskedLM

from harness.tracing.architectures import known
from harness.tracing.batch import Example, collate
from harness.tracing.run import Trace
from methods.explainers.decompx import DecompX, add_bias, through_activation, vectors
from tasks.word_choice_model import WordChoiceModel
from tests.architectures import KINDS, MASK, blanks, example, tiny
from tests.real_model import MASKED, SST2, Parts, parts, plain, real_model, real_trace

KNOWN = [kind for kind in KINDS if kind in known()]
Vectors = list[Tensor]  # of one token, one per source


def bias_by_hand(vectors: Vectors, bias: Tensor) -> Vectors:
    dots = [abs(float(vector @ bias)) for vector in vectors]
    return [vector + dot / sum(dots) * bias for vector, dot in zip(vectors, dots, strict=True)]


def linear_by_hand(linear: nn.Linear, vectors: Vectors) -> Vectors:
    return bias_by_hand([linear.weight @ vector for vector in vectors], linear.bias)


def norm_by_hand(norm: nn.LayerNorm, vectors: Vectors) -> Vectors:
    total = sum(vectors)
    deviation = (((total - total.mean()) ** 2).mean() + norm.eps) ** 0.5
    return bias_by_hand([norm.weight * (vector - vector.mean()) / deviation for vector in vectors], norm.bias)


def activation_by_hand(activation, vectors: Vectors) -> Vectors:
    total = sum(vectors)
    return [vector * (activation(total) / total) for vector in vectors]


def layer_by_hand(part: Parts, attention: Tensor, vectors: list[Vectors], first: bool, value_bias: str):
    """One query, one source, one head, one key at a time."""
    n, heads = len(vectors), len(attention)
    size = len(part.value.bias) // heads
    with_key = first and value_bias == "key"
    behind = []
    for query in range(n):
        mixed = []
        for source in range(n):
            vector = vectors[query][source].clone()
            for head in range(heads):
                own = slice(head * size, (head + 1) * size)
                for key in range(n):
                    value = part.value.weight[own] @ vectors[key][source]
                    if with_key and key == source:
                        value = value + part.value.bias[own]
                    vector += attention[head, query, key] * (part.projection.weight[:, own] @ value)
            mixed.append(vector)
        bias = part.projection.bias
        if not with_key:
            bias = bias + part.projection.weight @ part.value.bias
        middle = norm_by_hand(part.first_norm, bias_by_hand(mixed, bias))
        inner = activation_by_hand(nn.functional.gelu, linear_by_hand(part.inner, middle))
        outer = linear_by_hand(part.outer, inner)
        behind.append(norm_by_hand(part.second_norm, [one + other for one, other in zip(middle, outer, strict=True)]))
    return behind


def logits_by_hand(name: str, module, vectors: Vectors, words: list[int]) -> Tensor:  # [source, class]
    if name == SST2:
        vectors = activation_by_hand(torch.relu, linear_by_hand(module.pre_classifier, vectors))
        return torch.stack(linear_by_hand(module.classifier, vectors))
    head = module.inner.cls.predictions
    vectors = linear_by_hand(head.transform.dense, vectors)
    vectors = norm_by_hand(head.transform.LayerNorm, activation_by_hand(nn.functional.gelu, vectors))
    weight, bias = head.decoder.weight[words], head.decoder.bias[words]
    return torch.stack(bias_by_hand([weight @ vector for vector in vectors], bias))


@cache
def decomposed_by_hand(name: str, value_bias: str) -> tuple[list[Tensor], Tensor]:
    """The second sentence's `[token, source, hidden]` after each layer, and `[source, class]`, in float64."""
    module, batch = real_model(name, torch.float64)
    states, attentions = plain(module, batch, 1)
    n = len(states[0])
    vectors = [[states[0][i] if i == k else torch.zeros_like(states[0][i]) for k in range(n)] for i in range(n)]
    behind = []
    for number, (part, attention) in enumerate(zip(parts(name, module), attentions, strict=True)):
        vectors = layer_by_hand(part, attention, vectors, number == 0, value_bias)
        behind.append(torch.stack([torch.stack(row) for row in vectors]))
    words = batch.inputs["candidates"][1].tolist() if name == MASKED else []
    return behind, logits_by_hand(name, module, vectors[int(batch.position[1])], words)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-9)], ids=str)
@pytest.mark.parametrize(("name", "value_bias"), [(SST2, "split"), (SST2, "key"), (MASKED, "split")])
def test_decompx_matches_its_definition_one_token_and_one_head_at_a_time(name, value_bias, dtype, tolerance):
    trace = real_trace(name, dtype, output="logit_difference")
    method = DecompX(value_bias=value_bias)
    behind, logits = decomposed_by_hand(name, value_bias)
    n, position = len(logits), int(trace.batch.position[1])
    norms = DecompX(at="layer", value_bias=value_bias)(trace)
    for layer, (ours, theirs) in enumerate(zip(vectors(trace, 1, value_bias), behind, strict=True)):
        assert (ours.double() - theirs).norm() <= tolerance * theirs.norm()
        assert torch.allclose(norms[1, layer, :n], theirs[position].norm(dim=-1), rtol=tolerance)
    expected = logits[:, trace.target[1]] - logits[:, trace.rival[1]]
    assert (method(trace)[1, 0, :n] - expected).norm() <= tolerance * expected.norm()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)], ids=str)
@pytest.mark.parametrize("name", [SST2, MASKED])
def test_vectors_add_up_to_the_state_and_shares_to_the_logit(name, dtype, tolerance):
    for output in ("logit", "probability", "difference", "logit_difference"):
        trace = real_trace(name, dtype, output=output)
        explained = trace.output(trace.logits, kind="logit_difference" if "difference" in output else "logit")
        shares = DecompX()(trace)
        assert torch.allclose(shares.sum(dim=-1)[:, 0], explained, rtol=tolerance)
        assert (shares[1, :, int(trace.batch.length[1]) :] == 0).all()
    for index, n in enumerate(trace.batch.length.tolist()):
        for layer, behind in enumerate(vectors(trace, index), start=1):
            assert torch.allclose(behind.sum(dim=1), trace.hidden[index, layer, :n], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", KNOWN)
@pytest.mark.parametrize("head", ["classifier", "masked word"])
def test_shares_add_up_to_the_logit_through_every_head(kind: str, head: str):
    module = copy.deepcopy(tiny(kind) if head == "classifier" else WordChoiceModel(tiny(kind, AutoModelForMaskedLM)))
    generator = torch.Generator().manual_seed(4)
    for name, weight in module.named_parameters():
        if name.endswith("bias"):  # which is zero in a fresh model
            weight.data.normal_(std=0.3, generator=generator)
    examples = [example(5), example(3, seed=1)]
    if head == "masked word":
        examples = [masked(one) for one in examples]
    trace = Trace(module.double(), collate(examples, "all", blanks(kind)), output="logit", target=1)
    shares = DecompX()(trace)
    assert torch.allclose(shares.sum(dim=-1)[:, 0], trace.logits[:, 1], rtol=1e-9)
    cut = DecompX()(Trace(module, trace.batch, output="logit", target=1, token_budget=1))
    assert torch.allclose(shares, cut, rtol=1e-9)


def masked(one: Example) -> Example:
    ids = [*one.input_ids[:2], MASK, *one.input_ids[3:]]
    return replace(one, input_ids=ids, position=2, candidates=[7, 9, 11])


def test_shares_of_a_pre_ln_model_add_up_to_the_logit(trace: Trace):
    trace = Trace(copy.deepcopy(trace.model).double(), trace.batch, output="logit")
    shares = DecompX()(trace).sum(dim=-1)[:, 0]
    assert torch.allclose(shares, trace.output(trace.logits), rtol=1e-9)
    *_, last = vectors(trace, 3)
    n = int(trace.batch.length[3])
    assert torch.allclose(last.sum(dim=1), trace.hidden[3, -1, :n], rtol=1e-9)


def test_a_bias_is_split_by_absolute_dot_products_and_evenly_where_all_are_zero():
    vectors = torch.tensor([[1.0, 5.0], [-3.0, 0.0]])
    assert add_bias(vectors, torch.tensor([2.0, 0.0])).tolist() == [[1.5, 5.0], [-1.5, 0.0]]
    assert add_bias(torch.zeros(2, 2), torch.tensor([2.0, 4.0])).tolist() == [[1.0, 2.0], [1.0, 2.0]]


def test_an_activation_multiplies_by_its_slope_from_the_origin():
    vectors = torch.tensor([[3.0, -1.0, 2.0], [-1.0, -1.0, -2.0]])
    assert through_activation(torch.relu, vectors).tolist() == [[3.0, 0.0, 2.0], [-1.0, 0.0, -2.0]]
    halves = through_activation(nn.functional.gelu, vectors)[:, 2]
    assert halves.tolist() == [1.0, -1.0]  # the limit of the slope as the parts cancel


def test_an_unknown_head_is_refused_but_its_layers_are_not():
    body = tiny("bert").base_model
    with pytest.raises(ValueError, match="does not know how BertModel computes them"):
        DecompX().check_model(body)
    DecompX(at="layer").check_model(body)
    with pytest.raises(ValueError, match="does not know where model type 'albert' keeps them"):
        DecompX().check_model(tiny("albert"))


def test_a_head_with_different_arithmetic_is_refused():
    module = copy.deepcopy(tiny("bert"))
    module.classifier.register_forward_hook(lambda _, __, output: output + 1)
    with pytest.raises(ValueError, match="add up to other logits than the model's"):
        DecompX()(Trace(module, collate([example(4)], "all", blanks("bert"))))


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match="at is one of classifier, layer, got 'head'"):
        DecompX(at="head")
    with pytest.raises(ValueError, match="value_bias is one of split, key, got 'even'"):
        DecompX(value_bias="even")
