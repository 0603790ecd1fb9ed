"""Methods on real and tiny decoders against naive programs of their definitions: token by token, head by head."""

from functools import cache, partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.tracing.batch import Example, Role, collate
from harness.tracing.run import Trace
from methods.explainers.alti import Alti
from methods.explainers.alti_logit import AltiLogit
from methods.explainers.attn_lrp import AttnLRP
from methods.explainers.cp_lrp import CPLRP
from methods.explainers.decompx import DecompX
from methods.explainers.generic_relevance import GenericRelevance
from methods.explainers.globenc import GlobEnc
from methods.explainers.ifr import InformationFlowRoutes
from methods.explainers.logit import Logit
from methods.explainers.norm_based import NormBased
from methods.explainers.progressive_inference import ProgressiveInference
from methods.explainers.value_zeroing import ValueZeroing
from methods.logit_direction import terms
from tasks.word_choice_model import WordChoiceModel
from tests.architectures import blanks, example, tiny
from tests.conftest import smollm2
from tests.decoder_by_hand import DecoderByHand, norm_share

KINDS = ["smollm2", "gpt2", "gpt_neox", "llama", "qwen3", "gemma2", "gemma3_text"]
KIND = pytest.mark.parametrize("kind", KINDS)
TEXT, WORDS = "The keys to the old cabinet", (" are", " is")


@cache
def pair(kind: str) -> tuple[Trace, DecoderByHand]:
    """The trace of one sentence, and the same by hand."""
    if kind == "smollm2":
        folder = smollm2()
        tokens = AutoTokenizer.from_pretrained(folder)
        inner: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True
        )
        ids, words = tokens(TEXT)["input_ids"], [tokens(word)["input_ids"][0] for word in WORDS]
        module = WordChoiceModel(inner.eval().requires_grad_(False), causal=True)
        roles = [Role.CONTENT] * (len(ids) - 1) + [Role.PREDICTS]
        one = Example("one", ids, roles, len(ids) - 1, 0, candidates=words)
        trace = Trace(module, collate([one], "prompt", {"unk": None, "mask": None, "pad": 0}), 0, "logit_difference")
    else:
        module, one = tiny(kind), example(6, seed=3, kind=kind)
        trace = Trace(module, collate([one], "prompt", blanks(kind)), 0, "logit_difference")
        inner, ids, words = module.inner, one.input_ids, one.candidates
    return trace, DecoderByHand(kind, inner, ids, words or ())


def worst(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference in relation to the largest value."""
    return ((ours.double() - theirs).abs().max() / theirs.abs().max()).item()


def maps(hand: DecoderByHand, of: Any) -> list[Tensor]:
    """A map `[query, key]` for each layer, from `of(layer, query, key)`; zero where the key comes later."""
    return [
        torch.stack(
            [
                torch.stack(
                    [of(layer, query, key) if key <= query else torch.zeros(()).double() for key in range(hand.n)]
                )
                for query in range(hand.n)
            ]
        )
        for layer in hand.layers
    ]


def rolled(layers: list[Tensor]) -> Tensor:
    """The last row of the product up to each layer, `[layer, token]`."""
    rows, product = [], torch.eye(len(layers[0]), dtype=torch.float64)
    for one in layers:
        product = one @ product
        rows.append(product[-1])
    return torch.stack(rows)


def with_residual(layer: Any, query: int, key: int) -> Tensor:
    part = layer.written(query, layer.summed(query, key))
    return part + layer.state[query] if key == query else part


@KIND
@pytest.mark.parametrize("block", ["attention", "residual"])
def test_norms(kind: str, block: str):
    trace, hand = pair(kind)
    last, theirs = hand.n - 1, []
    for layer in hand.layers:
        row = []
        for key in range(hand.n):
            vector = layer.written(last, layer.summed(last, key))
            row.append((vector + layer.state[last] * (key == last and block == "residual")).norm())
        theirs.append(torch.stack(row))
    assert worst(NormBased(block)(trace)[0], torch.stack(theirs)) < 1e-4


def alti_maps(hand: DecoderByHand) -> list[Tensor]:
    def contribution(layer: Any, query: int, key: int) -> Tensor:
        output = layer.attended[query]
        return (output.abs().sum() - (output - with_residual(layer, query, key)).abs().sum()).clamp(min=0)

    return [one / one.sum(dim=1, keepdim=True) for one in maps(hand, contribution)]


@KIND
def test_alti_and_globenc(kind: str):
    trace, hand = pair(kind)
    assert worst(Alti()(trace)[0], rolled(alti_maps(hand))) < 1e-4
    theirs = rolled(maps(hand, lambda layer, query, key: with_residual(layer, query, key).norm()))
    for ours, row in zip(GlobEnc()(trace)[0], theirs, strict=True):
        assert worst(ours, row) < 1e-4


@KIND
def test_information_flow_routes(kind: str):
    trace, hand = pair(kind)
    theirs = []
    for layer in hand.layers:
        one = torch.zeros(hand.n, hand.n, dtype=torch.float64)
        for query in range(hand.n):
            output, edges = layer.attended[query], {}
            for key in range(query + 1):
                for head in range(hand.heads):
                    part = layer.written(query, layer.part(query, key, head))
                    if layer.attention[head][query, key] > 0:
                        edges[key, head] = max((output.abs() - (output - part).abs()).sum().item(), 1e-5)
            edges["residual"] = max((output.abs() - (output - layer.state[query]).abs()).sum().item(), 1e-5)
            total = sum(edges.values())
            for name, value in edges.items():
                one[query, query if name == "residual" else name[0]] += value / total
        theirs.append(one)
    assert worst(InformationFlowRoutes()(trace)[0], rolled(theirs)) < 1e-4


def contributions(hand: DecoderByHand) -> Tensor:
    """Logit contributions of attention, `[layer, token]`; where logits are capped, of the capped ones."""
    last, rows = hand.n - 1, []
    state = hand.layers[-1].output[last]
    plain = hand.head @ hand.final_norm(state)
    slopes = hand.logits / plain
    for layer in hand.layers:
        row = []
        for key in range(hand.n):
            part = norm_share(hand.final_norm, layer.written(last, layer.summed(last, key)), state)
            logits = slopes * (hand.head @ part)
            row.append(logits[0] - logits[1])
        rows.append(torch.stack(row))
    return torch.stack(rows)


@KIND
def test_logit_and_alti_logit(kind: str):
    trace, hand = pair(kind)
    each = contributions(hand)
    assert worst(Logit()(trace)[0], each) < 1e-4
    assert worst(Logit(accumulate=True)(trace)[0], each.cumsum(dim=0)) < 1e-4
    product, total, theirs = torch.eye(hand.n, dtype=torch.float64), torch.zeros(hand.n, dtype=torch.float64), []
    for row, one in zip(each, alti_maps(hand), strict=True):
        total = total + row @ product
        theirs.append(total)
        product = one @ product
    assert worst(AltiLogit()(trace)[0], torch.stack(theirs)) < 1e-4


@KIND
def test_all_terms_add_up_to_the_difference_of_logits(kind: str):
    trace, hand = pair(kind)
    difference = hand.logits[0] - hand.logits[1]
    assert (terms(trace).total - difference).abs().max() < 1e-4 * max(1.0, hand.logits.abs().max().item())
    assert AltiLogit()(trace)[0, -1].sum().item() == pytest.approx(terms(trace).attention.sum().item(), abs=1e-6)


@KIND
def test_what_belongs_to_no_token_is_the_rest_of_the_output(kind: str):
    trace, hand = pair(kind)
    difference = (hand.logits[0] - hand.logits[1]).item()
    for method in (Logit(accumulate=True), AltiLogit()):
        scores = method(trace)[0, -1]
        rest = abs(difference - scores.sum().item())
        assert method.unassigned(trace)[0, -1].item() == pytest.approx(
            rest / (rest + scores.abs().sum().item()), abs=1e-4
        )


@KIND
def test_value_zeroing(kind: str):
    trace, hand = pair(kind)

    def turned(layer: Any, query: int, key: int) -> Tensor:
        changed = layer.block(query, layer.mixed[query] - layer.summed(query, key))
        return 1 - torch.cosine_similarity(layer.block(query, layer.mixed[query]), changed, dim=0, eps=1e-30)

    with torch.no_grad():
        rows = maps(hand, turned)
    for layer, ours in zip(rows, ValueZeroing()(trace)[0], strict=True):
        assert worst(ours, layer[-1] / layer[-1].sum()) < 1e-4


@KIND
def test_progressive_inference_is_the_difference_between_prefixes(kind: str):
    trace, hand = pair(kind)
    outputs = [hand.difference(hand.ids[: end + 1]) for end in range(hand.n)]
    gains = [after - before for before, after in pairwise(outputs)]
    theirs = torch.stack([outputs[0], *gains])
    assert worst(ProgressiveInference()(trace)[0, 0], theirs) < 1e-4


@KIND
def test_generic_relevance(kind: str):
    trace, hand = pair(kind)
    result = hand.inner(torch.tensor([hand.ids]), output_attentions=True, use_cache=False)
    vectors = hand.inner.get_input_embeddings()(torch.tensor([hand.ids])).detach().requires_grad_()
    with torch.enable_grad():
        result = hand.inner.requires_grad_(True)(torch.tensor([hand.ids]), output_attentions=True, use_cache=False)
        logits = result.logits[0, -1, hand.words]
        gradients = torch.autograd.grad(logits[0], result.attentions)
    hand.inner.requires_grad_(False)
    assert vectors.shape[1] == hand.n
    relevance, theirs = torch.eye(hand.n, dtype=torch.float64), []
    for weights, gradient in zip(result.attentions, gradients, strict=True):
        relevance = relevance + (weights[0].detach() * gradient[0]).double().clamp(min=0).mean(dim=0) @ relevance
        theirs.append(relevance[-1].clone())
        theirs[-1][-1] = theirs[-1][:-1].min()
    assert worst(GenericRelevance()(trace)[0], torch.stack(theirs)) < 1e-4


def through(parts: list[Tensor], function: Any) -> list[Tensor]:
    """Parts through an activation: the same factor for all."""
    total = torch.stack(parts).sum(dim=0)
    return [part * (function(total) / total) for part in parts]


def with_bias(parts: list[Tensor], bias: Tensor | None) -> list[Tensor]:
    """A bias split by the parts' absolute dot products with it."""
    if bias is None or not bias.any():
        return parts
    sizes = torch.stack([(part @ bias).abs() for part in parts])
    return [part + bias * size / sizes.sum() for part, size in zip(parts, sizes, strict=True)]


def normed(norm: Any, parts: list[Tensor]) -> list[Tensor]:
    total = torch.stack(parts).sum(dim=0)
    return with_bias([norm_share(norm, part, total) for part in parts], getattr(norm, "bias", None))


def linear(function: Any, parts: list[Tensor]) -> list[Tensor]:
    bias = function(torch.zeros_like(parts[0]))
    return with_bias([function(part) - bias for part in parts], bias)


@KIND
def test_decompx(kind: str):
    """One vector per source, moved by hand; the two factors of a gated feed-forward share their product equally."""
    trace, hand = pair(kind)
    with torch.no_grad():
        zero = torch.zeros_like(hand.layers[0].state[0])
        vectors = [
            [hand.layers[0].state[token] if source == token else zero for source in range(hand.n)]
            for token in range(hand.n)
        ]
        for layer in hand.layers:
            size = layer.projection.shape[1] // hand.heads
            read = [normed(layer.first, parts) for parts in vectors]
            bias = layer.value(zero)
            after = []
            for query in range(hand.n):
                parts = []
                for source in range(hand.n):
                    heads = []
                    for head in range(hand.heads):
                        held = len(bias) // size  # value heads
                        own = slice(head * held // hand.heads * size, (head * held // hand.heads + 1) * size)
                        values = [(layer.value(read[key][source]) - bias)[own] for key in range(hand.n)]
                        weights = layer.attention[head][query]
                        heads.append(sum((w * v for w, v in zip(weights, values, strict=True)), torch.zeros(size)))
                    parts.append(layer.projection @ torch.cat(heads).double())
                repeated = torch.cat(
                    [bias.split(size)[head * (len(bias) // size) // hand.heads] for head in range(hand.heads)]
                )
                shared = layer.bias + layer.projection @ repeated
                own = vectors[query]
                if layer.after_attention is None:
                    attended = with_bias([a + b for a, b in zip(own, parts, strict=True)], shared)
                else:
                    passed = normed(layer.after_attention, with_bias(parts, shared))
                    attended = [a + b for a, b in zip(own, passed, strict=True)]
                fed = normed(layer.second, own if layer.parallel else attended)
                inner = linear(layer.inner, fed)
                if layer.gate is None:
                    inner = through(inner, layer.activation)
                else:
                    gate = through(linear(layer.gate, fed), layer.activation)
                    whole, open_ = torch.stack(inner).sum(dim=0), torch.stack(gate).sum(dim=0)
                    inner = [(g * whole + open_ * u) / 2 for g, u in zip(gate, inner, strict=True)]
                outer = linear(layer.outer, inner)
                outer = outer if layer.after_mlp is None else normed(layer.after_mlp, outer)
                after.append([a + b for a, b in zip(attended, outer, strict=True)])
            vectors = after
        final = [hand.head @ part for part in normed(hand.final_norm, vectors[-1])]
        slopes = hand.logits / torch.stack(final).sum(dim=0)
        theirs = torch.stack([(slopes * part)[0] - (slopes * part)[1] for part in final])
    assert worst(DecompX()(trace)[0, 0], theirs) < 1e-4


def halves(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    return left / 2 + left.detach() / 2, right / 2 + right.detach() / 2


def constant_norm(norm: Any, states: Tensor) -> Tensor:
    """A norm whose scale has no gradient."""
    rows = [norm_share(norm, state, state.detach()) for state in states.flatten(0, -2)]
    bias = getattr(norm, "bias", None)
    return torch.stack(rows).view_as(states) + (0 if bias is None else bias)


def rotated(states: Tensor, angle: tuple[Tensor, Tensor]) -> Tensor:
    first, second = states.chunk(2, dim=-1)
    return states * angle[0] + torch.cat([-second, first], dim=-1) * angle[1]


@pytest.mark.parametrize("kind", ["smollm2", "llama", "qwen3"])
@pytest.mark.parametrize("softmax", ["gradient", "constant"])
def test_lrp_is_gradient_times_input_of_a_forward_pass_with_constants(kind: str, softmax: str):
    """The whole model by hand, with what the rules hold constant detached and products' factors halved."""
    trace, hand = pair(kind)
    body = hand.inner.base_model
    words = body.embed_tokens(torch.tensor(hand.ids)).detach().requires_grad_()
    angles = body.rotary_emb(words[None], torch.arange(hand.n)[None])
    angle = (angles[0][0].double(), angles[1][0].double())
    later = torch.ones(hand.n, hand.n, dtype=torch.bool).triu(1)
    state = words
    for layer, module in zip(hand.layers, body.layers, strict=True):
        attention = module.self_attn
        read = constant_norm(layer.first, state)
        size = layer.projection.shape[1] // hand.heads
        queries, keys, values = (
            of(read).split(size, dim=1) for of in (attention.q_proj, attention.k_proj, layer.value)
        )
        mixed = []
        for head in range(hand.heads):
            held = head * len(keys) // hand.heads
            query, key = queries[head], keys[held]
            if hasattr(attention, "q_norm"):
                query, key = constant_norm(attention.q_norm, query), constant_norm(attention.k_norm, key)
            query, key = rotated(query, angle), rotated(key, angle)
            if softmax == "gradient":
                query, key = halves(query, key)
            weights = (query @ key.T * attention.scaling).masked_fill(later, -torch.inf).softmax(dim=1)
            value = values[held]
            weights, value = (weights.detach(), value) if softmax == "constant" else halves(weights, value)
            mixed.append(weights @ value)
        state = state + torch.cat(mixed, dim=1) @ layer.projection.T
        read = constant_norm(layer.second, state)
        assert layer.gate is not None
        gate, inner = layer.gate(read), layer.inner(read)
        gate = gate * (layer.activation(gate) / gate).detach()
        gate, inner = halves(gate, inner)
        state = state + layer.outer(gate * inner)
    logits = constant_norm(hand.final_norm, state[-1:])[0] @ hand.head.T
    assert torch.allclose(logits.detach(), hand.logits, rtol=1e-6)
    (gradient,) = torch.autograd.grad(logits[0], words)
    method = AttnLRP() if softmax == "gradient" else CPLRP()
    assert worst(method(trace)[0, 0], (gradient * words.detach()).sum(dim=1)) < 1e-4


def test_gpt2s_composed_activation_is_one_step():
    """Its factor f(x) / x is constant: the gradient at a first-layer neuron is the output weight times that factor."""
    trace, hand = pair("gpt2")
    method = partial(AttnLRP(at="first_layer"))
    scores = method(trace)[0, 0]
    assert torch.isfinite(scores).all()
    activation = hand.layers[0].activation
    inputs = torch.linspace(-2, 2, 9, dtype=torch.float64, requires_grad=True)
    from methods.gradient_rules import GradientRules, composed_activations

    model = torch.nn.Sequential(activation)
    with composed_activations(model), GradientRules("gradient"):
        outputs = model(inputs)
    (gradient,) = torch.autograd.grad(outputs.sum(), inputs)
    expected = torch.where(inputs == 0, 0.5, activation(inputs) / inputs.where(inputs != 0, 1.0))
    assert torch.allclose(gradient, expected.detach(), atol=1e-9)
