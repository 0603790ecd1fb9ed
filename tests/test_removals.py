"""Every way to remove a token, on every type of decoder: what is re-run from a prefix equals the whole re-run."""

from dataclasses import replace

import pytest
import torch

from harness.measure.swaps import with_swaps
from harness.tracing.batch import TEXT, Example, Role, collate
from harness.tracing.run import REMOVALS, Trace
from methods.explainers.kernel_shap import KernelShap
from methods.explainers.lime import Lime
from methods.explainers.shapley_value_sampling import ShapleyValueSampling
from methods.metrics.comprehensiveness import Comprehensiveness
from methods.references.blank_out import BlankOut
from methods.references.shapley import Shapley
from methods.removal import draws_of, logits_without, players
from tests.architectures import CLS, DECODERS, KINDS, MASK, UNK, blanks, example, source_of, tiny, two_sided

DECODER = pytest.mark.parametrize("kind", list(DECODERS))
REMOVAL = pytest.mark.parametrize("removal", [name for name in REMOVALS if name != "pad"])
LENGTHS = (9, 12, 4)


def traced(kind: str) -> Trace:
    examples = [example(length, seed=number, kind=kind) for number, length in enumerate(LENGTHS)]
    pool = [example(11, seed=seed, kind=kind) for seed in range(20, 24)]
    return Trace(tiny(kind), collate(with_swaps(examples, [*examples, *pool], 2), "prompt", blanks(kind)))


def some_removed(trace: Trace) -> tuple[torch.Tensor, torch.Tensor]:
    """Single tokens, pairs and long runs of the text, `[variant, token]`, and the example of each variant."""
    rows, index = [], []
    for number, one in enumerate(trace.batch.examples):
        for start in range(1, one.position):
            for width in (1, 2, 5):
                row = torch.zeros(trace.batch.input_ids.shape[1], dtype=torch.bool)
                row[start : min(start + width, one.position)] = True
                rows.append(row)
                index.append(number)
    return torch.stack(rows), torch.tensor(index)


@DECODER
@REMOVAL
def test_a_suffix_on_the_cached_prefix_gives_the_logits_of_the_whole_input(kind: str, removal: str):
    trace, whole = traced(kind), traced(kind)
    assert trace._prefix is not None
    whole.padded = False  # which also turns the prefix off
    assert whole._prefix is None
    removed, index = some_removed(trace)
    ours, theirs = (logits_without(one, removed, removal, index) for one in (trace, whole))
    assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max().clamp(min=1)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "opt", "gemma3_text", "mistral"])
def test_each_removal_is_the_plain_model_on_the_changed_text(kind: str):
    trace = traced(kind)
    model = tiny(kind).inner
    for number, one in enumerate(trace.batch.examples):
        words = list(one.candidates)
        ids, place = torch.tensor([one.input_ids]), 2
        removed = torch.zeros(1, trace.batch.input_ids.shape[1], dtype=torch.bool)
        removed[0, place] = True
        positions = torch.arange(ids.shape[1])[None]

        def plain(changed, words=words, **more):
            with torch.no_grad():
                return model(changed, **more).logits[0, -1, words]

        keep = [index for index in range(ids.shape[1]) if index != place]
        hole = torch.ones_like(ids)
        hole[0, place] = 0
        expected = {
            "unk": plain(ids.clone().index_fill(1, torch.tensor([place]), UNK)),
            "mask": plain(ids.clone().index_fill(1, torch.tensor([place]), MASK)),
            "delete": plain(ids[:, keep]),
            "ignore": plain(ids, attention_mask=hole, position_ids=positions),
        }
        for removal, theirs in expected.items():
            ours = logits_without(trace, removed, removal, torch.tensor([number]))[0, 0]
            assert torch.allclose(ours, theirs, atol=1e-5), removal
        for draw, text in enumerate(one.swaps):
            changed = ids.clone()
            changed[0, place] = text[place]
            ours = logits_without(trace, removed, "swap", torch.tensor([number]))[draw, 0]
            assert torch.allclose(ours, plain(changed), atol=1e-5)


def test_an_ignored_token_is_seen_by_no_query_of_an_encoder():
    kind = "bert"
    trace = Trace(tiny(kind), collate([example(6), example(9, seed=1)], "content", blanks(kind)))
    removed = torch.zeros_like(trace.batch.ranked)
    removed[:, 3] = True
    hole = trace.batch.attention_mask.clone()
    hole[:, 3] = 0
    with torch.no_grad():
        plain = tiny(kind)(input_ids=trace.batch.input_ids, attention_mask=hole)
    assert torch.allclose(logits_without(trace, removed, "ignore")[0], plain.logits, atol=1e-6)
    assert (logits_without(trace, removed, "ignore")[0] - trace.logits).abs().max() > 1e-3


def test_swapped_tokens_come_from_the_same_slot_of_other_examples():
    kind = "llama"
    pool = [example(8, seed=seed, kind=kind) for seed in range(30)]
    first, *_ = with_swaps(pool[:1], pool, draws=6)
    assert len(first.swaps) == 6
    for text in first.swaps:
        assert text[0] == first.input_ids[0]  # a special token stays
        for index in range(1, 9):
            others = {one.input_ids[index] for one in pool}
            assert text[index] in others - {first.input_ids[index]}
    again, *_ = with_swaps(pool[:1], pool, draws=6)
    assert again.swaps == first.swaps
    text = list(pool[0].input_ids)
    text[3] = 59
    told, *_ = with_swaps([replace(pool[0], swaps=[text])], pool, draws=6)
    assert [one[3] for one in told.swaps] == [59] * 6  # the counterfactual where there is one, drawn elsewhere
    assert [one[4] for one in told.swaps] == [one[4] for one in first.swaps]


def test_a_text_that_stands_alone_cannot_be_swapped_from():
    kind = "llama"
    trace = Trace(tiny(kind), collate([example(5, kind=kind)], "prompt", blanks(kind)))
    with pytest.raises(ValueError, match="there are no other texts to swap tokens from: explain several texts"):
        BlankOut("swap")(trace)


def test_the_run_chooses_the_removal_of_methods_that_do_not():
    trace = traced("llama")
    trace.removal = "ignore"
    for of in (BlankOut, Shapley):
        assert torch.equal(of()(trace).nan_to_num(), of(removal="ignore")(trace).nan_to_num())
        assert not torch.allclose(of()(trace).nan_to_num(), of(removal="delete")(trace).nan_to_num())
    scores = torch.rand(3, 2, trace.batch.input_ids.shape[1])
    assert torch.equal(Comprehensiveness()(trace, scores), Comprehensiveness(removal="ignore")(trace, scores))


def test_blank_out_by_swapping_is_the_mean_over_texts_and_has_two_halves():
    trace = traced("llama")
    assert draws_of(trace, "swap") == 2
    scores, (first, second) = BlankOut("swap")(trace), BlankOut("swap").halves(trace)
    assert torch.allclose(scores.nan_to_num(), ((first + second) / 2).nan_to_num(), atol=1e-9)
    assert not torch.allclose(first.nan_to_num(), second.nan_to_num())
    assert BlankOut("ignore").halves(trace) is None


def test_the_predicting_token_is_ranked_only_in_the_prompt():
    one = example(5, kind="llama")
    batches = {include: collate([one], include, blanks("llama")) for include in ("content", "prompt", "no_cls", "all")}
    assert batches["content"].ranked[0].tolist() == [False, True, True, True, True, False]
    assert batches["prompt"].ranked[0].tolist() == [False, True, True, True, True, True]
    assert one.roles[-1] == Role.PREDICTS
    assert set(KINDS) & set(DECODERS) == set()


def test_swapped_tokens_of_an_encoder_decoder_come_from_their_own_side():
    """Whose words are other numbers, at the same index of that side."""
    pool = []
    for number, (source, prefix) in enumerate([(4, 5), (2, 7), (6, 3)]):
        one = two_sided(source, prefix, seed=number)
        ids = [token + 100 * (index > source) for index, token in enumerate(one.input_ids)]
        pool.append(replace(one, input_ids=ids))
    for one in with_swaps(pool, pool, draws=8):
        size = source_of(one)
        for text in one.swaps:
            for index, (token, own) in enumerate(zip(text, one.input_ids, strict=True)):
                assert (token >= 100) == (index >= size)
                assert (token != own) == (one.roles[index] in TEXT)
                there = words_at(pool, index - size if index >= size else index, index >= size) - {own}
                if one.roles[index] == Role.CONTENT and there:
                    assert token in there


def words_at(pool: list[Example], place: int, target: bool) -> set[int]:
    """All words that stand at an index of the source or of the prefix."""
    found = set()
    for one in pool:
        index = place + (source_of(one) if target else 0)
        if index < (len(one.input_ids) if target else source_of(one)) and one.roles[index] == Role.CONTENT:
            found.add(one.input_ids[index])
    return found


def test_a_start_token_that_all_examples_share_cannot_be_swapped():
    """Source words can, where no prefix has another token."""
    pool = [two_sided(4, 1, seed=number) for number in range(3)]
    for one in with_swaps(pool, pool, draws=2):
        assert all(text[-1] == one.input_ids[-1] and text[0] != one.input_ids[0] for text in one.swaps)


@pytest.mark.parametrize(
    "explainer", [Lime(samples=20), KernelShap(samples=20), ShapleyValueSampling(samples=2)], ids=repr
)
def test_the_explained_token_stays_where_a_text_has_no_special_token(explainer):
    """Ignoring every token would leave a causal model nothing to see."""
    bare, begun = [5, 9, 12, 7], [CLS, 5, 9, 12, 7]
    roles = [Role.CONTENT] * 3 + [Role.PREDICTS]
    examples = [
        Example("bare", bare, roles, 3, 0, candidates=[7, 30]),
        Example("begun", begun, [Role.CLS, *roles], 4, 0, candidates=[7, 30]),
    ]
    trace = Trace(tiny("llama"), collate(examples, "prompt", blanks("llama")), removal="ignore")
    assert players(trace, "run").tolist() == [[True, True, True, False, False], [False, True, True, True, True]]
    scores = explainer(trace)[:, 0]
    assert torch.isfinite(scores).all()
    assert scores[0, 3] == 0
    assert scores[0, :3].abs().sum() > 0
    assert players(trace, "unk").sum() == 8
