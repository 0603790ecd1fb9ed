"""Alignments from tables of scores, by hand."""

import numpy as np
import pandas as pd
import pytest

from harness.statistics.alignment_board import (
    alignment_board,
    alignment_rows,
    pair_matrices,
    proposed,
    sentence_pairs,
)

# A source of three tokens for two words and an end token; a target of the start token, three tokens for two words, end
SOURCE_WORDS, TARGET_WORDS = [0, 1, 1, -1], [-1, 0, 1, 1, -1]
LINKS = [
    {"source": 0, "target": 1, "sure": True},
    {"source": 1, "target": 0, "sure": True},
    {"source": 1, "target": 1, "sure": False},
]
SCORES = [[0.5, 0.2, 0.4, 9.0], [0.6, 0.1, 0.3, 9.0], [0.7, 0.5, 0.0, 9.0], [0.1, 0.2, 0.3, 9.0]]  # [prefix, token]


def examples(name: str = "s", links: list | None = LINKS, prefixes=(1, 2, 3, 4)) -> pd.DataFrame:
    """One example for each length of the prefix."""
    return pd.DataFrame(
        {
            "example": f"{name}-{prefix}",
            "cluster": name,
            "tokens": ["x"] * (4 + prefix),
            "source": 4,
            "target_length": 5,
            "words": [*SOURCE_WORDS, *TARGET_WORDS[:prefix]],
            "next_word": TARGET_WORDS[prefix],
            "links": links,
        }
        for prefix in prefixes
    )


def scores(rows: list[list[float]], name: str = "s", method: str = "m", layer: int = 1, **given) -> pd.DataFrame:
    held = [np.array([*row, *[7.0] * (prefix + 1)]) for prefix, row in enumerate(rows)]
    names = [f"{name}-{prefix + 1}" for prefix in range(len(rows))]
    return pd.DataFrame(
        {"example": names, "kind": "explainer", "method": method, "layer": layer, "scores": held}
    ).assign(**{"head": 0} | given)


def chosen(board: pd.DataFrame, row: str = "output", links: str = "argmax") -> dict:
    (line,) = board[(board["row"] == row) & (board["links"] == links)].to_dict("records")
    return line


def test_pieces_are_summed_across_the_source_and_averaged_down_the_target():
    ((pair, matrix),) = pair_matrices(examples(), scores(SCORES), "output", 5)
    assert (pair.source.tolist(), pair.target.tolist()) == ([0, 1], [0, 1])
    # The first word is predicted after the start token; the pieces of the second in the two rows after it
    assert matrix.tolist() == pytest.approx(np.array([[0.5, 0.6], [(0.6 + 0.7) / 2, (0.4 + 0.5) / 2]]))
    ((_, matrix),) = pair_matrices(examples(), scores(SCORES), "input", 5)
    assert matrix.tolist() == pytest.approx(np.array([[0.6, 0.4], [(0.7 + 0.1) / 2, (0.5 + 0.5) / 2]]))


def test_words_are_named_by_their_pieces_without_marks():
    described = examples()
    source, target = ["▁Haus", "▁auf", "##bau", "</s>"], ["<pad>", "▁ho", "use", "Ġbuild@@"]
    described["tokens"] = [[*source, *target[:prefix]] for prefix in (1, 2, 3, 4)]
    (pair,) = sentence_pairs(described)
    assert pair.names == (["Haus", "aufbau"], ["ho", "usebuild"])


def test_the_error_rate_of_a_sentence_by_hand():
    rows = alignment_rows(examples(), scores(SCORES))
    board = alignment_board(rows)
    assert len(board) == 4
    # output: 0 -> 1 and 1 -> 0, both sure. input: 0 -> 0, wrong, and 1 -> 1, possible
    line = chosen(board)
    assert (line["aer"], line["precision"], line["recall"]) == (0.0, 1.0, 1.0)
    line = chosen(board, "input")
    assert (line["aer"], line["precision"], line["recall"]) == (1 - (0 + 1) / (2 + 2), 0.5, 0.0)
    assert (line["sentences"], line["undefined"]) == (1, 0)
    assert np.isnan([line["low"], line["high"]]).all()
    # threshold, output: the first word 0.6 of 1.1, the second 0.65 of 1.1; input: 0.6 of 1, and 0.5 of 0.9
    assert chosen(board, links="threshold")["aer"] == 0.0
    counted = rows[rows["row"] == "input"].set_index("links")[["proposed", "sure", "found", "allowed", "words"]]
    assert counted.loc["threshold"].tolist() == counted.loc["argmax"].tolist() == [2, 2, 0, 1, 2]


def test_pairs_that_begin_alike_are_read_apart_and_counted_as_one_sentence():
    """A run puts examples with the same text into one cluster: a repeated pair, or two translations of a source."""
    described = pd.concat([examples("s"), examples("s-2").assign(cluster="s"), examples("t")])
    held = pd.concat([scores(SCORES, "s"), scores(SCORES[::-1], "s-2"), scores(SCORES, "t")])
    rows = alignment_rows(described, held)
    alone = alignment_rows(examples("s-2"), scores(SCORES[::-1], "s-2"))
    counted = ["proposed", "sure", "found", "allowed", "words", "undefined"]
    assert len(rows) == 3 * len(alone)
    assert rows[counted].iloc[len(alone) : 2 * len(alone)].to_numpy().tolist() == alone[counted].to_numpy().tolist()
    assert set(alignment_board(rows)["sentences"]) == {2}


def test_links_of_a_matrix_by_hand():
    matrix = np.array(
        [
            [0.1, 0.5, 0.5],  # a tie: the first
            [-3.0, -1.0, -2.0],  # the highest signed score, not the largest; nothing positive
            [0.2, 0.4, -5.0],  # shares of the positive total: 1/3 and 2/3
            [0.0, 0.0, 0.0],
            [np.nan, 1.0, 0.0],
            [np.inf, 1.0, 0.0],
        ]
    )
    found, undefined = proposed(matrix, "argmax")
    assert found.astype(int).tolist() == [[0, 1, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert undefined.tolist() == [False, False, False, True, True, True]
    found, undefined = proposed(matrix, "threshold")
    assert found.astype(int).tolist() == [[0, 1, 1], [0, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert undefined.tolist() == [False, True, False, True, True, True]
    found, _ = proposed(matrix, "threshold", even_shares=1.5)
    assert found.astype(int).tolist()[2] == [0, 1, 0]


def test_a_source_of_one_word_is_linked_with_every_word():
    found, undefined = proposed(np.array([[0.3], [0.0]]), "argmax")
    assert found.tolist() == [[True], [True]]
    assert not undefined.any()


def test_a_row_that_is_not_finite_gives_no_link_and_is_counted():
    broken = [SCORES[0], [np.nan, *SCORES[1][1:]], SCORES[2], SCORES[3]]
    board = alignment_board(alignment_rows(examples(), scores(broken)))
    line = chosen(board)  # the second word lacks one of its two rows
    assert (line["undefined"], line["precision"], line["recall"]) == (1, 1.0, 0.5)
    assert line["aer"] == 1 - (1 + 1) / (1 + 2)
    special = [[*row[:3], np.nan] for row in SCORES]  # special tokens belong to no word
    assert chosen(alignment_board(alignment_rows(examples(), scores(special))))["undefined"] == 0
    nothing = alignment_board(alignment_rows(examples(), scores([[np.nan] * 4] * 4)))
    assert nothing["undefined"].tolist() == [2] * 4
    assert nothing[["aer", "low", "high", "precision", "recall"]].isna().all(axis=None)


def test_an_example_that_a_method_failed_on_counts_as_undefined():
    both = pd.concat([scores(SCORES[:2]), scores(SCORES, method="other")])
    board = alignment_board(alignment_rows(examples(), both))
    assert chosen(board[board["explainer"] == "m"])["undefined"] == 1
    assert chosen(board[board["explainer"] == "other"])["undefined"] == 0


@pytest.mark.parametrize("prefixes", [(1, 2, 3), (1, 2, 4), (2, 3, 4), (3,)])
def test_a_sentence_counts_only_if_all_its_target_words_are_explained(prefixes: tuple[int, ...]):
    assert len(sentence_pairs(examples())) == 1
    part = examples(prefixes=prefixes)
    assert sentence_pairs(part) == []
    rows = alignment_rows(part, scores(SCORES))
    assert rows.empty
    assert alignment_board(rows).empty


def test_without_gold_links_there_is_no_alignment():
    assert sentence_pairs(examples(links=None)) == []
    assert sentence_pairs(examples().assign(source=0)) == []
    assert alignment_rows(examples(), scores(SCORES)[:0]).empty


def test_the_order_of_the_examples_does_not_matter():
    table = alignment_rows(examples(), scores(SCORES))
    turned = alignment_rows(examples()[::-1], scores(SCORES)[::-1])
    assert turned.equals(table)


def test_a_corpus_is_rated_by_sums_and_each_layer_and_head_by_itself():
    wrong = [[row[1] + row[2], row[0], 0.0, 0.0] for row in SCORES]  # the words exchanged
    tables = [scores(SCORES, "s"), scores(wrong, "t"), scores(SCORES, "s", layer=2), scores(SCORES, "t", layer=2)]
    tables += [scores(wrong, name, layer=2, head=3) for name in "st"]
    described = pd.concat([examples("s"), examples("t")])
    board = alignment_board(alignment_rows(described, pd.concat(tables))).query("row == 'output' and links == 'argmax'")
    lines = board.set_index(["layer", "head"])
    # Exchanged, the first word is linked wrongly, and the second with its possible word
    assert lines.loc[(1, 0), "aer"] == 1 - (2 + 3) / (4 + 4)
    assert lines.loc[(2, 0), "aer"] == 0.0
    assert lines.loc[(2, 3), "aer"] == 1 - (0 + 2) / (4 + 4)
    assert lines.loc[(1, 0), ["low", "high"]].tolist() == [0.0, 1 - (0 + 1) / (2 + 2)]
    assert lines["sentences"].tolist() == [2, 2, 2]


def test_a_sentence_of_two_seeds_is_one_to_draw():
    rows = alignment_rows(examples(), scores(SCORES))
    other = alignment_rows(examples("t"), scores(SCORES, "t"))
    once, twice = alignment_board(pd.concat([rows, other])), alignment_board(pd.concat([rows, other, rows, other]))
    assert twice["sentences"].tolist() == [2] * 4
    assert twice["aer"].tolist() == once["aer"].tolist()
    assert twice["low"].tolist() == once["low"].tolist()
