"""Plain methods on real checkpoints: each compared with its definition, one sentence, step, part or path at a time."""

from collections.abc import Callable

import networkx as nx
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.tracing.batch import Role
from harness.tracing.run import Trace
from methods.explainers import gradient_shap
from methods.explainers.attention import Attention
from methods.explainers.flow import Flow
from methods.explainers.gradient_shap import GradientShap
from methods.explainers.input_x_gradient import InputXGradient
from methods.explainers.integrated_gradients import IntegratedGradients
from methods.explainers.kernel_shap import KernelShap
from methods.explainers.layer_gradient_x_activation import LayerGradientXActivation
from methods.explainers.lime import Lime
from methods.explainers.rollout import Rollout
from methods.explainers.saliency import Saliency
from methods.single_example import SingleExample
from tests.model_by_hand import worst
from tests.real_model import MASKED, SST2, plain, real_model, real_trace

pytestmark = [
    pytest.mark.parametrize("name", [SST2, MASKED]),
    pytest.mark.filterwarnings(
        "ignore::harness.tracing.notices.Inexact"
    ),  # few steps and samples, the same few on both sides
]


class Sentence:
    """The second sentence of a checkpoint, alone, and its logit when a module's output is replaced."""

    def __init__(self, name: str):
        self.module, batch = real_model(name)
        self.n = int(batch.length[1])
        self.inputs = {key: value[1:2] for key, value in batch.inputs.items()}
        self.inputs |= {key: self.inputs[key][:, : self.n] for key in ("input_ids", "attention_mask")}
        self.words = [place for place in range(self.n) if batch.role[1, place] == Role.CONTENT]
        self.position = int(batch.position[1])
        self.embedding = self.module.get_input_embeddings()
        self.blank = self.embedding.weight[batch.blank_ids["unk"]]
        self.target = int(self.module(**self.inputs).logits.argmax())
        self.states, self.attentions = plain(self.module, batch, 1)

    def vectors(self) -> Tensor:
        """Word embeddings `[token, hidden]`."""
        return self.embedding(self.inputs["input_ids"])[0].detach()

    def logit(self, place: nn.Module, value: Tensor) -> Tensor:
        """The logit with `[token, hidden]` as a module's output."""

        def put(_module: nn.Module, _inputs: object, output: object) -> object:
            return (value[None], *output[1:]) if isinstance(output, tuple) else value[None]

        hook = place.register_forward_hook(put)
        try:
            return self.module(**self.inputs).logits[0, self.target]
        finally:
            hook.remove()

    def gradient(self, place: nn.Module, value: Tensor) -> Tensor:
        """The gradient of that logit, `[token, hidden]`."""
        value = value.detach().requires_grad_()
        return torch.autograd.grad(self.logit(place, value), value)[0]


def mixed(attentions: list[Tensor]) -> list[np.ndarray]:
    """Half the mean over heads, half the token itself, `[query, key]` of each layer."""
    return [0.5 * one.double().mean(dim=0).numpy() + 0.5 * np.eye(one.shape[-1]) for one in attentions]


def test_attention_and_rollout_are_their_products(name: str):
    sentence, trace = Sentence(name), real_trace(name)
    attention, rollout = Attention()(trace)[1], Rollout()(trace)[1]
    product = np.eye(sentence.n)
    for layer, (one, matrix) in enumerate(zip(sentence.attentions, mixed(sentence.attentions), strict=True)):
        mean = sum(one[head, sentence.position] for head in range(len(one))) / len(one)
        assert worst(attention[layer, : sentence.n], mean.double()) < 1e-4
        product = matrix @ product
        assert worst(rollout[layer, : sentence.n], torch.from_numpy(product[sentence.position])) < 1e-4


def test_flow_is_networkx_maximum_flow_to_one_token_at_a_time(name: str):
    sentence, trace = Sentence(name), real_trace(name)
    ours = Flow()(trace)[1]
    graph = nx.DiGraph()
    for layer, matrix in enumerate(mixed(sentence.attentions), start=1):
        for query, row in enumerate(matrix):
            for key, weight in enumerate(row):
                graph.add_edge((layer, query), (layer - 1, key), capacity=weight)
        flows = [nx.maximum_flow_value(graph, (layer, sentence.position), (0, token)) for token in range(sentence.n)]
        assert worst(ours[layer - 1, : sentence.n], torch.tensor(flows, dtype=torch.float64) / sum(flows)) < 1e-4


def test_gradients_at_words_are_those_of_the_embeddings_output(name: str):
    sentence, trace = Sentence(name), real_trace(name, output="logit")
    vectors = sentence.vectors()
    gradient = sentence.gradient(sentence.embedding, vectors)
    for method, theirs in (
        (Saliency(), gradient.square().sum(dim=1).sqrt()),
        (InputXGradient(reduce="sum"), (gradient * vectors).sum(dim=1)),
        (InputXGradient(), (gradient * vectors).sum(dim=1).abs()),
    ):
        assert worst(method(trace)[1, 0, : sentence.n], theirs.double()) < 1e-4


def test_integrated_gradients_are_their_sum_one_step_at_a_time(name: str):
    sentence = Sentence(name)
    ours = IntegratedGradients(steps=7, reduce="sum")(real_trace(name, output="logit"))[1, 0, : sentence.n]
    start, end = sentence.vectors(), sentence.vectors()
    start[sentence.words] = sentence.blank
    points, weights = np.polynomial.legendre.leggauss(7)
    theirs = torch.zeros(sentence.n, dtype=torch.float64)
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        gradient = sentence.gradient(sentence.embedding, start + float(point) * (end - start))
        theirs += float(weight) * (gradient * (end - start)).sum(dim=1).double()
    assert worst(ours, theirs) < 1e-4


def test_layer_gradient_x_activation_is_its_product_one_layer_at_a_time(name: str):
    sentence = Sentence(name)
    ours = LayerGradientXActivation(reduce="sum")(real_trace(name, output="logit"))[1, :, : sentence.n]
    module = sentence.module
    layers = module.distilbert.transformer.layer if name == SST2 else module.base_model.encoder.layer
    for number, layer in enumerate(layers):
        state = sentence.states[number + 1]
        theirs = (sentence.gradient(layer, state) * state).sum(dim=1)
        assert worst(ours[number], theirs.double()) < 1e-4


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Every variant of the words that a method drew, `[word, hidden]` or `[word]`, in their order."""
    asked: list[Tensor] = []
    true: Callable = SingleExample.forward
    truly: Callable = gradient_shap.changed_words

    def forward(example: SingleExample, words: Tensor) -> Tensor:
        if example.row == 1:
            asked.extend(words.detach())
        return true(example, words)

    def changed_words(trace: Trace, row: int, places: Tensor, words: Tensor) -> Tensor:
        if row == 1:
            asked.extend(words.detach())
        return truly(trace, row, places, words)

    monkeypatch.setattr(SingleExample, "forward", forward)
    monkeypatch.setattr(gradient_shap, "changed_words", changed_words)
    return asked


def test_gradient_shap_is_the_mean_over_the_drawn_points(name: str, asked: list[Tensor]):
    sentence = Sentence(name)
    ours = GradientShap(samples=6, reduce="sum")(real_trace(name, output="logit"))[1, 0, : sentence.n]
    way = sentence.vectors()[sentence.words] - sentence.blank
    theirs = torch.zeros(sentence.n, dtype=torch.float64)
    assert len(asked) == 6
    for words in asked:
        share = ((words - sentence.blank) * way).sum() / way.square().sum()
        assert torch.allclose(words, sentence.blank + share * way, atol=1e-5)  # a point on the straight line
        assert 0 <= share <= 1
        vectors = sentence.vectors()
        vectors[sentence.words] = words
        gradient = sentence.gradient(sentence.embedding, vectors)[sentence.words]
        theirs[sentence.words] += (gradient * way).sum(dim=1).double() / 6
    assert worst(ours, theirs) < 1e-4


def parts_drawn(sentence: Sentence, asked: list[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Which words each variant keeps, `[variant, word]`, and the logit of each variant alone."""
    whole = sentence.vectors()[sentence.words]
    kept, logits = [], []
    for present in asked:
        keeps = present == 1
        assert torch.equal(keeps, present != 0)
        vectors = sentence.vectors()
        vectors[sentence.words] = torch.where(keeps[:, None], whole, sentence.blank)
        kept.append(keeps.double().numpy())
        logits.append(sentence.logit(sentence.embedding, vectors).item())
    return np.array(kept), np.array(logits)


def test_lime_is_the_ridge_regression_on_the_drawn_parts(name: str, asked: list[Tensor]):
    sentence = Sentence(name)
    ours = Lime(samples=40, ridge=0.7)(real_trace(name, output="logit"))[1, 0, : sentence.n]
    kept, logits = parts_drawn(sentence, asked)
    assert len(kept) == 40
    count, ones = len(sentence.words), np.ones(len(sentence.words))
    weights = []
    for part in kept:
        size = np.linalg.norm(part) * np.linalg.norm(ones)
        distance = 100 * (1 - (part @ ones / size if size else 0.0))
        weights.append(np.exp(-(distance**2) / 25**2))
    design = np.column_stack([np.ones(len(kept)), kept])
    penalty = 0.7 * np.diag([0.0, *ones])  # no penalty on the constant
    weighted = design.T * np.array(weights)
    theirs = torch.zeros(sentence.n, dtype=torch.float64)
    theirs[sentence.words] = torch.from_numpy(np.linalg.solve(weighted @ design + penalty, weighted @ logits)[-count:])
    assert worst(ours, theirs) < 1e-4


def test_kernel_shap_is_the_regression_on_the_drawn_parts_constrained_at_both_ends(name: str, asked: list[Tensor]):
    """The whole and the empty sentence are fitted exactly: one word's coefficient is what the others leave."""
    sentence = Sentence(name)
    ours = KernelShap(samples=40)(real_trace(name, output="logit"))[1, 0, : sentence.n]
    kept, logits = parts_drawn(sentence, asked)
    assert len(kept) == 40
    size = kept.sum(axis=1)
    whole, empty = logits[size == len(sentence.words)][0], logits[size == 0][0]
    inner = (size > 0) & (size < len(sentence.words))
    # phi_last = whole - empty - the others; the parts are drawn from the kernel, so all have equal weight
    design = kept[inner, :-1] - kept[inner, -1:]
    rest = logits[inner] - empty - kept[inner, -1] * (whole - empty)
    others = np.linalg.lstsq(design, rest, rcond=None)[0]
    theirs = torch.zeros(sentence.n, dtype=torch.float64)
    theirs[sentence.words] = torch.from_numpy(np.append(others, whole - empty - others.sum()))
    assert worst(ours, theirs) < 1e-4
