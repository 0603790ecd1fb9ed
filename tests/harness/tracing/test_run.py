import copy

import pytest
import torch

from harness.contracts import Model
from harness.tracing.batch import Batch, collate
from harness.tracing.run import Trace
from tests.conftest import BLANKS, shared
from tests.known_model import bag, batch_of, sentence


def plain(module: torch.nn.Module, batch: Batch):
    """The model, called the usual way."""
    with torch.no_grad():
        return module(input_ids=batch.input_ids, attention_mask=batch.attention_mask)


def test_logits_through_the_trace_equal_the_plain_models(trace: Trace):
    assert torch.allclose(trace.logits, plain(trace.model, trace.batch).logits, atol=1e-6)
    index = torch.arange(len(trace.logits))
    assert torch.allclose(trace.forward_from(trace.embedding, index), trace.output(trace.logits), atol=1e-6)


def test_a_rerun_of_the_same_input_gives_the_same_logits(trace: Trace):
    again = trace.rerun(trace.batch.inputs)
    assert torch.allclose(again, trace.logits, atol=1e-6)


def test_a_rerun_of_nothing_is_empty(trace: Trace):
    none = torch.zeros(0, dtype=torch.long)
    assert trace.rerun(trace.batch.at(none)).shape == (0, trace.logits.shape[1])
    assert trace.rerun(trace.batch.at(none), none, none).shape == (0, trace.logits.shape[1])


def test_a_rerun_does_not_depend_on_the_budget(model: Model, batch: Batch):
    small, large = (Trace(model.module, batch, token_budget=budget) for budget in (1, 100_000))
    inputs = batch.at(torch.arange(len(batch.examples)).repeat(3))
    assert torch.allclose(small.rerun(inputs), large.rerun(inputs), atol=1e-6)


def test_attention_is_zero_on_padding_and_rows_sum_to_one(trace: Trace):
    real = trace.batch.attention_mask.bool()
    sums = trace.attention.sum(dim=-1)  # [batch, layer, head, query]
    expected = real[:, None, None].float().expand_as(sums)
    assert torch.allclose(sums, expected, atol=1e-5)
    assert (trace.attention.masked_select(~real[:, None, None, None, :]) == 0).all()
    assert (trace.attention_gradient.masked_select(~real[:, None, None, None, :]) == 0).all()


def test_the_target_is_the_predicted_or_the_gold_class(model: Model, batch: Batch):
    predicted, gold = (Trace(model.module, batch, target=target) for target in ("predicted", "gold"))
    assert torch.equal(predicted.target, predicted.logits.argmax(dim=1))
    assert torch.equal(gold.target, batch.gold)
    assert torch.equal(gold.rival, 1 - batch.gold)


def test_the_output_is_a_probability_a_logit_or_a_difference(trace: Trace):
    p = trace.logits.double().softmax(dim=1)
    chosen = p.gather(1, trace.target[:, None])[:, 0]
    assert torch.allclose(trace.output(trace.logits, kind="probability"), chosen)
    assert torch.allclose(trace.output(trace.logits, kind="difference"), 2 * chosen - 1)
    logit = trace.logits.gather(1, trace.target[:, None])[:, 0].double()
    assert torch.equal(trace.output(trace.logits, kind="logit"), logit)


def test_the_attention_gradient_predicts_a_small_change(model: Model, batch: Batch):
    """Scale one head's attention through a hook on its block and compare with the gradient."""
    module = copy.deepcopy(model.module).double()
    trace = Trace(module, batch)
    block = module.layers[1].block.attn
    step = 1e-4

    def scaled(factor: float) -> torch.Tensor:
        width = block.head_dim

        def hook(module, inputs):  # the input of c_proj is linear in the head's attention
            state = inputs[0].clone()
            state[..., :width] = state[..., :width] * factor
            return (state,)

        handle = block.c_proj.register_forward_pre_hook(hook)
        logits = plain(module, batch).logits
        handle.remove()
        return trace.output(logits)

    slope = (scaled(1 + step) - scaled(1 - step)) / (2 * step)
    predicted = (trace.attention_gradient * trace.attention)[:, 1, 0].sum(dim=(1, 2)).double()
    assert torch.allclose(slope, predicted, rtol=1e-5, atol=1e-9)


def test_a_model_in_train_mode_is_refused(model: Model, batch: Batch):
    model.module.train()
    try:
        with pytest.raises(ValueError, match=r"the model is in train mode.*call model.eval\(\) first"):
            Trace(model.module, batch)
    finally:
        model.module.eval()


class Changed(torch.nn.Module):
    """A model whose attentions are tampered with before they are returned."""

    def __init__(self, inner: torch.nn.Module, change):
        super().__init__()
        self.inner, self.change = inner, change
        self.eval()

    def get_input_embeddings(self):
        return self.inner.get_input_embeddings()

    def forward(self, **inputs):
        result = self.inner(**inputs)
        if result.attentions is not None:
            result.attentions = self.change(result.attentions)
        return result


PAIR = batch_of(sentence([5, 6, 7]), sentence([8, 9]))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda attentions: (), "returns no attention weights; load the model with attn_implementation='eager'"),
        (lambda attentions: (None,) * 3, "returns no attention weights"),
        (lambda attentions: tuple(2 * layer for layer in attentions), "differ from a sum of 1 by up to 1.0e"),
        (lambda attentions: (attentions[0],) * 3, "all 3 layers returned the same attention"),
        (lambda attentions: tuple(torch.full_like(layer, 0.2) for layer in attentions), "attends to padding"),
        (
            lambda attentions: tuple(layer.tril() / layer.tril().sum(-1, keepdim=True) for layer in attentions),
            "runs with a causal mask, although it should see both ways",
        ),
    ],
)
def test_implausible_attentions_are_refused(change, text: str):
    with pytest.raises(ValueError, match=text):
        Trace(Changed(bag(), change), PAIR)


def test_a_causal_model_that_sees_ahead_is_refused():
    with pytest.raises(ValueError, match="a causal model attends to later tokens"):
        Trace(bag(), PAIR, causal=True)
    lower = Changed(bag(), lambda kept: tuple(layer.tril() / layer.tril().sum(-1, keepdim=True) for layer in kept))
    assert Trace(lower, PAIR, causal=True).attention.triu(1).max() == 0


def test_logits_that_are_not_finite_are_refused():
    model = bag()
    model.embedding.weight[5] = torch.nan
    with pytest.raises(ValueError, match="logits that are not finite"):
        Trace(model, PAIR)


def test_a_second_word_embedding_is_refused():
    model = bag()
    inner = model.forward

    def twice(input_ids, **inputs):
        model.embedding(input_ids)
        return inner(input_ids=input_ids, **inputs)

    model.forward = twice
    with pytest.raises(ValueError, match="called its word embedding 2 times in one run; expected once"):
        Trace(model, PAIR)


@pytest.mark.parametrize(("option", "value"), [("target", "best"), ("output", "odds")])
def test_an_unknown_option_is_refused(option: str, value: str):
    with pytest.raises(ValueError, match=f"{option} is one of"):
        Trace(bag(), PAIR, **{option: value})


def test_a_real_checkpoint_traces_the_way_it_runs():
    """The trained DistilBERT stand-in: logits, attention and gradients of real sentences."""
    import transformers

    folder = shared("checkpoints", "distilbert-minilm-sst2")
    sentences = shared("data", "sst2", "dev.tsv").read_text().splitlines()[1:9]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    module = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    module.eval().requires_grad_(False)
    from harness.tracing.batch import Example, Role

    examples = []
    for number, line in enumerate(sentences):
        ids = tokenizer(line.split("\t")[0])["input_ids"]
        roles = [Role.CLS, *[Role.CONTENT] * (len(ids) - 2), Role.FINAL]
        examples.append(Example(str(number), ids, roles, 0, int(line.split("\t")[1])))
    batch = collate(examples, "all", BLANKS | {"pad": tokenizer.pad_token_id})
    trace = Trace(module, batch)
    assert torch.allclose(trace.logits, plain(module, batch).logits, atol=1e-5)
    assert trace.attention.shape == (8, 6, 12, batch.input_ids.shape[1], batch.input_ids.shape[1])
    assert trace.hidden.shape[1] == 7
    alone = Trace(module, collate(examples[:1], "all", BLANKS | {"pad": tokenizer.pad_token_id}))
    n = len(examples[0].input_ids)
    assert torch.allclose(alone.gradient[0], trace.gradient[0, :n], rtol=1e-3, atol=1e-6)
    assert torch.allclose(alone.attention[0], trace.attention[0, :, :, :n, :n], atol=1e-5)
    # a LayerNorm reads this word embedding: its gradient, summed over dimensions, is rounding noise
    left = trace.gradient[0, :n].sum(dim=-1).abs() / trace.gradient[0, :n].norm(dim=-1)
    assert left.median() < 1e-4
