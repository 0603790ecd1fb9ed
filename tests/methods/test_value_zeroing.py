import copy
from functools import cache

import pytest
import torch
from torch import Tensor

from harness.tracing.batch import collate
from harness.tracing.run import Trace
from methods.explainers.value_zeroing import ValueZeroing
from tests.architectures import blanks, example, tiny
from tests.real_model import MASKED, SST2, parts, plain, real_model, real_trace


@cache
def zeroed_by_hand(name: str, index: int) -> list[Tensor]:
    """The maps `[query, key]` of each layer: patch the value module for one token at a time and run the model."""
    module, batch = real_model(name, torch.float64)
    states = plain(module, batch, index)[0]
    maps = []
    for layer, part in enumerate(parts(name, module)):
        scores = torch.zeros(len(states[0]), len(states[0]), dtype=torch.float64)
        for token in range(len(states[0])):

            def zero(_module, _inputs, output: Tensor, token: int = token) -> Tensor:
                output = output.clone()
                output[:, token] = 0.0
                return output

            hook = part.value.register_forward_hook(zero)
            changed = plain(module, batch, index)[0]
            hook.remove()
            assert torch.equal(changed[layer], states[layer])  # the layer's true input
            for query in range(len(states[0])):
                ours, theirs = states[layer + 1][query].double(), changed[layer + 1][query].double()
                scores[query, token] = 1 - torch.cosine_similarity(ours, theirs, dim=0)
        maps.append(scores / scores.sum(dim=1, keepdim=True))
    return maps


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-9)], ids=str)
@pytest.mark.parametrize("name", [SST2, MASKED])
def test_value_zeroing_is_one_run_per_token_with_its_value_patched(name, dtype, tolerance):
    trace = real_trace(name, dtype)
    own, rolled = ValueZeroing()(trace), ValueZeroing(rollout=True)(trace)
    n, position = int(trace.batch.length[1]), int(trace.batch.position[1])
    below = torch.eye(n, dtype=torch.float64)
    for layer, scores in enumerate(zeroed_by_hand(name, 1)):
        below = scores @ below
        assert torch.allclose(own[1, layer, :n], scores[position], rtol=tolerance, atol=1e-7)
        assert torch.allclose(rolled[1, layer, :n], below[position], rtol=tolerance, atol=1e-7)
    assert (own[1, :, n:] == 0).all()


def test_rows_sum_to_one_and_the_token_budget_changes_nothing():
    module, batch = tiny("electra"), collate([example(9), example(4, seed=1)], "all", blanks("electra"))
    for method in (ValueZeroing(), ValueZeroing(rollout=True)):
        whole, cut = method(Trace(module, batch)), method(Trace(module, batch, token_budget=1))
        assert torch.allclose(whole.sum(dim=-1), torch.ones(2, 3, dtype=torch.float64))
        assert torch.allclose(whole, cut, rtol=1e-4)


def test_a_query_that_no_value_affects_is_undefined(trace: Trace):
    """With attention's output projection at zero, no value has any effect."""
    module = copy.deepcopy(trace.model)
    for layer in module.layers:
        layer.block.attn.c_proj.weight.zero_()
    assert ValueZeroing()(Trace(module, trace.batch))[trace.batch.ranked[:, None].expand(-1, 3, -1)].isnan().all()


def test_only_true_or_false_is_accepted():
    with pytest.raises(ValueError, match="rollout is true or false, got 'yes'"):
        ValueZeroing(rollout="yes")
