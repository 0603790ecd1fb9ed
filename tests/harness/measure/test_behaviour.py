"""Methods and models that misbehave in a run: it notices, and says which."""

import random
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from harness.contracts import Model
from harness.measure.evaluate import evaluate_batches
from harness.measure.protocol import EvaluationProtocol
from harness.measure.watch import MisbehavedError
from harness.tracing.batch import collate
from harness.tracing.notices import Notice
from harness.tracing.run import Trace
from methods.explainers.attention import Attention
from methods.explainers.position import Position
from methods.explainers.saliency import Saliency
from methods.explainers.shuffled_attention import ShuffledAttention
from methods.metrics.comprehensiveness import Comprehensiveness
from methods.references.blank_out import BlankOut
from methods.references.input_gradient import InputGradient
from tests import architectures


@dataclass(frozen=True)
class Tokens:
    """A tokenizer's ids, for models made here."""

    pad_token_id: int | None = 0
    unk_token_id: int | None = architectures.UNK
    mask_token_id: int | None = architectures.MASK

    def convert_ids_to_tokens(self, ids):
        return [str(one) for one in ids]


def tiny(kind: str = "bert") -> Model:
    return Model(architectures.tiny(kind), Tokens(), kind)


EXAMPLES = [architectures.example(length, seed) for length, seed in ((6, 0), (6, 1), (9, 2), (4, 3))]


PROTOCOL = EvaluationProtocol()


def run(model: Model, examples=EXAMPLES, protocol=PROTOCOL, metrics=None, **explainers) -> pd.DataFrame:
    """The rows, and in their attribute `notices` what was noticed."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", Notice)
        parts = list(
            evaluate_batches(
                examples, model, {"position": Position(), **explainers}, {"blank_out": BlankOut()}, protocol, metrics
            )
        )
    rows = pd.concat([part.rows for part in parts], ignore_index=True)
    rows.attrs["notices"] = [str(one.message) for one in caught]
    rows.attrs["parts"] = parts
    return rows


def scores(trace: Trace) -> torch.Tensor:
    return Position()(trace)


def adds_to_weights(trace):
    next(trace.model.parameters()).add_(1e-3)
    return scores(trace)


def writes_past_autograd(trace):
    next(trace.model.parameters()).data.mul_(1.5)
    return scores(trace)


def changes_attention(trace):
    trace.attention.mul_(0.5)
    return scores(trace)


def changes_inputs(trace):
    trace.batch.inputs["input_ids"][0, 1] = 7
    return scores(trace)


def leaves_a_hook(trace):
    trace.model.get_input_embeddings().register_forward_hook(lambda *_: None)
    return scores(trace)


def leaves_train_mode(trace):
    trace.model.train()
    return scores(trace)


def unfreezes(trace):
    trace.model.requires_grad_(True)
    return scores(trace)


def leaves_gradients(trace):
    for one in trace.model.parameters():
        one.grad = torch.zeros_like(one)
    return scores(trace)


def draws_from_torch(trace):
    return scores(trace) + torch.rand(1)


def draws_from_numpy(trace):
    np.random.random()
    return scores(trace)


def draws_from_random(trace):
    random.random()
    return scores(trace)


BREAKING = {
    adds_to_weights: "changes the model's weights",
    writes_past_autograd: "changes the model's weights",
    changes_attention: "changes the trace",
    changes_inputs: "changes the trace",
    leaves_a_hook: "leaves a hook",
    leaves_train_mode: "changes the model's mode",
    unfreezes: "changes the model's mode or which of its weights need gradients",
    leaves_gradients: "leaves gradients",
}


def fresh() -> Model:
    """A model of its own, which may be spoilt."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        config = AutoConfig.for_model("bert", **architectures.KINDS["bert"])
        module = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    return Model(module.eval().requires_grad_(False), Tokens(), "fresh")


@pytest.mark.parametrize("method", list(BREAKING), ids=lambda one: one.__name__)
def test_a_method_that_changes_what_all_share_ends_the_run(method):
    with pytest.raises(MisbehavedError, match=f"the explainer mine {BREAKING[method]}"):
        run(fresh(), mine=method)


def test_a_metric_that_changes_what_all_share_ends_the_run():
    @dataclass(frozen=True)
    class Bad:
        higher_is_better = True

        def __call__(self, trace, scores):
            trace.logits.add_(1)
            return scores.sum(dim=-1)

    with pytest.raises(MisbehavedError, match="the metric bad changes the trace"):
        run(fresh(), metrics={"bad": Bad()})


def sees_padding(trace):
    return scores(trace) * trace.batch.input_ids.shape[1] ** 2


def infinite(trace):
    return scores(trace).masked_fill(trace.batch.ranked[:, None] & (trace.batch.input_ids[:, None] % 2 == 0), torch.inf)


def coarse(trace):
    return scores(trace).half()


NOTICED = {
    draws_from_torch: "draws from a global random generator",
    draws_from_numpy: "draws from a global random generator",
    draws_from_random: "draws from a global random generator",
    sees_padding: "depends on padding",
    infinite: "gives infinite scores",
    coarse: "returns torch.float16, coarser than the model's torch.float32",
}


@pytest.mark.parametrize("method", list(NOTICED), ids=lambda one: one.__name__)
def test_a_method_whose_numbers_cannot_be_trusted_is_named(method):
    rows = run(fresh(), mine=method)
    assert any(f"the explainer mine {NOTICED[method]}" in text for text in rows.attrs["notices"]), rows.attrs["notices"]
    assert set(rows.loc[rows["explainer"] == "position", "status"]) == {"ok"}


@pytest.mark.parametrize("dtype", [torch.bool, torch.complex64])
def test_scores_of_another_kind_are_failed_rows(dtype):
    rows = run(fresh(), mine=lambda trace: scores(trace).to(dtype))
    failed = rows[rows["explainer"] == "mine"]
    assert set(failed["status"]) == {"failed"}
    assert failed["error"].str.contains("expected real numbers").all()


def test_what_fails_for_one_example_is_that_examples_row():
    def picky(trace):
        if (trace.batch.length == 11).any():
            raise ArithmeticError("no eleven")
        return scores(trace)

    rows = run(fresh(), mine=picky)
    mine = rows[rows["explainer"] == "mine"].set_index("example")["status"]
    long = next(example.id for example in EXAMPLES if len(example.input_ids) == 11)
    assert mine.to_dict() == {example.id: "failed" if example.id == long else "ok" for example in EXAMPLES}
    assert len(rows.attrs["parts"]) == 1
    assert set(rows.loc[rows["explainer"] == "position", "status"]) == {"ok"}


def test_a_method_that_fails_on_any_batch_is_computed_one_by_one():
    def single(trace):
        if len(trace.batch.examples) > 1:
            raise ArithmeticError("one at a time")
        return scores(trace)

    rows = run(fresh(), mine=single)
    assert set(rows["status"]) == {"ok"}


class Overflowing(torch.nn.Module):
    """A model without finite logits for texts of some length."""

    def __init__(self, inner, length):
        super().__init__()
        self.inner, self.length, self.config = inner, length, inner.config
        self.eval()

    def get_input_embeddings(self):
        return self.inner.get_input_embeddings()

    def forward(self, **inputs):
        result = self.inner(**inputs)
        result.logits[inputs["attention_mask"].sum(dim=1) == self.length] *= torch.inf
        return result


def test_an_example_that_the_model_cannot_be_run_on_is_failed_rows_and_the_run_goes_on():
    examples = [*EXAMPLES, architectures.example(12, 5)]
    model = Model(Overflowing(architectures.tiny("bert"), 11), Tokens(), "overflowing")
    rows = run(model, examples, attention=Attention())
    long = next(example.id for example in EXAMPLES if len(example.input_ids) == 11)
    assert set(rows.loc[rows["example"] == long, "status"]) == {"failed"}
    assert rows.loc[rows["example"] == long, "error"].str.contains("not finite").all()
    assert set(rows.loc[rows["example"] != long, "status"]) == {"ok"}
    table = pd.concat([part.examples for part in rows.attrs["parts"]]).set_index("example")
    assert table.loc[long, "predicted"] == -1
    assert len(table) == len(examples)


def test_a_model_that_runs_on_nothing_ends_the_run():
    model = Model(Overflowing(architectures.tiny("bert"), 11), Tokens(), "overflowing")
    with pytest.raises(ValueError, match="logits that are not finite"):
        run(model, [EXAMPLES[2]])


PADDED = {
    "xlnet": {"vocab_size": 60, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48, "pad_token_id": 5},
    "convbert": architectures.SIZES | {"embedding_size": 32, "head_ratio": 2},
}


def of_type(kind: str, **options) -> Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        config = AutoConfig.for_model(kind, **{"num_labels": 3, **options})
        module = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    return Model(module.eval().requires_grad_(False), Tokens(), kind)


@pytest.mark.parametrize("kind", list(PADDED))
def test_a_model_that_depends_on_padding_is_explained_one_by_one_whatever_the_budget(kind: str):
    model = of_type(kind, **PADDED[kind])
    whole, cut = (
        run(model, protocol=EvaluationProtocol(token_budget=budget), saliency=Saliency()) for budget in (2048, 1)
    )
    for rows in (whole, cut):
        assert any("logits depend on padding" in text for text in rows.attrs["notices"])
    keys = ["example", "explainer"]
    pd.testing.assert_frame_equal(
        *(rows.sort_values(keys)[[*keys, "rho", "status"]].reset_index(drop=True) for rows in (whole, cut))
    )
    logits = {row.example: row.logits for part in whole.attrs["parts"] for row in part.examples.itertuples(index=False)}
    for example in EXAMPLES:
        with torch.no_grad():
            ids = torch.tensor([example.input_ids])
            alone = model.module(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
        assert logits[example.id] == pytest.approx(alone.tolist(), rel=1e-5)


def test_a_model_that_masks_padding_is_not_suspected():
    assert run(fresh(), gradient=Saliency()).attrs["notices"] == []


MEAN = architectures.SIZES | {
    "classifier_pooling": "mean",
    "cls_token_id": 50,
    "sep_token_id": 51,
    "bos_token_id": 50,
    "eos_token_id": 51,
}


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # ModernBERT under transformers 4
def test_a_head_that_reads_all_positions_is_read_out_as_it_reads():
    model = of_type("modernbert", **MEAN)
    rows = run(model, attention=Attention())
    assert any(
        "the model's head reads several positions (the first special token has 1" in text
        for text in rows.attrs["notices"]
    )
    trace = Trace(model.module, collate(EXAMPLES, "all", model.blank_ids))
    real = trace.batch.attention_mask.double()
    assert trace.head_weights is not None
    assert torch.allclose(trace.head_weights, real / real.sum(dim=1, keepdim=True))
    assert torch.allclose(Attention()(trace), Attention(read_out="mean")(trace))
    assert not torch.allclose(Attention()(trace), Attention(read_out="row")(trace))
    with pytest.raises(ValueError, match="this model's head reads the states of several"):
        _ = trace.position


def test_classes_that_do_not_exclude_each_other_have_sigmoids():
    module = fresh().module
    module.config.problem_type = "multi_label_classification"
    batch = collate(EXAMPLES[:2], "content", tiny().blank_ids)
    values = {}
    for output in ("probability", "logit", "difference", "logit_difference"):
        trace = Trace(module, batch, output=output)
        values[output] = trace.output(trace.logits)
    best = trace.logits.double().amax(dim=1)
    assert torch.equal(values["logit"], best)
    assert torch.equal(values["logit_difference"], best)
    assert torch.allclose(values["probability"], best.sigmoid())
    assert torch.allclose(values["difference"], 2 * best.sigmoid() - 1)
    gone = Trace(module, batch, output="probability")
    by_class, by_output = (BlankOut(blank_class=which)(gone) for which in ("predicted", "target"))
    assert torch.allclose(by_class.nan_to_num(), by_output.nan_to_num())
    ids = batch.input_ids.clone()
    ids[0, 1] = architectures.UNK
    with torch.no_grad():
        changed = module(input_ids=ids, attention_mask=batch.attention_mask).logits[0].double()
    expected = (changed[gone.target[0]].sigmoid() - best[0].sigmoid()).abs()
    assert by_output[0, 1].item() == pytest.approx(expected.item(), rel=1e-5)
    top = gone.batch.ranked.double()[:, None] * torch.arange(gone.batch.ranked.shape[1]).flip(0)
    assert torch.isfinite(Comprehensiveness()(gone, top)).all()
    assert torch.isfinite(InputGradient()(gone)).all()


def test_layers_of_a_one_layer_model_are_layers():
    model = of_type("bert", **architectures.SIZES | {"num_hidden_layers": 1})
    rows = run(model, attention=Attention(), saliency=Saliency(), shuffled=ShuffledAttention(of=Saliency()))
    layers = rows.groupby("explainer")["layer"].unique().map(list).to_dict()
    assert layers == {"attention": [1], "saliency": [0], "shuffled": [0], "position": [0]}
    scores = pd.concat([part.scores for part in rows.attrs["parts"]])
    assert scores.groupby("method")["layer"].unique().map(list)["attention"] == [1]


def test_an_example_without_a_ranked_token_is_rows_that_say_so():
    empty = architectures.example(0, 9)
    rows = run(fresh(), [*EXAMPLES, empty], attention=Attention(), saliency=Saliency())
    assert set(rows.loc[rows["example"] == empty.id, "status"]) == {"fewer than 3 tokens"}
    assert set(rows.loc[rows["example"] != empty.id, "status"]) == {"ok"}
