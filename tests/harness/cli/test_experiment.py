import copy

import pytest

from harness.cli.chosen_examples import check_examples, limited
from harness.cli.settings import Settings
from harness.contracts import Model
from tests.known_model import sentence

TEN = [sentence([5, 6], id=str(number)) for number in range(10)]


def test_a_limit_is_a_count_or_a_share_of_the_first_examples():
    assert limited(TEN, None) == TEN
    assert limited(TEN, 3) == TEN[:3]
    assert limited(TEN, 0.25) == TEN[:2]
    assert limited(TEN, 0.001) == TEN[:1]
    assert limited(TEN, 99) == TEN
    with pytest.raises(ValueError, match="no test examples: give more data"):
        limited([], 3)


@pytest.mark.parametrize("limit", [0, -3, 1.0, 2.5, 0.0, True, "all"])
def test_a_limit_that_is_neither_is_refused(limit):
    with pytest.raises(ValueError, match="limit is a whole number"):
        Settings("agreement", "small", limit=limit)


def test_a_sentence_too_long_for_the_model_is_refused_before_anything_is_computed(model: Model):
    long = sentence([5] * 100, id="long")
    with pytest.raises(
        ValueError, match=r"1 of 11 examples are longer than the 64 tokens .*example long has 102\): shor"
    ):
        check_examples([*TEN, long], model)
    check_examples(TEN, model)


def test_two_examples_with_the_same_id_are_refused(model: Model):
    with pytest.raises(ValueError, match="the same id"):
        check_examples([*TEN, copy.copy(TEN[0])], model)
