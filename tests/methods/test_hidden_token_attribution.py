import copy
import hashlib
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import jacobian

from harness.contracts import Model
from harness.tracing.architectures import known
from harness.tracing.batch import Batch, Example, collate
from harness.tracing.model_parts import model_layers
from harness.tracing.run import Trace
from methods.explainers.hidden_token_attribution import HiddenTokenAttribution
from tests.architectures import KINDS, blanks, example, tiny
from tests.real_model import MASKED, SST2, parts, real_model

KNOWN = [kind for kind in KINDS if kind in known() and kind != "modernbert"]  # which has rotations


def squares_by_hand(
    module: Any, batch: Batch, index: int, first: nn.Module, at: nn.Module | None, heads: int = 1
) -> Tensor:
    """Squared norms of PyTorch's own Jacobian through the model, at the input of module `at`, `[head, token]`.

    Without `at`, at the last layer's output.
    """
    return jacobian_by_hand(module, batch, index, first, at).square().sum(dim=-1).unflatten(0, (heads, -1)).sum(dim=1)


def jacobian_by_hand(module: Any, batch: Batch, index: int, first: nn.Module, at: nn.Module | None) -> Tensor:
    """The same Jacobian, `[hidden, token, hidden]`."""
    n, position = int(batch.length[index]), int(batch.position[index])
    inputs = {name: value[index : index + 1] for name, value in batch.inputs.items()}
    inputs |= {name: inputs[name][:, :n] for name in ("input_ids", "attention_mask")}
    seen: list[Tensor] = []
    hook = first.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        module(**inputs)
    hook.remove()

    def run(state: Tensor) -> Tensor:
        read: list[Tensor] = []
        hooks = [first.register_forward_pre_hook(lambda _, given: (state, *given[1:]))]
        if at is not None:
            hooks.append(at.register_forward_pre_hook(lambda _, given: read.append(given[0])))
        read.append(module(**inputs, output_hidden_states=True).hidden_states[-1])
        for hook in hooks:
            hook.remove()
        return read[0][0, position]

    return jacobian(run, seen[0], vectorize=True)[:, 0]


def shares(squares: Tensor) -> Tensor:
    return squares.sqrt() / squares.sqrt().sum(dim=-1, keepdim=True)


@pytest.mark.parametrize(("name", "of"), [(SST2, "layer"), (MASKED, "layer"), (SST2, "head")])
def test_on_a_real_model_it_equals_pytorchs_jacobian(name: str, of: str):
    module, batch = real_model(name)
    alone = collate(batch.examples[1:], "all", batch.blank_ids)
    module = copy.deepcopy(module)
    del (module.distilbert.transformer if name == SST2 else module.base_model.encoder).layer[3:]  # for speed
    trace = Trace(module, alone)
    ours, drawn = HiddenTokenAttribution(of)(trace)[0, 1], HiddenTokenAttribution(of, samples=3, seed=5)(trace)[0, 1]
    layers = model_layers(module.double())
    heads, at = (1, layers[2]) if of == "layer" else (12, parts(name, module)[1].projection)
    slopes = jacobian_by_hand(module, alone, 0, layers[0], at).unflatten(0, (heads, -1))  # [head, out, token, in]
    assert torch.allclose(ours, shares(slopes.square().sum(dim=(1, 3))).squeeze(0), rtol=1e-4)
    seed = int.from_bytes(hashlib.sha256(f"5:{alone.examples[0].id}".encode()).digest()[:8]) >> 1
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(3, heads, 3, slopes.shape[1], dtype=torch.float64, generator=generator)[1]
    squares = torch.einsum("hso,hoti->hsti", directions, slopes).square().sum(dim=-1).mean(dim=1)
    assert torch.allclose(drawn, shares(squares).squeeze(0), rtol=1e-4)


@pytest.mark.parametrize("kind", KNOWN)
def test_at_every_layer_it_equals_pytorchs_jacobian(kind: str):
    module = copy.deepcopy(tiny(kind)).double()
    batch = collate([example(0), example(4), example(6, seed=1)], "all", blanks(kind))
    batch.position[2] = 3  # not only the first token
    trace = Trace(module, batch)
    layers = model_layers(module)
    ours = HiddenTokenAttribution().squares(trace)
    by_head = HiddenTokenAttribution(of="head").squares(trace)
    projections = [
        layer.attention.out_lin if kind == "distilbert" else layer.attention.output.dense for layer in layers
    ]
    for index, n in enumerate(batch.length.tolist()):
        for layer in range(3):
            expected = squares_by_hand(module, batch, index, layers[0], [*layers, None][layer + 1])
            assert torch.allclose(ours[index, layer, :n], expected[0], rtol=1e-9)
            expected = squares_by_hand(module, batch, index, layers[0], projections[layer], heads=4)
            assert torch.allclose(by_head[index, layer, :, :n], expected, rtol=1e-9)
    assert (ours[0, :, 6:] == 0).all()


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3_text", "gpt_neox"])
def test_on_a_decoder_it_equals_pytorchs_jacobian(kind: str):
    """Its layers are called again as the run called them, with their masks, rotations and windows."""
    module = copy.deepcopy(tiny(kind)).double()
    rounding = 1e-9 if kind == "gpt2" else 1e-6  # the others' norms, rotations or softmax are in float32 in any case
    batch = collate([example(4, kind=kind), example(7, seed=1, kind=kind)], "all", blanks(kind))
    trace = Trace(module, batch)
    layers, body = model_layers(module), module.base_model
    last = body.ln_f if kind == "gpt2" else body.final_layer_norm if kind == "gpt_neox" else body.norm
    ours, by_head = HiddenTokenAttribution().squares(trace), HiddenTokenAttribution(of="head").squares(trace)
    drawn = HiddenTokenAttribution(samples=400).squares(trace)
    for index, n in enumerate(batch.length.tolist()):
        for layer in range(3):
            expected = squares_by_hand(module, batch, index, layers[0], [*layers, last][layer + 1])
            assert torch.allclose(ours[index, layer, :n], expected[0], rtol=rounding)
            assert torch.allclose(drawn[index, layer, :n], expected[0], rtol=0.6, atol=1e-9)
            part = layers[layer]
            projection = (
                part.attn.c_proj
                if kind == "gpt2"
                else getattr(part, "attention" if kind == "gpt_neox" else "self_attn").get_submodule(
                    "dense" if kind == "gpt_neox" else "o_proj"
                )
            )
            expected = squares_by_hand(module, batch, index, layers[0], projection, heads=4)
            assert torch.allclose(by_head[index, layer, :, :n], expected, rtol=rounding)


def test_on_a_pre_ln_model_it_equals_pytorchs_jacobian(model: Model, examples: list[Example]):
    module = copy.deepcopy(model.module).double()
    batch = collate([replace(examples[4], position=2)], "all", model.blank_ids)
    trace = Trace(module, batch)
    for of, squares in zip(("layer", "head"), agreement_squares_by_hand(module, batch, 0), strict=True):
        assert torch.allclose(HiddenTokenAttribution(of).squares(trace)[0], squares, rtol=1e-9)
        drawn = [HiddenTokenAttribution(of, samples=4, seed=seed).squares(trace)[0] for seed in range(20)]
        mean, spread = torch.stack(drawn).mean(dim=0), torch.stack(drawn).std(dim=0)
        assert ((mean - squares).abs() <= 5 * spread / 20**0.5).all()


def agreement_squares_by_hand(module: Any, batch: Batch, index: int) -> tuple[Tensor, Tensor]:
    """Squared norms for the agreement model's layers and heads, its state replaced after the embedding's dropout."""
    n, position = int(batch.length[index]), int(batch.position[index])
    inputs = {name: batch.inputs[name][index : index + 1, :n] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        start = module(**inputs, output_hidden_states=True).hidden_states[0]
    projections = [layer.block.attn.c_proj for layer in model_layers(module)]

    def run(state: Tensor) -> Tensor:
        heads: list[Tensor] = []
        hooks = [module.dropout.register_forward_hook(lambda *_: state)]
        hooks += [
            one.register_forward_pre_hook(lambda _, given: heads.append(given[0].flatten(2))) for one in projections
        ]
        states = module(**inputs, output_hidden_states=True).hidden_states
        for hook in hooks:
            hook.remove()
        return torch.stack([one[0, position] for one in (*states[1:], *heads)])

    squares = jacobian(run, start, vectorize=True)[:, :, 0].square().sum(dim=-1)  # [layer + layer, hidden, token]
    layers = len(projections)
    return squares[:layers].sum(dim=1), squares[layers:].unflatten(1, (module.config.n_head, -1)).sum(dim=2)


@pytest.mark.parametrize("of", ["layer", "head"])
def test_the_estimate_is_unbiased_and_converges(of: str):
    trace = Trace(tiny("distilbert"), collate([example(4)], "all", blanks("distilbert")))
    exact = HiddenTokenAttribution(of).squares(trace)
    one = [HiddenTokenAttribution(of, samples=1, seed=seed).squares(trace) for seed in range(50)]
    mean, spread = torch.stack(one).mean(dim=0), torch.stack(one).std(dim=0)
    assert ((mean - exact).abs() <= 5 * spread / 50**0.5).all()
    errors = [
        ((HiddenTokenAttribution(of, samples=samples).squares(trace) - exact).norm() / exact.norm()).item()
        for samples in (2, 32, 1024)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.1


def test_the_token_budget_changes_nothing():
    batch = collate([example(9), example(4, seed=1)], "all", blanks("bert"))
    for method in (HiddenTokenAttribution(samples=3), HiddenTokenAttribution("head", samples=3)):
        whole, cut = method(Trace(tiny("bert"), batch)), method(Trace(tiny("bert"), batch, token_budget=60))
        assert torch.allclose(whole.sum(dim=-1), torch.ones((), dtype=torch.float64))
        assert torch.allclose(whole, cut, rtol=1e-4)


def test_attention_that_is_not_a_softmax_of_queries_and_keys_is_refused():
    trace = Trace(tiny("bert"), collate([example(4)], "all", blanks("bert")))
    trace.layer_runs  # noqa: B018
    trace.attention = trace.attention.roll(1, dims=-1)
    with pytest.raises(ValueError, match="attention of layer 1 is not the softmax of its queries and keys alone"):
        HiddenTokenAttribution()(trace)


def test_a_model_with_unknown_parts_is_refused():
    with pytest.raises(ValueError, match="does not know where model type 'albert' keeps them"):
        HiddenTokenAttribution().check_model(tiny("albert"))


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match="of is one of layer, head, got 'token'"):
        HiddenTokenAttribution(of="token")
    with pytest.raises(ValueError, match="samples is a whole number, at least 1, got 0"):
        HiddenTokenAttribution(samples=0)
