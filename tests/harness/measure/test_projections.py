"""Queries and keys of a run's examples have a place each, in one plane for each head."""

from typing import cast

import numpy as np
import pandas as pd
import pytest

from harness.contracts import Model, Tokens
from harness.measure.projections import beyond_products, projections
from harness.measure.protocol import EvaluationProtocol
from harness.statistics.plane import plane
from harness.tables import PLANES, PROJECTIONS
from harness.tracing.batch import Example
from harness.tracing.queries_keys import queries_keys
from tests.architectures import ENCODER_DECODERS, blanks, example, tiny, two_sided

PROTOCOL = EvaluationProtocol(include="all", removal="ignore")


@pytest.fixture
def of_type(monkeypatch: pytest.MonkeyPatch):
    def model(kind: str) -> Model:
        monkeypatch.setattr(Model, "blank_ids", property(lambda _model: blanks(kind)))
        return Model(tiny(kind), cast("Tokens", None), "tiny")

    return model


def test_every_token_has_a_query_and_a_key_in_every_head(model: Model, examples: list[Example]):
    chosen = examples[2:5]
    points, planes = projections(chosen, model, EvaluationProtocol())
    PROJECTIONS.check(points)
    PLANES.check(planes)
    assert planes[["attention", "layer", "head"]].to_numpy().tolist() == [
        ["self", layer, head] for layer in (1, 2, 3) for head in (1, 2, 3, 4)
    ]
    assert points["example"].drop_duplicates().tolist() == [one.id for one in chosen]
    for one in chosen:
        own = points[points["example"] == one.id]
        assert len(own) == 3 * 4 * 2 * len(one.input_ids)
        for _, rows in own.groupby(["layer", "head", "side"]):
            assert rows["token"].tolist() == list(range(len(one.input_ids)))
    assert planes["explained"].between(0, 1).all()
    assert planes["agreement"].between(-1, 1).all()
    assert (planes["left_out"] < 1e-4).all()
    assert beyond_products(planes) is None


def test_places_are_those_of_the_heads_own_queries_and_keys(model: Model, examples: list[Example]):
    chosen = examples[2:4]
    points, planes = projections(chosen, model, EvaluationProtocol())
    runs = [queries_keys(EvaluationProtocol().trace(model, [one]))[1] for one in chosen]
    parts = [[getattr(run, name)[0, 2].numpy() for run in runs] for name in ("queries", "keys", "visible")]
    expected = plane(*parts)
    own = points[(points["layer"] == 2) & (points["head"] == 3)]
    for index, one in enumerate(chosen):
        for side, places in (("query", expected.queries), ("key", expected.keys)):
            rows = own[(own["example"] == one.id) & (own["side"] == side)]
            assert np.allclose(rows[["x", "y"]], places[index])
    row = planes[(planes["layer"] == 2) & (planes["head"] == 3)].iloc[0]
    assert row["agreement"] == pytest.approx(expected.agreement)
    assert row["explained"] == pytest.approx(expected.explained)


def test_an_encoder_decoder_has_three_attentions_with_the_tokens_of_its_sides(of_type):
    one = two_sided(4, 3)  # 5 tokens of the source, 4 of the prefix
    points, planes = projections([one], of_type("marian"), PROTOCOL)
    found = {name: sorted(set(rows["layer"])) for name, rows in planes.groupby("attention")}
    assert found == {"encoder": [1, 2], "decoder": [1, 2, 3], "cross": [1, 2, 3]}
    source, prefix = list(range(5)), list(range(5, len(one.input_ids)))
    tokens = {"encoder": (source, source), "decoder": (prefix, prefix), "cross": (prefix, source)}
    for name, sides in tokens.items():
        own = points[(points["attention"] == name) & (points["layer"] == 2) & (points["head"] == 1)]
        for side, expected in zip(("query", "key"), sides, strict=True):
            assert own.loc[own["side"] == side, "token"].tolist() == expected


def test_a_model_with_more_than_queries_and_keys_says_so(of_type):
    _, planes = projections([two_sided(4, 3)], of_type("t5"), PROTOCOL)
    assert (planes.loc[planes["attention"] != "cross", "left_out"] > 0.01).any()
    assert (planes.loc[planes["attention"] == "cross", "left_out"] < 1e-4).all()
    said = beyond_products(planes)
    assert said is not None
    assert "more than the softmax of queries and keys (a position bias, a cap" in said
    assert f"by up to {planes['left_out'].max():.2f}" in said


@pytest.mark.parametrize("kind", ["bert", "llama", *list(ENCODER_DECODERS)[:1]])
def test_the_same_examples_have_the_same_places(of_type, kind: str):
    chosen = [two_sided(4, 3), two_sided(3, 2)] if kind == "marian" else [example(n, kind=kind) for n in (5, 7)]
    first, second = (projections(chosen, of_type(kind), PROTOCOL) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
