import copy
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from harness.tracing.batch import collate
from harness.tracing.layer import Layer, Linear, Norm, layer_run
from harness.tracing.run import Trace
from harness.tracing.steps import layer_steps
from methods.decomposition import add_residual, mixed, normalised, rolled_out, summands, transformed
from methods.explainers.alti import Alti
from methods.explainers.globenc import GlobEnc
from methods.explainers.norm_based import NormBased
from tests.architectures import blanks, example, tiny
from tests.real_model import MASKED, SST2, Parts, parts, plain, real_model, real_trace

CHECKPOINTS = pytest.mark.parametrize("name", [SST2, MASKED])
DTYPES = {torch.float32: 1e-4, torch.float64: 1e-10}
PRODUCTS = {"globenc": False, "globenc_normalised": True, "alti": True}  # maps multiplied, rows normalised or not


def vectors_by_hand(part: Parts, state: Tensor, attention: Tensor, query: int) -> Tensor:
    """What attention carries to a query from each key, `[key, hidden]`: one token, one head at a time."""
    heads, size = len(attention), state.shape[1] // len(attention)
    summed = torch.zeros_like(state)
    for key in range(len(state)):
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            value = part.value.weight[own] @ state[key] + part.value.bias[own]
            summed[key] += attention[head, query, key] * (part.projection.weight[:, own] @ value)
    return summed


def normed_by_hand(norm: nn.LayerNorm, vector: Tensor, total: Tensor) -> Tensor:
    """A summand's share of a LayerNorm of the total."""
    variance = ((total - total.mean()) ** 2).mean()
    return norm.weight * (vector - vector.mean()) / (variance + norm.eps) ** 0.5


def through_layer_by_hand(part: Parts, state: Tensor, attention: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Summands with residual `[query, key, hidden]`, their sum with bias, its LayerNorm, and the second one's input."""
    vectors = torch.stack([vectors_by_hand(part, state, attention, query) for query in range(len(state))])
    for query in range(len(state)):
        vectors[query, query] += state[query]
    total = vectors.sum(dim=1) + part.projection.bias
    first = part.first_norm(total)
    return vectors, total, first, first + part.outer(nn.functional.gelu(part.inner(first)))


@cache
def maps_by_hand(name: str, index: int) -> dict[str, list[Tensor]]:
    """The maps `[query, key]` of each layer, per method, before their rows are normalised; in float64."""
    module, batch = real_model(name, torch.float64)
    states, attentions = plain(module, batch, index)
    maps: dict[str, list[Tensor]] = {key: [] for key in ("attention", "residual", "layer_norm", *PRODUCTS)}
    for part, state, attention in zip(parts(name, module), states, attentions, strict=False):
        vectors, total, first, second = through_layer_by_hand(part, state, attention)
        n = len(state)
        rows = {key: torch.zeros(n, n, dtype=torch.float64) for key in maps}
        for query in range(n):
            for key in range(n):
                vector = vectors[query, key]
                normed = normed_by_hand(part.first_norm, vector, total[query])
                own = state[query] if query == key else 0
                rows["attention"][query, key] = (vector - own).norm()
                rows["residual"][query, key] = vector.norm()
                rows["layer_norm"][query, key] = normed.norm()
                rows["globenc"][query, key] = normed_by_hand(part.second_norm, normed, second[query]).norm()
                rows["globenc_normalised"][query, key] = rows["globenc"][query, key]
                distance = (first[query] - normed).abs().sum()
                rows["alti"][query, key] = max(0.0, float(first[query].abs().sum() - distance))
        for key in maps:
            maps[key].append(rows[key])
    return maps


@pytest.mark.parametrize("dtype", list(DTYPES), ids=str)
@CHECKPOINTS
def test_every_method_matches_its_definition_one_token_and_one_head_at_a_time(name: str, dtype: torch.dtype):
    trace = real_trace(name, dtype)
    methods = {block: NormBased(block) for block in ("attention", "residual", "layer_norm")}
    methods |= {"globenc": GlobEnc(), "globenc_normalised": GlobEnc(normalise=True), "alti": Alti()}
    scores = {key: method(trace) for key, method in methods.items()}
    for index in range(2):
        n, position = int(trace.batch.length[index]), int(trace.batch.position[index])
        for key, maps in maps_by_hand(name, index).items():
            below = torch.eye(n, dtype=torch.float64)
            for layer, raw in enumerate(maps):
                expected = raw[position]
                if key in PRODUCTS:
                    below = (raw / raw.sum(dim=1, keepdim=True) if PRODUCTS[key] else raw) @ below
                    expected = below[position]
                assert torch.allclose(scores[key][index, layer, :n], expected, rtol=DTYPES[dtype], atol=1e-9)
            assert (scores[key][index, :, n:] == 0).all()


@CHECKPOINTS
def test_the_summands_add_up_to_the_outputs_of_the_models_own_modules(name: str):
    """They give attention's output with residual; ALTI's vectors and biases give the first LayerNorm's true output."""
    trace = real_trace(name)
    module, batch = real_model(name)
    seen: list[tuple[Tensor, Tensor]] = []
    hooks = [
        part.first_norm.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
        for part in parts(name, module)
    ]
    with torch.no_grad():
        module(**batch.inputs)
    for hook in hooks:
        hook.remove()
    real = batch.attention_mask.bool()
    rows = torch.arange(real.shape[1]).expand(len(real), -1)
    for run, part, (summed, normed) in zip(trace.layer_runs, parts(name, module), seen, strict=True):
        vectors = add_residual(run, rows, summands(run, transformed(run), rows))
        assert torch.allclose((vectors.sum(dim=2) + part.projection.bias)[real], summed[real], atol=2e-5)
        norm = run.layer.attention_norm
        shares = norm.shares(vectors, run.attended).sum(dim=2)
        shares += norm.shares(part.projection.bias.expand_as(summed)[:, :, None], summed)[:, :, 0]
        assert torch.allclose((shares + part.first_norm.bias)[real], normed[real], atol=2e-5)


def identity_layer(**changes) -> Layer:
    """Two dimensions, one head, and every map the identity without bias."""
    same, norm = Linear(torch.eye(2), torch.zeros(2)), Norm(torch.ones(2), torch.zeros(2), 1e-5, centred=True)
    options = {"heads": 1, "pre_norm": False, "query": same, "key": same, "value": same, "attention_output": same}
    options |= {"attention_norm": norm, "inner": same, "activation": torch.relu, "outer": same}
    return Layer(**(options | {"feed_forward_norm": norm} | changes))


def test_a_norm_by_hand():
    layer = identity_layer(
        value=Linear(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0.0, 1.0])),
        attention_output=Linear(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([9.0, 9.0])),
    )
    states = torch.tensor([[[1.0, 2.0], [2.0, -1.0]]])  # values (2, 3) and (4, 0), projected (3, 2) and (0, 4)
    run = layer_run(layer, states, torch.tensor([[[[0.5, 0.5], [0.25, 0.75]]]]), *[torch.ones(1, 2).bool()] * 2)
    rows = torch.tensor([[0, 1]])
    vectors = summands(run, transformed(run), rows)
    assert vectors[0].tolist() == [[[1.5, 1.0], [0.0, 2.0]], [[0.75, 0.5], [0.0, 3.0]]]
    assert add_residual(run, rows, vectors)[0].tolist() == [[[2.5, 3.0], [0.0, 2.0]], [[0.75, 0.5], [2.0, 2.0]]]
    assert run.attended[0].tolist() == [[11.5, 14.0], [11.0 + 0.75, 11.5]]


def test_a_query_whose_contributions_are_all_clipped_is_undefined():
    class One:
        batch = collate([example(1)], "all", blanks("bert"))
        token_budget = 4
        all_read = torch.ones(1, 3).bool()
        even = torch.full((1, 1, 3, 3), 1 / 3)
        layer_runs = (layer_run(identity_layer(), torch.ones(1, 3, 2), even, all_read, all_read),) * 2
        steps = layer_steps(2, causal=False)
        sides = None
        read_out, _rows = Trace.read_out, Trace._rows
        ends = Trace.ends
        head_weights = None
        by_position = False
        causal = False

    def measure(run, rows, vectors):
        return (rows[:, :, None] > 0) * torch.ones(1, 1, 3)  # the explained position's own row is empty

    assert rolled_out(One(), measure, normalise=True).isnan().all()
    assert normalised(torch.tensor([[0.0, 0.0], [1.0, 3.0]]), torch.ones(2, 2).bool())[1].tolist() == [0.25, 0.75]


def test_an_undefined_row_makes_only_rows_that_give_it_weight_undefined():
    below = torch.tensor([[[0.5, 0.5, 0.0], [torch.nan] * 3, [0.0, 0.0, 1.0]]])
    maps = torch.tensor([[[0.5, 0.0, 0.5], [0.2, 0.8, 0.0], [torch.nan] * 3]])
    product = mixed(maps, below)[0]
    assert product[0].tolist() == [0.25, 0.25, 0.5]
    assert product[1:].isnan().all()


@pytest.mark.parametrize("method", [GlobEnc(normalise=True), Alti()], ids=repr)
def test_rolled_out_rows_sum_to_one_and_the_token_budget_changes_nothing(method):
    module, batch = tiny("bert"), collate([example(9), example(4, seed=1)], "all", blanks("bert"))
    whole, cut = method(Trace(module, batch)), method(Trace(module, batch, token_budget=1))
    assert torch.allclose(whole.sum(dim=-1), torch.ones(2, 3, dtype=torch.float64))
    assert torch.allclose(whole, cut, rtol=1e-5)


def test_a_pre_ln_model_has_no_layer_norm_to_pass_through(trace: Trace):
    assert torch.equal(NormBased("layer_norm")(trace), NormBased("residual")(trace))
    assert not torch.allclose(NormBased("attention")(trace), NormBased("residual")(trace))
    run = trace.layer_runs[0]
    rows = torch.arange(run.state.shape[1]).expand(len(run.state), -1)
    vectors = add_residual(run, rows, summands(run, transformed(run), rows))
    real = trace.batch.attention_mask.bool()
    summed = vectors.sum(dim=2) + run.layer.attention_output.bias
    block = trace.model.layers[0].block
    with torch.no_grad():
        value = block.attn.c_attn(block.ln_1(trace.hidden[:, 0])).chunk(3, dim=-1)[2]
        context = trace.attention[:, 0] @ value.unflatten(-1, (4, 8)).transpose(1, 2)
        attended = trace.hidden[:, 0] + block.attn.c_proj(context.transpose(1, 2).flatten(2))
    assert torch.allclose(summed[real], attended[real], atol=1e-5)


@pytest.mark.parametrize("kind", ["albert", "deberta-v2", "mpnet"])
@pytest.mark.parametrize("method", [NormBased(), GlobEnc(), Alti()], ids=repr)
def test_a_model_with_unknown_parts_is_refused(kind: str, method):
    with pytest.raises(ValueError, match=f"does not know where model type '{kind}' keeps them"):
        method.check_model(tiny(kind))


def test_a_layer_with_different_arithmetic_is_refused():
    module = copy.deepcopy(tiny("bert"))
    module.bert.encoder.layer[1].intermediate.dense.register_forward_hook(lambda _, __, output: output * 1.01)
    trace = Trace(module, collate([example(4)], "all", blanks("bert")))
    with pytest.raises(ValueError, match="layer 2 of the model computes other states than its parts do"):
        NormBased()(trace)


def test_an_unknown_block_is_refused():
    with pytest.raises(ValueError, match="block is one of attention, residual, layer_norm, got 'norm'"):
        NormBased("norm")
