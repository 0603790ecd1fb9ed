"""Methods that know nothing about the model, and the share of flow that is saturated."""

import copy
import hashlib
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn
from transformers import AutoModelForMaskedLM, DebertaConfig, DebertaForMaskedLM
from transformers.pytorch_utils import Conv1D

from harness.contracts import Model
from harness.tracing.batch import Example, Role, TwoSided, collate
from harness.tracing.run import Trace
from harness.tracing.steps import encoder_decoder_steps
from methods.explainers.attention import Attention
from methods.explainers.diagonal import Diagonal
from methods.explainers.flow import Flow
from methods.explainers.layer_gradient_x_activation import LayerGradientXActivation
from methods.explainers.position import Position
from methods.explainers.random import Random
from methods.explainers.randomised_weights import RandomisedWeights
from methods.explainers.rollout import Rollout
from methods.explainers.saliency import Saliency
from methods.explainers.shuffled_attention import ShuffledAttention
from methods.receptive_field import permuted_keys
from methods.seeded import generator
from tasks.agreement.encoder import Encoder, Sizes
from tasks.classification import Classification
from tasks.pretrained import Pretrained
from tasks.word_choice_model import WordChoiceModel
from tests.architectures import KINDS, SIZES, blanks, example, tiny
from tests.conftest import shared
from tests.known_model import bag, batch_of, sentence
from tests.test_contracts import FILES, build

deberta_warns = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # transformers' own


@pytest.fixture(scope="module")
def task() -> Classification:
    path = str(shared("data", "sst2"))
    return Classification(path=path, shuffle=False, labels=["negative", "positive"], text="sentence")


@pytest.fixture(scope="module")
def sst2(task: Classification) -> Model:
    path = str(shared("checkpoints", "distilbert-minilm-sst2"))
    return Pretrained(path=path)(task, lambda done, total, note: None)


@pytest.fixture(scope="module")
def real(task: Classification, sst2: Model) -> Trace:
    """Two sentences, of 9 and 14 tokens."""
    by_length = sorted(task.examples(sst2)[:200], key=lambda example: len(example.input_ids))
    chosen = [next(example for example in by_length if len(example.input_ids) == n) for n in (9, 14)]
    tokens = sst2.tokens
    ids = {"unk": tokens.unk_token_id, "mask": tokens.mask_token_id, "pad": tokens.pad_token_id}
    return Trace(sst2.module, collate(chosen, "all", ids))


def test_the_floors_declare_that_they_are_floors():
    floors = {name for group, name in FILES if group == "explainers" and getattr(build(group, name), "floor", False)}
    shuffled = {"shuffled_attention", "shuffled_rollout"}
    randomised = {"randomised_attention", "randomised_rollout", "randomised_flow", "randomised_saliency"}
    assert floors >= {"random", "position", "diagonal"} | shuffled | randomised
    for method in (Random(), Position(), ShuffledAttention(), RandomisedWeights()):
        assert method.floor is True


def test_the_values_that_random_draws_have_not_changed():
    scores = Random(seed=0)(Trace(bag(), batch_of(sentence([5, 6, 7]))))
    drawn = int.from_bytes(hashlib.sha256(b"0:a").digest()[:16])
    assert scores[0, 0].tolist() == np.random.default_rng(drawn).random(5).tolist()


def two_sided(words: list[int], source: int, target: int, next_word: int, id: str = "a") -> Example:
    """An example for an encoder-decoder; its tokens do not matter."""
    sides = TwoSided(source, target, words, next_word)
    return Example(id, [5] * len(words), [Role.CONTENT] * len(words), len(words) - 1, 0, sides=sides)


def diagonal(*examples: Example) -> list[list[float]]:
    """The floor's scores of each example's tokens."""
    module = nn.Identity()
    module.steps = encoder_decoder_steps(1, 1)
    trace = SimpleNamespace(model=module, batch=collate(examples, "all", {"pad": 0}))
    scores = Diagonal()(trace)
    assert scores.shape == (len(examples), 1, trace.batch.input_ids.shape[1])
    return [row[: len(one.input_ids)].tolist() for row, one in zip(scores[:, 0], examples, strict=True)]


def test_the_diagonal_by_hand():
    """A source of three words and an end token; a target of a start token, two words and an end token."""
    source = [0, 1, 2, -1]  # at 1/8, 3/8, 5/8, 7/8 of the source; the target's tokens are at 1/6, 3/6, 5/6
    first = two_sided([*source, -1], 4, 4, 0, "first")
    second = two_sided([*source, -1, 0], 4, 4, 1, "second")
    end = two_sided([*source, -1, 0, 1], 4, 4, -1, "end")
    scores = diagonal(first, second, end)
    expected = [([-1 / 6], 1 / 6), ([-1 / 6, 1 / 6], 1 / 2), ([-1 / 6, 1 / 6, 1 / 2], 5 / 6)]
    for row, (own, t) in zip(scores, expected, strict=True):
        places = [1 / 8, 3 / 8, 5 / 8, 7 / 8, *own]
        assert row == pytest.approx([-abs(place - t) for place in places])
    # The nearest: the first word; the two in the middle, as near as each other; the end token
    assert np.argmax(scores[0][:4]) == 0
    assert scores[1][1] == pytest.approx(scores[1][2])
    assert np.argmax(scores[2][:4]) == 3


def test_the_diagonal_ties_what_is_equally_far():
    """As fractions say: rounding in floating point would tell some of these tokens apart."""
    for n in range(2, 12):
        for m in range(2, 12):
            for t in range(m):
                words = [*range(n), *range(t)]
                (row,) = diagonal(two_sided(words, n, m, t))
                source, prefix = ([Fraction(2 * at + 1, 2 * length) for at in range(length)] for length in (n, m))
                scores = [-abs(place - prefix[t]) for place in [*source, *prefix[:t]]]
                assert len(set(row)) == len(set(scores))
                assert np.argsort(row, kind="stable").tolist() == np.argsort(scores, kind="stable").tolist()


@pytest.mark.parametrize("start", [1, 2])
@pytest.mark.parametrize("before", [0, 1])
def test_the_diagonal_of_a_copy_is_the_copied_token(start: int, before: int):
    """However many tokens stand in front of the words on either side."""
    n = 7
    for t in range(n + 1):
        words = [*[-1] * before, *range(n), -1, *[-1] * start, *range(t)]
        example = two_sided(words, before + n + 1, start + n + 1, t if t < n else -1)
        (row,) = diagonal(example)
        assert np.argmax(row[: before + n + 1]) == before + t
        assert max(row[: before + n + 1]) == pytest.approx(0.0)
        if t:
            assert row[-1] == pytest.approx(-1 / (n + 1))  # the last token of the prefix is one before


def test_the_diagonal_refuses_a_model_of_one_text():
    with pytest.raises(ValueError, match="needs an encoder-decoder"):
        Diagonal().check_model(bag())
    with pytest.raises(ValueError, match="needs an encoder-decoder"):
        Diagonal()(Trace(bag(), batch_of(sentence([5, 6, 7]))))


def shuffled_by_hand(trace: Trace, seed: int) -> torch.Tensor:
    """Each row of each head's attention shuffled on its own, `[batch, layer, head, query, key]`."""
    attention = torch.zeros_like(trace.attention)
    for row, one in enumerate(trace.batch.examples):
        n = len(one.input_ids)
        for layer in range(attention.shape[1]):
            own = generator(seed, one.id, layer + 1).permuted(np.tile(np.arange(n), (n, 1)), axis=1)
            for head in range(attention.shape[2]):
                for query in range(n):
                    for key in range(n):
                        attention[row, layer, head, query, key] = trace.attention[
                            row, layer, head, query, own[query, key]
                        ]
    return attention


def test_shuffled_rows_keep_their_entries_and_nothing_else(real: Trace):
    seen = []

    def of(trace: Trace) -> torch.Tensor:
        seen.append(trace.attention)
        return Attention()(trace)

    scores = ShuffledAttention(of=of, seed=3)(real)
    (attention,) = seen
    assert torch.equal(attention, shuffled_by_hand(real, 3))
    assert torch.equal(attention.sort(dim=-1).values, real.attention.sort(dim=-1).values)
    mean, whole = attention.mean(dim=2), real.attention.mean(dim=2)
    assert torch.allclose(mean.sort(dim=-1).values, whole.sort(dim=-1).values, rtol=0, atol=1e-7)
    n = 9
    assert torch.equal(attention[0, :, :, n:], torch.zeros_like(attention[0, :, :, n:]))
    assert torch.equal(attention[0, ..., n:], torch.zeros_like(attention[0, ..., n:]))
    expected = [[sum(attention[0, layer, :, 0, key].tolist()) / 12 for key in range(n)] for layer in range(6)]
    assert np.allclose(scores[0, :, :n], expected, atol=1e-6)
    moved = [(mean[1, layer, query] != whole[1, layer, query]).any() for layer in range(6) for query in range(14)]
    assert all(moved)


def test_queries_layers_examples_and_seeds_are_shuffled_independently(real: Trace):
    sources = [permuted_keys(real, seed=seed) for seed in (0, 1)]
    rows = [tuple(row) for source in sources for row in source[:, :, :9, :9][0].flatten(0, 1).tolist()]
    assert len({*rows}) == len(rows) == 2 * 6 * 9
    one, other = real.batch.examples
    twins = Trace(real.model, collate([one, replace(one, id="another")], "all", real.batch.blank_ids))
    source = permuted_keys(twins, seed=0)
    assert (source[0] != source[1]).any()
    assert torch.equal(source[0], permuted_keys(real, seed=0)[0, :, :9, :9])
    assert len(other.input_ids) == 14


def test_every_token_is_as_likely_to_get_every_weight():
    trace = Trace(bag(), batch_of(*(sentence([5, 6, 7, 8], id=str(number)) for number in range(300))))
    places = permuted_keys(trace, seed=0)[:, 0, 0]  # [example, key]
    for key in range(6):
        counts = torch.bincount(places[:, key], minlength=6).double()
        assert ((counts - 50) ** 2 / 50).sum() < 20.5  # chi-squared with 5 degrees of freedom, at p = .001


def test_the_shuffled_trace_keeps_no_true_attention_and_leaves_the_original_unchanged(real: Trace):
    class Watching(Trace):
        from functools import cached_property

        @cached_property
        def total(self) -> torch.Tensor:
            return self.attention.sum(dim=(2, 3))

    trace = Watching(real.model, real.batch)
    before = trace.total.clone()
    scores = ShuffledAttention(of=lambda changed: changed.total)(trace)
    assert not torch.allclose(scores, before)
    assert torch.equal(trace.total, before)
    assert torch.equal(trace.attention, real.attention)
    kept = trace.gradient
    assert torch.allclose(ShuffledAttention(of=lambda changed: changed.gradient)(trace), kept)


def test_shuffled_rollout_is_the_product_of_the_shuffled_layers(real: Trace):
    attention = shuffled_by_hand(real, 0)[1].double().mean(dim=1)  # [layer, query, key]
    rolled = torch.eye(14, dtype=torch.float64)
    scores = ShuffledAttention(of=Rollout())(real)[1]
    for layer in range(6):
        rolled = (0.5 * torch.eye(14) + 0.5 * attention[layer]) @ rolled
        assert torch.allclose(scores[layer], rolled[0], atol=1e-6)


def by_hand(model: nn.Module, seed: int) -> nn.Module:
    """A copy whose linear layers, embeddings and norms are reset one after the other."""
    drawn = copy.deepcopy(model)
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    with torch.no_grad():
        for module in drawn.modules():
            if isinstance(module, nn.Linear | nn.Embedding | nn.LayerNorm):
                module.reset_parameters()
            elif isinstance(module, Conv1D):
                low = -(module.weight.shape[0] ** -0.5)
                module.weight.uniform_(low, -low)
                module.bias.uniform_(low, -low)
    torch.set_rng_state(state)
    return drawn


def test_randomised_weights_equal_the_explainer_on_a_randomly_initialised_model(real: Trace):
    drawn = by_hand(real.model, 4)
    trace = Trace(drawn, real.batch)
    for of in (Attention(), Rollout(), Flow()):
        scores = RandomisedWeights(of=of, seed=4)(real)
        assert torch.equal(scores, of(trace))
        assert not torch.allclose(scores, of(real), atol=1e-3)
    other = RandomisedWeights(seed=5)(real)
    assert not torch.allclose(other, RandomisedWeights(seed=4)(real), atol=1e-4)


def test_a_randomly_initialised_model_is_explained_for_the_real_models_class():
    """On a three-class classifier, where the two models predict different classes."""
    ones = [example(5, seed=number) for number in range(8)]
    trace = Trace(tiny("bert"), collate(ones, "all", blanks("bert")), token_budget=77)
    drawn = by_hand(trace.model, 9)
    assert (Trace(drawn, trace.batch).predicted != trace.predicted).any()
    assert (Trace(drawn, trace.batch).rival != trace.rival).any()
    scores = RandomisedWeights(of=Saliency(), seed=9)(trace)[:, 0]
    for row, one in enumerate(ones):
        ids = torch.tensor([one.input_ids])
        vectors = drawn.get_input_embeddings()(ids).detach().requires_grad_()
        shares = drawn(inputs_embeds=vectors, attention_mask=torch.ones_like(ids)).logits.double().softmax(dim=-1)[0]
        (shares[trace.target[row]] - shares[trace.rival[row]]).backward()
        assert torch.allclose(scores[row], vectors.grad[0].norm(dim=-1), rtol=1e-4, atol=1e-7)
    seen = []
    RandomisedWeights(of=lambda changed: seen.append(changed) or changed.gradient)(
        Trace(tiny("bert"), trace.batch, target=1, output="logit", token_budget=77)
    )
    assert (seen[0].kind, seen[0].token_budget, seen[0].target.tolist()) == ("logit", 77, [1] * 8)


def parameters(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.named_parameters()}


@deberta_warns
@pytest.mark.parametrize("kind", [*KINDS, "agreement", "deberta"])
@pytest.mark.parametrize("masked", [False, True])
def test_no_weight_of_any_model_is_kept(kind: str, masked: bool):
    if kind == "agreement":
        model = Encoder(Sizes(vocabulary=60, layers=2, heads=4, hidden=32)).eval()
    elif kind == "deberta":
        options = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "attn_implementation": "eager"}
        model = DebertaForMaskedLM(DebertaConfig(**SIZES, **options)).eval()
    else:
        model = tiny(kind, AutoModelForMaskedLM) if masked else tiny(kind)
    if masked and kind != "agreement":
        model = WordChoiceModel(model)
    model = copy.deepcopy(model).requires_grad_(False)
    with torch.no_grad():
        for value in model.parameters():  # norms and biases are trained values too, not initial ones
            value.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(1)) * 0.1)
    before, state = parameters(model), torch.get_rng_state()
    method = RandomisedWeights(seed=1)
    method.check_model(model)
    drawn = method.randomised(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in model.named_parameters())
    after = parameters(drawn)
    assert before.keys() == after.keys()
    for name, value in after.items():
        assert (value != before[name]).double().mean() > 0.9, name
        assert torch.isfinite(value).all()
        assert value.dim() < 2 or value.std() > 0, name
    again = method.randomised(model)
    assert all(torch.equal(after[name], value) for name, value in again.named_parameters())
    assert not drawn.training
    assert not any(value.requires_grad for value in drawn.parameters())


@deberta_warns
@pytest.mark.parametrize("kind", ["bert", "deberta-v2"])
def test_a_word_choice_model_can_be_randomised(kind: str):
    model = WordChoiceModel(tiny(kind, AutoModelForMaskedLM))
    ones = [replace(example(n), position=2, candidates=[7, 9]) for n in (4, 7)]
    trace = Trace(model, collate(ones, "all", blanks(kind)))
    for of in (Rollout(), Saliency()):
        together = RandomisedWeights(of=of)(trace)
        alone = RandomisedWeights(of=of)(Trace(model, collate(ones[:1], "all", blanks(kind))))
        assert torch.allclose(together[0, :, :6], alone[0], rtol=1e-4, atol=1e-6)
        assert not model.base_model._forward_hooks


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Parameter(torch.ones(2))
        self.bias = nn.Parameter(torch.ones(2))


def test_a_module_that_cannot_be_reset_is_named():
    model = bag()
    model.extra = Gate()
    message = r"its module extra \(Gate\) holds gate, which randomised weights cannot reset.*reset_parameters"
    with pytest.raises(ValueError, match=message):
        RandomisedWeights().check_model(model)
    with pytest.raises(ValueError, match=message):
        RandomisedWeights()(Trace(model, batch_of(sentence([5, 6, 7]))))


@pytest.mark.parametrize("floor", [ShuffledAttention, RandomisedWeights])
def test_a_model_that_the_explainer_refuses_the_floor_refuses_too(floor: type):
    with pytest.raises(ValueError, match="model type 'mpnet'"):
        floor(of=LayerGradientXActivation()).check_model(tiny("mpnet"))
    floor(of=Rollout()).check_model(tiny("mpnet"))


def test_a_floor_of_any_explainer_can_be_named_on_the_command_line():
    nested = {"_target_": "methods.explainers.rollout.Rollout", "heads": "max"}
    for name in ("shuffled_attention.ShuffledAttention", "randomised_weights.RandomisedWeights"):
        method = instantiate(OmegaConf.create({"_target_": f"methods.explainers.{name}", "of": nested, "seed": 2}))
        assert method.of == Rollout(heads="max")
        of = (
            "Rollout(residual=0.5, heads='max', read_out='head', receptive_field='none', draws=8, seed=0, encoder=True)"
        )
        assert f"of={of}, seed=2" in repr(method)


def test_saturated_flow_is_counted_as_defined(real: Trace):
    saturated = Flow().saturated(real)
    assert saturated.shape == (2, 6)
    assert saturated.dtype == torch.float64
    for row, n in enumerate((9, 14)):
        attention = real.attention[row, :, :, :n, :n].double().mean(dim=1).numpy()
        layers = 0.5 * np.eye(n) + 0.5 * attention / attention.sum(axis=-1, keepdims=True)
        flows = slowly(layers, 0)
        for layer in range(6):
            met = [abs(flows[layer, key] - min(1, layers[0, :, key].sum())) <= 1e-9 for key in range(n)]
            assert saturated[row, layer].item() == pytest.approx(sum(met) / n)
    assert saturated[:, 0].max() == 0  # no token gets all of its flow from one query
    assert (saturated[:, -1] > 0).all()


def slowly(layers: np.ndarray, source: int) -> np.ndarray:
    """Maximum flows by linear programming, `[layer, token]`."""
    from scipy.optimize import linprog

    count, n, _ = layers.shape
    flows = np.zeros((count, n))
    for top in range(1, count + 1):
        edges = [(m, i, j) for m in range(1, top + 1) for i in range(n) for j in range(n) if m < top or i == source]
        balance = np.zeros(((top - 1) * n, len(edges)))
        for column, (m, i, j) in enumerate(edges):
            if m < top:
                balance[(m - 1) * n + i, column] += 1
            if m > 1:
                balance[(m - 2) * n + j, column] -= 1
        bounds = [(0, layers[m - 1, i, j]) for m, i, j in edges]
        for key in range(n):
            gain = np.array([-1.0 if (m, j) == (1, key) else 0.0 for m, _, j in edges])
            stop = [(0, 0) if m == 1 and j != key else bound for (m, _, j), bound in zip(edges, bounds, strict=True)]
            matrix, right = (balance, np.zeros(len(balance))) if top > 1 else (None, None)
            flows[top - 1, key] = -linprog(gain, A_eq=matrix, b_eq=right, bounds=stop).fun
    return flows


def given(*layers) -> Trace:
    """A trace of three tokens whose one head attends as given."""
    attention = torch.tensor(layers)[:, None]  # [layer, 1, query, key]
    return Trace(bag(attention=attention), batch_of(sentence([5])))


def test_saturation_by_hand():
    half = [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]]
    spread = [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]
    # Columns of the first layer sum to 0.5, 1 and 1.5. In layer 1 the first token gets all it can from CLS, 0.5; in
    # layer 2 it still does, through its own 0.5; the others 0.25 + 0.5 and 0.25 + 0.25 of 1
    saturated = Flow(residual=0.0).saturated(given(half, spread))
    assert saturated[0].tolist() == pytest.approx([1 / 3, 1 / 3])
    trace = given(half, spread)
    content = Trace(trace.model, batch_of(sentence([5]), include="content"))
    assert Flow(residual=0.0).saturated(content)[0].tolist() == [0.0, 0.0]
    assert Flow(residual=1.0).saturated(trace)[0].tolist() == pytest.approx([1 / 3, 1 / 3])
    nothing = Trace(trace.model, replace(trace.batch, ranked=torch.zeros_like(trace.batch.ranked)))
    assert Flow().saturated(nothing).isnan().all()


@pytest.mark.parametrize("options", [{"heads": "each"}, {"read_out": "mean"}])
def test_saturation_of_other_flows_is_undefined(options: dict):
    trace = Trace(bag(), batch_of(sentence([5, 6, 7])))
    saturated = Flow(**options).saturated(trace)
    assert saturated.shape == Flow(**options)(trace).shape[:-1]
    assert saturated.isnan().all()


def test_each_example_can_have_its_own_explained_class():
    batch = batch_of(sentence([5, 6, 7]), sentence([8, 9], id="b"))
    one, other = (Trace(bag(), batch, target=target) for target in (0, 1))
    each = Trace(bag(), batch, target=torch.tensor([1, 0]))
    assert each.target.tolist() == [1, 0]
    assert torch.equal(each.gradient, torch.stack([other.gradient[0], one.gradient[1]]))
    with pytest.raises(ValueError, match="target is one of 0 to 1, got 2"):
        Trace(bag(), batch, target=torch.tensor([1, 2]))
    with pytest.raises(ValueError, match=r"one for each of the 2 examples .* got torch.int64 of shape \(3,\)"):
        Trace(bag(), batch, target=torch.tensor([1, 1, 0]))


@pytest.mark.parametrize("kind", ["marian", "pegasus", "m2m_100", "bart", "t5"])
def test_randomised_weights_keep_an_encoder_decoders_computed_positions_and_nothing_else(kind: str):
    model = tiny(kind)
    drawn = RandomisedWeights(seed=1).randomised(model)
    before, after = ({**dict(one.named_parameters()), **dict(one.named_buffers())} for one in (model, drawn))
    same = {name for name, value in after.items() if torch.equal(value, before[name])}
    sinusoidal = {name for name in before if "embed_positions" in name} if kind != "bart" else set()
    assert same == sinusoidal | {name for name in before if name.endswith("final_logits_bias")}
    assert bool(sinusoidal) == (kind in ("marian", "pegasus", "m2m_100"))
