import pytest
import torch
from torch import Tensor

from harness.tracing.batch import collate
from harness.tracing.run import Trace
from methods.explainers.attention import Attention
from methods.explainers.effective_attention import EffectiveAttention, effective_attention
from methods.explainers.rollout import Rollout
from tests.architectures import KINDS, blanks, example, tiny
from tests.model_by_hand import ModelByHand, worst
from tests.real_model import MASKED, SST2, real_model, real_trace


def by_hand(attention: Tensor, transformed: Tensor) -> Tensor:
    """Rows without their component in the null space of T's transpose, `[query, key]`, by decomposing T itself."""
    vectors, values, _ = torch.linalg.svd(transformed)
    spaces = torch.zeros(len(vectors), dtype=transformed.dtype)
    spaces[: len(values)] = values
    null = vectors[:, spaces < max(transformed.shape) * torch.finfo(transformed.dtype).eps * values.max()]
    return attention - attention @ null @ null.T


@pytest.mark.parametrize("name", [SST2, MASKED])
def test_effective_attention_matches_its_definition_one_head_at_a_time(name: str):
    """In sentences shorter than a head's 32 dimensions, it is attention itself except for rounding."""
    trace = real_trace(name)
    ours = effective_attention(trace)
    scores = EffectiveAttention()(trace)
    for index, n in enumerate(trace.batch.length.tolist()):
        model = ModelByHand(name, index)
        model.run()
        for layer, (step, part) in enumerate(zip(model.steps, model.parts, strict=True)):
            mean = torch.zeros(n, n, dtype=torch.float64)
            for head in range(model.heads):
                own = slice(head * 32, (head + 1) * 32)
                theirs = by_hand(step.attention[head], step.values[head] @ part.projection.weight[:, own].T)
                mean += theirs / model.heads
                assert worst(ours[index, layer, head, :n, :n], theirs) < 1e-4
            assert worst(scores[index, layer, :n], mean[model.position]) < 1e-4


@pytest.mark.parametrize("name", [SST2, MASKED])
def test_a_long_sentences_effective_attention_gives_the_same_layer_output(name: str):
    """48 tokens with 32 dimensions per head: 16 dimensions of each row are removed."""
    module, batch = real_model(name)
    one = batch.examples[0]
    middle = list(one.input_ids[1:-1]) * 8
    ids = [one.input_ids[0], *middle[:46], one.input_ids[-1]]
    roles = [one.roles[0], *[0] * 46, one.roles[-1]]
    long = type(one)("long", ids, roles, one.position, 0, candidates=one.candidates)
    trace = Trace(module, collate([long, one], "all", batch.blank_ids))
    effective = effective_attention(trace)
    for layer, run in enumerate(trace.layer_runs):
        for head in range(12):
            own = slice(head * 32, (head + 1) * 32)
            transformed = run.value[0, head].double() @ run.layer.attention_output.weight[:, own].double().T
            ours, attention = effective[0, layer, head], trace.attention[0, layer, head].double()
            assert worst(ours @ transformed, attention @ transformed) < 1e-10
            assert worst(ours, by_hand(attention, transformed)) < 1e-8
            assert worst(ours, attention) > 1e-3
            assert ours.norm() < attention.norm()
    n = len(one.input_ids)
    assert torch.allclose(effective[1, :, :, :n, :n], trace.attention[1, :, :, :n, :n].double(), atol=1e-10)
    assert (effective[1, :, :, n:] == 0).all()
    assert (effective < 0).any()


def test_where_nothing_is_removed_rollout_equals_that_of_attention():
    trace = real_trace(SST2)
    assert torch.allclose(EffectiveAttention(of=Rollout())(trace), Rollout()(trace), atol=1e-6)
    assert torch.allclose(EffectiveAttention()(trace), Attention()(trace), atol=1e-6)


def test_an_explainer_that_mixes_attention_sees_no_negative_weight():
    trace = Trace(tiny("bert"), collate([example(20), example(12)], "all", blanks("bert")))
    seen = []

    def keep(other: Trace) -> Tensor:
        seen.append(other.attention)
        return Attention()(other)

    rows = EffectiveAttention(of=keep)(trace)
    effective = effective_attention(trace)
    assert (effective < 0).any()
    assert (seen[0] >= 0).all()
    real = trace.batch.attention_mask.bool()
    sums = seen[0].sum(dim=-1).permute(0, 3, 1, 2)[real]
    assert torch.allclose(sums, torch.ones_like(sums))
    assert torch.allclose(rows.sum(dim=-1), torch.ones_like(rows[..., 0]))
    assert not torch.equal(trace.attention, seen[0])


@pytest.mark.parametrize("kind", ["albert", "deberta-v2", "mpnet"])
def test_a_model_that_cannot_be_taken_apart_is_refused(kind: str):
    assert kind in KINDS
    with pytest.raises(ValueError, match=f"model type '{kind}'"):
        EffectiveAttention().check_model(tiny(kind))
