"""Agreement between explainers equals scipy's, one pair and one example at a time."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from harness.statistics.explainer_agreement import explainer_agreement, reference_agreement


def chosen(*lines: tuple[str, str, int, int]) -> pd.DataFrame:
    return pd.DataFrame(lines, columns=["kind", "explainer", "layer", "head"])


RANKING = chosen(
    ("explainer", "flow", 2, 0),
    ("reference", "blank_out", 0, 0),
    ("floor", "random", 0, 0),
    ("explainer", "heads", 1, 3),
)


def run(count: int = 6, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Examples of 6 to 11 tokens, and scores with ties from four methods at several layers and heads."""
    generator = np.random.default_rng(seed)
    ids = [f"example {number}" for number in range(count)]
    lengths = {name: 6 + number % 6 for number, name in enumerate(ids)}
    ranked = [[True, True, True, *(generator.random(lengths[name] - 3) < 0.7).tolist()] for name in ids]
    lines = [
        {
            "example": name,
            "kind": "reference" if method == "blank_out" else "explainer",
            "method": method,
            "layer": layer,
            "head": head,
            "scores": generator.integers(0, 6, lengths[name]).astype(np.float32),
        }
        for name in ids
        for method, layer, head in [
            *(("flow", layer, 0) for layer in (1, 2, 3)),
            *(("heads", layer, head) for layer in (1, 2) for head in (1, 2, 3)),
            ("random", 0, 0),
            ("blank_out", 0, 0),
            ("flow_by_name_alone", 2, 0),
        ]
    ]
    return pd.DataFrame({"example": ids, "ranked": ranked}), pd.DataFrame(lines)


def naive(examples: pd.DataFrame, scores: pd.DataFrame, lines: pd.DataFrame) -> np.ndarray:
    cells = [line for line in lines.itertuples() if line.kind != "reference"]
    held = scores.set_index(["example", "method", "layer", "head"])["scores"].to_dict()
    table = np.full((len(cells), len(cells)), np.nan)
    for row, ours in enumerate(cells):
        for column, theirs in enumerate(cells):
            rhos = []
            for example in examples.itertuples():
                both = []
                for cell in (ours, theirs):
                    one = held[example.example, cell.explainer, cell.layer, cell.head]
                    both.append(np.asarray(one)[np.asarray(example.ranked)])
                if all(len(set(side)) > 1 for side in both):
                    rhos.append(scipy.stats.spearmanr(*both).statistic)
            table[row, column] = np.mean(rhos) if rhos else np.nan
    return table


def test_agreement_equals_a_double_loop_over_scipy():
    examples, scores = run()
    table = explainer_agreement(examples, scores, RANKING)
    assert table.index.tolist() == table.columns.tolist() == ["flow", "random", "heads"]
    np.testing.assert_allclose(table, naive(examples, scores, RANKING), atol=1e-12)
    np.testing.assert_allclose(np.diag(table), 1)
    np.testing.assert_allclose(table, table.T, atol=1e-15)


def test_the_order_of_scores_and_of_examples_does_not_matter():
    examples, scores = run()
    shuffled = explainer_agreement(
        examples.sample(frac=1, random_state=0), scores.sample(frac=1, random_state=1), RANKING
    )
    pd.testing.assert_frame_equal(shuffled, explainer_agreement(examples, scores, RANKING), atol=1e-12)


def test_an_example_that_lacks_one_explainer_is_left_out_for_all():
    examples, scores = run()
    lost = scores[~((scores["example"] == "example 2") & (scores["method"] == "random"))]
    rest = examples[examples["example"] != "example 2"]
    np.testing.assert_allclose(explainer_agreement(examples, lost, RANKING), naive(rest, scores, RANKING), atol=1e-12)
    table = explainer_agreement(examples, scores[scores["method"] != "random"], RANKING)
    assert table.shape == (3, 3)
    assert table.isna().all(axis=None)


def test_constant_scores_are_undefined_and_left_out_of_the_mean():
    examples, scores = run()
    mine = (scores["method"] == "random") & scores["example"].isin(["example 0", "example 3"])
    scores.loc[mine, "scores"] = scores.loc[mine, "scores"].map(np.zeros_like)
    np.testing.assert_allclose(
        explainer_agreement(examples, scores, RANKING), naive(examples, scores, RANKING), atol=1e-12
    )


def test_explainers_that_are_never_defined_together_have_undefined_agreement():
    examples, scores = run()
    mine = scores["method"] == "random"
    scores.loc[mine, "scores"] = scores.loc[mine, "scores"].map(np.zeros_like)
    table = explainer_agreement(examples, scores, RANKING)
    assert table["random"].isna().all()
    assert table.loc["random"].isna().all()
    assert table.loc["flow", "heads"] == pytest.approx(naive(examples, scores, RANKING)[0, 2], abs=1e-12)


def test_references_by_hand():
    board = pd.DataFrame(
        [
            ("explainer", "flow", "a", 0.9),
            ("reference", "a", "b", 0.4),
            ("reference", "b", "a", 0.4),
            ("reference", "c", "a", 0.1),
            ("reference", "a", "c", 0.1),
            ("reference", "b", "c", np.nan),
            ("reliability", "c", "c", 0.7),
        ],
        columns=["kind", "explainer", "measure", "mean"],
    )
    table = reference_agreement(board)
    assert table.index.tolist() == table.columns.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(table, [[1, 0.4, 0.1], [0.4, 1, np.nan], [0.1, np.nan, 1]])
