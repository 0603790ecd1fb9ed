import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.tracing.batch import Role, collate, pack
from tests.known_model import BLANKS, batch_of, sentence


@settings(max_examples=200, deadline=None)
@given(lengths=st.lists(st.integers(1, 60), min_size=1, max_size=80), budget=st.integers(1, 400))
def test_every_example_is_packed_once_within_the_budget(lengths: list[int], budget: int):
    groups = pack(lengths, budget)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[index] for index in group) <= budget
    flat = [lengths[index] for group in groups for index in group]
    assert flat == sorted(flat)  # similar lengths are packed together


def test_packing_depends_only_on_the_lengths():
    assert pack([3, 9, 3, 4], 12) == pack([3, 9, 3, 4], 12) == [[0, 2, 3], [1]]


@pytest.mark.parametrize("budget", [0, -1, 2.5, True])
def test_a_budget_that_is_not_a_count_is_refused(budget):
    with pytest.raises(ValueError, match="token_budget is a whole number, at least 1"):
        pack([3], budget)


def test_include_decides_what_is_ranked():
    pair = sentence([5, 6, 7]), sentence([8])
    ranked = {
        include: batch_of(*pair, include=include).ranked.tolist() for include in ("all", "no_cls", "prompt", "content")
    }
    assert ranked["all"] == [[True] * 5, [True] * 3 + [False] * 2]
    assert ranked["no_cls"] == [[False] + [True] * 4, [False, True, True, False, False]]
    assert ranked["content"] == [[False, True, True, True, False], [False, True, False, False, False]]
    with pytest.raises(
        ValueError,
        match="include is one of all, no_cls, prompt, content, source, target, got 'contents'; did you mean content",
    ):
        collate(pair, "contents", BLANKS)


def test_padding_is_on_the_right_and_is_masked():
    batch = batch_of(sentence([5, 6, 7]), sentence([8]))
    assert batch.attention_mask.tolist() == [[1] * 5, [1, 1, 1, 0, 0]]
    assert batch.input_ids[1].tolist() == [1, 8, 2, BLANKS["pad"], BLANKS["pad"]]
    assert batch.role[1].tolist() == [Role.CLS, Role.CONTENT, Role.FINAL, Role.PADDING, Role.PADDING]
    assert torch.equal(batch.length, torch.tensor([5, 3]))


@settings(max_examples=100, deadline=None)
@given(lengths=st.lists(st.integers(1, 700), min_size=1, max_size=60))
def test_groups_of_long_examples_hold_no_more_pairs_of_tokens_than_those_of_128(lengths: list[int]):
    for group in pack(lengths, 2048):
        longest = max(lengths[index] for index in group)
        assert len(group) == 1 or len(group) * longest**2 <= 2048 * 128
    assert [len(group) for group in pack([512] * 2 + [128] * 16, 2048)] == [16, 1, 1]
