import itertools
from pathlib import Path

import numpy as np
import pytest

from harness.statistics.alignment import Gold, counts, error_rate, error_rates
from tasks.alignments import check_words, parsed_links
from tests.conftest import shared

# Of github lilt/alignment-scripts, in per cent: AER, precision, recall
PUBLISHED = {
    "fastalign.deen.talp": (28.5, 71.3, 71.8),
    "fastalign.deen.grow-diagonal.talp": (27.0, 84.5, 64.1),
    "giza.deen.talp": (20.9, 86.3, 72.8),
    "giza.deen.grow-diagonal.talp": (21.4, 94.2, 67.2),
}


def gold(sure: str, possible: str = "") -> Gold:
    pairs = [[tuple(map(int, link.split("-"))) for link in links.split()] for links in (sure, possible)]
    return Gold(frozenset(pairs[0]), frozenset(pairs[1]))


def links_of(path: Path, first: int = 0) -> list[Gold]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [parsed_links(line, first, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_error_rates_are_found(name: str):
    folder = shared("data", "alignment")
    truth = links_of(folder / "deen.alignment.talp", first=1)
    proposed = [one.sure for one in links_of(folder / "hypotheses" / name)]
    rate = error_rate(proposed, truth)
    ours = [100 * value for value in (rate.aer, rate.precision, rate.recall)]
    assert ours == pytest.approx(PUBLISHED[name], abs=0.1)
    assert rate.low < rate.aer < rate.high
    assert rate.high - rate.low < 0.03


def test_three_sentences_by_hand():
    truth = [gold("0-0 1-1", "1-2"), gold("0-1"), gold("2-0 1-1 0-2")]
    proposed = [[(0, 0), (1, 2), (1, 2)], [(0, 0)], [(2, 0), (1, 1), (0, 0), (1, 0)]]
    assert counts(proposed[0], truth[0]) == (2, 2, 1, 2)  # of two links, one sure and one possible
    assert counts(proposed[1], truth[1]) == (1, 1, 0, 0)
    assert counts(proposed[2], truth[2]) == (4, 3, 2, 2)
    rate = error_rate(proposed, truth)
    assert rate.aer == pytest.approx(1 - (3 + 4) / (7 + 6))
    assert rate.precision == pytest.approx(4 / 7)
    assert rate.recall == pytest.approx(3 / 6)


def test_the_interval_is_that_of_sentences_drawn_again():
    generator = np.random.default_rng(3)
    proposed = generator.integers(3, 9, size=40)
    sure = generator.integers(3, 9, size=40)
    allowed = (proposed * generator.uniform(0.3, 1.0, 40)).astype(int)
    found = np.minimum(allowed, sure)
    table = np.stack([proposed, sure, found, allowed], axis=-1)[:, None]
    (rate,) = error_rates(table)
    drawn = []
    for _ in range(4000):
        chosen = generator.integers(0, 40, size=40)
        drawn.append(1 - (found[chosen] + allowed[chosen]).sum() / (proposed[chosen] + sure[chosen]).sum())
    assert [rate.low, rate.high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]).tolist(), abs=0.006)
    assert error_rates(table)[0] == rate


def test_a_cell_is_rated_by_itself_and_one_sentence_has_no_interval():
    right, wrong = (2, 2, 2, 2), (2, 2, 0, 0)
    rates = error_rates(np.array([[right, wrong], [right, right]]))
    assert [rate.aer for rate in rates] == [0.0, 0.5]
    alone = error_rates(np.array([[wrong]]))[0]
    assert alone.aer == 1.0
    assert np.isnan([alone.low, alone.high]).all()


def test_nothing_to_find_is_undefined():
    rate = error_rate([[], []], [gold(""), gold("", "0-0")])
    assert np.isnan([rate.aer, rate.low, rate.high, rate.precision, rate.recall]).all()
    unaligned = error_rate([[]], [gold("0-0")])
    assert unaligned.aer == 1.0
    assert np.isnan(unaligned.precision)


def test_without_possible_links_the_error_rate_is_one_minus_f1():
    links = list(itertools.product(range(3), range(3)))
    truth, proposed = Gold(frozenset(links[::2])), links[:5]
    rate = error_rate([proposed], [truth])
    assert rate.aer == pytest.approx(1 - 2 / (1 / rate.precision + 1 / rate.recall))


def test_links_are_read_from_their_own_first_number(tmp_path: Path):
    path = tmp_path / "gold.txt"
    path.write_text("1-1 2p1  3-2\n\n2-1 2p1\n")
    assert links_of(path, first=1) == [gold("0-0 2-1", "1-0"), gold(""), gold("1-0")]
    assert links_of(path)[0] == gold("1-1 3-2", "2-1")


@pytest.mark.parametrize(
    ("text", "first", "message"),
    [
        ("0-0\n1:2", 0, r"line 2: expected links such as 3-4 \(sure\) or 3p4 .* got '1:2'"),
        ("1-1\n2-2\n0-1", 1, r"line 3: words are counted from 1, got '0-1': set counted_from=0"),
        ("0-0", 2, "counted from 0 or from 1, got first=2"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, text: str, first: int, message: str):
    path = tmp_path / "gold.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        links_of(path, first=first)


def test_links_must_be_between_words_of_the_sentences():
    check_words([gold("0-1")], [(1, 2)])
    with pytest.raises(
        ValueError, match=r"gold.txt, line 2: a link of words 2 and 1 \(counted from 1\).* have 1 and 2"
    ):
        check_words([gold("0-1"), gold("", "1-0")], [(1, 2), (1, 2)], "gold.txt")
    with pytest.raises(ValueError, match="has 1 lines, but there are 2 sentence pairs"):
        check_words([gold("0-1")], [(1, 2), (1, 2)])
