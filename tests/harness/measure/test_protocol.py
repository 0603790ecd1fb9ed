"""What a protocol chooses where nothing is chosen."""

from typing import cast

import pytest

from harness.contracts import Model, Tokens
from harness.measure.protocol import EvaluationProtocol
from tests.architectures import tiny


@pytest.mark.parametrize(("kind", "removal"), [("bert", "unk"), ("gpt2", "ignore"), ("marian", "ignore")])
def test_a_removed_token_is_ignored_where_a_model_may_have_no_unknown_token(kind: str, removal: str):
    model = Model(tiny(kind), cast("Tokens", None), kind)
    assert EvaluationProtocol(removal="task").on(model).removal == removal
    assert EvaluationProtocol(removal="swap").on(model).removal == "swap"
