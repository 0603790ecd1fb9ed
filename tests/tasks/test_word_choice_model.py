import pytest
import torch
import transformers
from torch import nn

from harness.tracing.batch import Batch, Example, Role, collate
from harness.tracing.run import Trace
from tasks.word_choice_model import WordChoiceModel

SMALL = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
}
CONFIGS = {
    "Bert": SMALL,
    "DistilBert": {"vocab_size": 50, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "pad_token_id": 0},
    "Roberta": SMALL,
    "Electra": SMALL | {"embedding_size": 8},
    "Albert": SMALL | {"embedding_size": 8},
    "DebertaV2": SMALL | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8},
}
if transformers.__version__ >= "5":  # in older versions this head itself fails
    CONFIGS["DebertaV2 without the old head"] = SMALL | {"relative_attention": True, "legacy": False}


@pytest.fixture(params=CONFIGS)
def inner(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    kind = request.param.split()[0]
    config = getattr(transformers, f"{kind}Config")(**CONFIGS[request.param], attn_implementation="eager")
    model = getattr(transformers, f"{kind}ForMaskedLM")(config).eval()
    for parameter in model.parameters():  # biases start at zero, which would hide a missing one
        nn.init.normal_(parameter, std=0.3)
        parameter.requires_grad_(False)
    return model


@pytest.fixture
def batch() -> Batch:
    def example(length: int, position: int, candidates: list[int]) -> Example:
        roles = [Role.CLS, *[Role.CONTENT] * (length - 2), Role.FINAL]
        ids = [1, *range(5, 3 + length), 2]
        return Example(str(length), ids, roles, position, 0, candidates=candidates)

    blanks = {"unk": 3, "mask": 4, "pad": 0}
    return collate([example(9, 4, [20, 21]), example(6, 1, [30, 8]), example(7, 6, [21, 20])], "all", blanks)


def test_the_logits_are_those_of_the_inner_model_at_the_position(inner: nn.Module, batch: Batch):
    inputs = {name: batch.inputs[name] for name in ("input_ids", "attention_mask")}
    whole = inner(**inputs, output_hidden_states=True, output_attentions=True)
    rows = torch.arange(3)
    expected = whole.logits[rows, batch.position].gather(1, batch.inputs["candidates"])
    seen = WordChoiceModel(inner)(**batch.inputs, output_hidden_states=True, output_attentions=True)
    assert seen.logits.shape == (3, 2)
    torch.testing.assert_close(seen.logits, expected, atol=1e-6, rtol=0)
    assert len(seen.hidden_states) == len(whole.hidden_states) == 3
    assert len(seen.attentions) == len(whole.attentions) == 2
    for mine, theirs in zip([*seen.hidden_states, *seen.attentions], [*whole.hidden_states, *whole.attentions]):  # noqa: B905
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0)


def test_the_head_sees_one_token(inner: nn.Module, batch: Batch):
    model = WordChoiceModel(inner)
    with torch.no_grad():
        assert model(**batch.inputs).logits.shape == (3, 2)
    widths = []
    unsliced = type(inner).forward

    def watched(self: nn.Module, *inputs: object, **more: object) -> object:
        result = unsliced(self, *inputs, **more)
        widths.append(result.logits.shape)
        return result

    inner.forward = watched.__get__(inner)
    model(**batch.inputs)
    assert widths == [(3, 1, 50)]


def test_no_hook_is_left_behind(inner: nn.Module, batch: Batch):
    model = WordChoiceModel(inner)
    model(**batch.inputs)
    assert not model.base_model._forward_hooks
    with pytest.raises(ValueError, match="fails on input of shape"):
        model(**dict(batch.inputs) | {"position": torch.tensor([99, 0, 0])})
    assert not model.base_model._forward_hooks


def test_gradients_reach_the_word_embedding(inner: nn.Module, batch: Batch):
    model = WordChoiceModel(inner)
    trace = Trace(model, batch, output="logit_difference")
    assert trace.attention.shape == (3, 2, 2, 9, 9)
    gradient = trace.gradient.norm(dim=-1)  # [batch, token]
    real = batch.attention_mask.bool()
    assert (gradient[real] > 0).all()
    assert (gradient[~real] == 0).all()
    whole = trace.output(trace.logits)
    torch.testing.assert_close(trace.forward_from(trace.embedding, torch.arange(3)), whole, atol=1e-5, rtol=0)


def test_what_methods_read_from_a_model_comes_from_the_inner_model(inner: nn.Module):
    model = WordChoiceModel(inner)
    assert model.config is inner.config
    assert model.base_model is inner.base_model
    assert model.get_input_embeddings() is inner.get_input_embeddings()
