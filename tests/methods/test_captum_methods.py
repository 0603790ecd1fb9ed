import hashlib

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.tracing.batch import Role, collate
from harness.tracing.notices import Inexact
from harness.tracing.run import Trace
from methods.explainers.gradient_shap import GradientShap
from methods.explainers.integrated_gradients import IntegratedGradients
from methods.explainers.kernel_shap import KernelShap
from methods.explainers.layer_integrated_gradients import LayerIntegratedGradients
from methods.explainers.lime import Lime
from methods.explainers.occlusion import Occlusion
from methods.explainers.shapley_value_sampling import ShapleyValueSampling
from methods.surrogate import WeightedRegression
from tests.known_model import UNKNOWN, bag, batch_of, sentence
from tests.model_by_hand import worst
from tests.real_model import MASKED, SST2, real_model, real_trace

CHECKPOINTS = pytest.mark.parametrize("name", [SST2, MASKED])


class Game:
    """A real model's output for any subset of one sentence's words, one run at a time."""

    def __init__(self, name: str, index: int):
        self.module, batch = real_model(name)
        n = int(batch.length[index])
        self.inputs = {key: value[index : index + 1] for key, value in batch.inputs.items()}
        self.inputs |= {key: self.inputs[key][:, :n] for key in ("input_ids", "attention_mask")}
        self.words = [place for place in range(n) if batch.role[index, place] == Role.CONTENT]
        self.blank, self.id = batch.blank_ids["unk"], batch.examples[index].id
        self.target = int(self.module(**self.inputs).logits.argmax())

    def __call__(self, kept: set[int]) -> float:
        ids = self.inputs["input_ids"].clone()
        for place in self.words:
            if place not in kept:
                ids[0, place] = self.blank
        return self.module(**self.inputs | {"input_ids": ids}).logits[0, self.target].item()


@pytest.mark.parametrize(
    "method",
    [
        GradientShap(reduce="sum", samples=3),
        Occlusion(window=1),
        ShapleyValueSampling(samples=2),
        KernelShap(samples=60),
        Lime(samples=60, ridge=0.0),
    ],
    ids=lambda method: type(method).__name__,
)
def test_in_a_linear_model_each_word_scores_its_own_difference(method):
    model = bag()
    trace = Trace(
        model, batch_of(sentence([5, 6, 7, 8]), sentence([9, 10], id="b"), sentence([11], id="c")), 0, "logit"
    )
    scores = method(trace)[:, 0]
    expected = torch.zeros(3, 6)
    for row, ids in enumerate(([5, 6, 7, 8], [9, 10], [11])):
        for place, token in enumerate(ids, start=1):
            expected[row, place] = model.embedding.weight[token, 0] - model.embedding.weight[UNKNOWN, 0]
    assert torch.allclose(scores.double(), expected.double(), atol=2e-4)


def test_a_sentence_without_words_scores_nothing():
    trace = Trace(bag(), batch_of(sentence([]), sentence([5, 6], id="b")), 0, "logit")
    for method in (GradientShap(), Occlusion(), ShapleyValueSampling(), KernelShap(samples=10), Lime(samples=10)):
        scores = method(trace)
        assert (scores[0] == 0).all()
        assert (scores[1, 0, 1:3] != 0).all()


@CHECKPOINTS
@pytest.mark.parametrize("window", [1, 3])
def test_occlusion_is_the_mean_change_over_windows_one_window_at_a_time(name: str, window: int):
    ours = Occlusion(window)(real_trace(name, output="logit"))
    for index in range(2):
        game = Game(name, index)
        total, count = torch.zeros(ours.shape[-1]), torch.zeros(ours.shape[-1])
        whole = game({*game.words})
        for start in range(len(game.words) - window + 1):
            hidden = game.words[start : start + window]
            total[hidden] += whole - game({*game.words} - {*hidden})
            count[hidden] += 1
        error = worst(ours[index, 0], (total / count.clamp(min=1)).double())
        print(f"{name} window {window} {error:.1e}")
        assert error < 1e-4


@CHECKPOINTS
def test_shapley_sampling_is_the_mean_over_orders_one_order_at_a_time(name: str):
    ours = ShapleyValueSampling(samples=3, seed=7)(real_trace(name, output="logit"))
    game = Game(name, 1)
    seed = int.from_bytes(hashlib.sha256(f"7:{game.id}".encode()).digest()[:4])
    theirs = torch.zeros(ours.shape[-1], dtype=torch.float64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in range(3):
            kept: set[int] = set()
            for player in torch.randperm(len(game.words)).tolist():
                before, kept = game(kept), kept | {game.words[player]}
                theirs[game.words[player]] += (game(kept) - before) / 3
    assert worst(ours[1, 0], theirs) < 1e-4
    assert ours[1].sum().item() == pytest.approx(game({*game.words}) - game(set()), rel=1e-4)


@CHECKPOINTS
def test_kernel_shap_adds_up_and_approximates_the_shapley_values(name: str):
    ours = KernelShap(samples=200)(real_trace(name, output="logit"))[1, 0]
    game = Game(name, 1)
    assert ours.sum().item() == pytest.approx(game({*game.words}) - game(set()), abs=2e-3)
    exact = torch.zeros(len(ours), dtype=torch.float64)
    n = len(game.words)
    for mask in range(2**n):
        kept = {place for bit, place in enumerate(game.words) if mask >> bit & 1}
        share = (
            1 / (n * float(np.prod([(n - 1 - k) / (k + 1) for k in range(len(kept))])) or 1.0) if len(kept) < n else 0
        )
        for place in {*game.words} - kept:
            exact[place] += share * (game(kept | {place}) - game(kept))
    assert worst(ours, exact) < 0.15


@pytest.mark.filterwarnings("ignore::harness.tracing.notices.Inexact")
def test_gradient_shap_approximates_integrated_gradients():
    module, batch = real_model(MASKED)
    trace = Trace(module, collate(batch.examples[1:], "all", batch.blank_ids))
    exact = IntegratedGradients(steps=50, reduce="sum")(trace)
    near = GradientShap(samples=200, reduce="sum")(trace)
    assert (near - exact).norm() < 0.2 * exact.norm()


def test_too_few_samples_or_steps_give_a_warning():
    trace = real_trace(SST2)
    with pytest.warns(Inexact, match=r"GradientSHAP with samples=2: .* raise samples"):
        GradientShap(samples=2)(trace)
    with pytest.warns(Inexact, match=r"integrated gradients at layer \d with steps=1: .* raise steps"):
        LayerIntegratedGradients(steps=1)(trace)


@CHECKPOINTS
def test_layer_integrated_gradients_match_their_definition_one_layer_and_step_at_a_time(name: str):
    trace = real_trace(name, output="logit")
    ours = LayerIntegratedGradients(steps=3).attribute(trace)
    game = Game(name, 1)
    module = game.module
    blocks = module.distilbert.transformer.layer if name == SST2 else module.base_model.encoder.layer
    blank = game.inputs["input_ids"].clone()
    blank[0, game.words] = game.blank
    points, weights = np.polynomial.legendre.leggauss(3)
    n = blank.shape[1]
    for layer, block in enumerate(blocks):

        def put(state: Tensor, block=block) -> Tensor:
            hook = block.register_forward_hook(
                lambda _, __, output: (state, *output[1:]) if isinstance(output, tuple) else state
            )
            try:
                return module(**game.inputs).logits[0, game.target]
            finally:
                hook.remove()

        def states(ids: Tensor, layer=layer) -> Tensor:
            # the model's last state is the last layer's, for all tokens, before a head picks one
            kept = []
            hook = blocks[layer].register_forward_hook(
                lambda _, __, output: kept.append(output[0] if isinstance(output, tuple) else output)
            )
            with torch.no_grad():
                module(**game.inputs | {"input_ids": ids})
            hook.remove()
            return kept[0]

        start, end = states(blank), states(game.inputs["input_ids"])
        theirs = torch.zeros_like(end)
        for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
            state = (start + float(point) * (end - start)).requires_grad_()
            theirs += float(weight) * torch.autograd.grad(put(state), state)[0]
        theirs = theirs * (end - start)
        error = worst(ours[1, layer, :n], theirs[0].double())
        print(f"{name} layer {layer + 1} {error:.1e}")
        assert error < 1e-4


def test_the_surrogate_is_the_solution_of_its_normal_equations():
    generator = torch.Generator().manual_seed(0)
    features = torch.randint(0, 2, (40, 5), generator=generator).double()
    outputs, weights = torch.randn(40, generator=generator).double(), torch.rand(40, generator=generator).double()
    for ridge in (0.0, 2.0):
        model = WeightedRegression(ridge)
        model.fit([(features[:25], outputs[:25], weights[:25]), (features[25:], outputs[25:], weights[25:])])
        mean, centre = (weights @ outputs) / weights.sum(), (weights @ features) / weights.sum()
        centred = features - centre
        left = centred.T @ (weights[:, None] * centred) + ridge * torch.eye(5)
        expected = torch.linalg.solve(left, centred.T @ (weights * (outputs - mean)))
        assert torch.allclose(model.representation(), expected, atol=1e-10)
        assert torch.allclose(model(features), mean + centred @ expected, atol=1e-10)
    with pytest.raises(ValueError, match="fit this model before"):
        WeightedRegression().representation()


def test_a_sentence_closer_to_the_whole_counts_more_for_lime():
    kept = [torch.tensor([[1, 1, 1, 1]]), torch.tensor([[1, 1, 1, 0]]), torch.tensor([[0, 0, 1, 0]])]
    weight = [Lime()._weight(kept[0], kept[0], one).item() for one in kept]
    assert weight == pytest.approx([1.0, np.exp(-((4 * (1 - 0.75**0.5)) ** 2)), np.exp(-4.0)])


def test_parameters_are_checked():
    for wrong, message in (
        (lambda: Lime(width=0), "width is a number"),
        (lambda: Lime(ridge=-1), "ridge is a number"),
        (lambda: KernelShap(samples=1), "samples is a whole number, at least 2"),
        (lambda: Occlusion(window=0), "window is a whole number"),
        (lambda: GradientShap(noise=-1), "noise is a number"),
        (lambda: ShapleyValueSampling(removal="cls"), "removal is one of"),
        (lambda: LayerIntegratedGradients(reduce="l3"), "reduce is one of"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
