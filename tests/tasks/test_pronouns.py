import re
from collections import Counter
from pathlib import Path

import pytest

from tasks.pronouns import embedded, gap, marked, winobias, winogender
from tasks.pronouns.sentence import MaskedSentence
from tests.conftest import shared

HIS_HER = ("his", "her")


def adds_up(facts: dict[str, int]) -> bool:
    return facts["read"] == facts["kept"] + sum(n for name, n in facts.items() if name.startswith("dropped"))


# marked sentences


@pytest.mark.parametrize(
    ("text", "candidates", "mentions", "points_to"),
    [
        ("{John|his} asked {Mary|her} about [MASK] book.", ("his", "her"), ("John", "Mary"), {0: 0, 1: 1}),
        ("{Mary|her} asked {John|his} about [MASK] book.", ("his", "her"), ("Mary", "John"), {0: 1, 1: 0}),
        ("Since [MASK] car broke, {old Ann|her} met {Bob|his}.", ("his", "her"), ("old Ann", "Bob"), {0: 1, 1: 0}),
        ("{John|his} liked [MASK] book, not {Mary|her}.", ("his", "her"), ("John", "Mary"), {0: 0, 1: 1}),
        ("{Mary|her} brought {John|him} flowers for [MASK].", ("him", "her"), ("Mary", "John"), {0: 1, 1: 0}),
        ("{The cat|its} saw {the dogs|their} by [MASK] bowl.", ("its", "their"), ("The cat", "the dogs"), {0: 0, 1: 1}),
        ("They lost [MASK] way.", ("his", "her"), (), {}),
    ],
)
def test_marks_become_referents(text, candidates, mentions, points_to):
    sentence = marked.parse(text, HIS_HER)
    assert sentence.candidates == candidates
    assert sentence.mentions == mentions
    assert sentence.points_to == points_to
    assert sentence.gold is None
    assert str(sentence) == re.sub(r"\{([^|]*)\|[^}]*\}", r"\1", text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{John|his} asked {Mary|her}.", r"expected one \[MASK\] in a sentence, got 0 in '\{John"),
        ("{John|his} gave {Mary|her} [MASK] [MASK].", r"got 2 in '.*'; write two referents"),
        ("{John|his} asked about [MASK] book.", "expected two whole referents in braces, got 1 in '.*about"),
        ("{A|his} and {B|her} and {C|its} saw [MASK] book.", "got 3 in"),
        ("{John|his} asked {Mary} about [MASK] book.", "expected two whole referents in braces, got 1"),
        ("John|his} asked Mary about [MASK] book.", "expected two whole referents in braces, got 0"),
        ("{John|his} asked {Paul|his} about [MASK] book.", "got 'his' twice in '.*Paul.*'; give them two different"),
    ],
)
def test_a_badly_marked_sentence_is_quoted(text, message):
    with pytest.raises(ValueError, match=message):
        marked.parse(text, HIS_HER)


def test_marked_sentences_are_read_from_a_file(tmp_path: Path):
    file = tmp_path / "mine.txt"
    file.write_text("{John|his} asked {Mary|her} about [MASK] book.\n\nThey lost [MASK] way.\n")
    found, facts = marked.Marked(str(file)).read(HIS_HER)
    assert [len(sentence.referents) for sentence in found] == [2, 0]
    assert facts == {"read": 2, "kept": 2}


def test_a_referent_does_not_straddle_the_mask():
    with pytest.raises(ValueError, match="a referent is a span of words on one side of the mask, got 0 to 4"):
        MaskedSentence("ab", "cd", HIS_HER, referents=((0, 4),))


# our own sentences


def test_our_own_sentences_are_balanced():
    found, facts = embedded.Embedded().read(HIS_HER)
    assert facts == {"read": 192, "kept": 192}
    assert len({str(sentence) for sentence in found}) == 192
    assert Counter(sentence.points_to[0] for sentence in found) == {0: 96, 1: 96}
    for sentence in found:
        man, woman = (sentence.mentions[sentence.points_to[k]] for k in (0, 1))
        assert man in embedded.MEN
        assert woman in embedded.WOMEN
    assert len(embedded.TEMPLATES) >= 20
    assert len(embedded.MEN) == len(embedded.WOMEN) == 12


def test_our_own_sentences_are_always_the_same_and_mixed():
    assert embedded.texts() == embedded.texts()
    assert embedded.texts() != embedded.texts(seed=1)
    first = [sentence.points_to[0] for sentence in embedded.Embedded().read(HIS_HER)[0][:40]]
    assert 10 < sum(first) < 30


# WinoBias


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("dev", (792, 68, 351, 346, 17, 10, 0)),
        ("test", (792, 80, 331, 344, 31, 6, 0)),
        ("all", (1584, 148, 682, 690, 48, 16, 0)),
    ],
)
def test_the_possessives_of_winobias(split, expected):
    found, facts = winobias.WinoBias(str(shared("data", "winobias")), split).read(HIS_HER)
    assert tuple(facts.values()) == expected
    assert list(facts)[:3] == ["read", "kept", "dropped_object"]
    assert adds_up(facts)
    assert len(found) == facts["kept"] == len({str(sentence) for sentence in found})


def test_winobias_referents_follow_the_lists():
    folder = shared("data", "winobias")
    found, _ = winobias.WinoBias(str(folder), "all").read(HIS_HER)
    men, women = ({*(folder / f"{side}_occupations.txt").read_text().split("\n")} for side in ("male", "female"))
    for sentence in found:
        assert not {"[", "]"} & {*sentence.before, *sentence.after}
        assert sentence.mentions[sentence.points_to[0]] in men
        assert sentence.mentions[sentence.points_to[1]] in women
    by_text = {str(sentence): sentence for sentence in found}
    first = by_text["The developer argued with the designer because [MASK] idea cannot be implemented."]
    assert first.mentions == ("developer", "designer")
    assert first.tags == {"type": 1, "gold_referent": "referent 2"}
    twice = by_text["The mechanic hired the tailor because [MASK] old tailor left town."]
    assert twice.mentions == ("mechanic", "tailor")
    turned, _ = winobias.WinoBias(str(folder), "all").read(("her", "his"))
    assert all(a.points_to == {0: b.points_to[1], 1: b.points_to[0]} for a, b in zip(turned, found, strict=True))


@pytest.fixture
def small_winobias(tmp_path: Path) -> Path:
    lines = {
        "pro": ["1 [The cook] met the nurse and lost [his] hat.", "2 The cook met [the nurse] and saw [her]."],
        "anti": ["1 [The cook] met the nurse and lost [her] hat.", "2 The cook met [the nurse] and saw [him]."],
    }
    for side in lines:
        for kind in (1, 2):
            text = "\n".join(lines[side]) + "\n"
            (tmp_path / f"{side}_stereotyped_type{kind}.txt.dev").write_text(text)
    (tmp_path / "male_occupations.txt").write_text("cook\n")
    (tmp_path / "female_occupations.txt").write_text("nurse")
    return tmp_path


def test_winobias_errors(small_winobias: Path):
    assert winobias.WinoBias(str(small_winobias), "dev").read(HIS_HER)[1]["kept"] == 2
    with pytest.raises(ValueError, match="split is one of dev, test, all, got 'train'"):
        winobias.WinoBias(str(small_winobias), "train").read(HIS_HER)
    with pytest.raises(FileNotFoundError, match=r"found a folder without pro_stereotyped_type1\.txt\.test"):
        winobias.WinoBias(str(small_winobias), "test").read(HIS_HER)
    file = small_winobias / "pro_stereotyped_type1.txt.dev"
    text = file.read_text()
    file.write_text(text.split("\n")[0])
    with pytest.raises(ValueError, match="expected as many lines as its twin has, got 1 and 2"):
        winobias.WinoBias(str(small_winobias), "dev").read(HIS_HER)
    file.write_text(text + "three\n")
    with pytest.raises(ValueError, match=r"pro_stereotyped_type1\.txt\.dev:3: expected a number and .*, got 'three'"):
        winobias.WinoBias(str(small_winobias), "dev").read(HIS_HER)


def test_a_winobias_line_that_cannot_be_placed_is_counted(small_winobias: Path):
    (small_winobias / "female_occupations.txt").write_text("baker")
    found, facts = winobias.WinoBias(str(small_winobias), "dev").read(HIS_HER)
    assert not found
    assert facts["dropped_occupations_not_found"] == facts["dropped_object"] == 2
    assert adds_up(facts)


# Winogender


def test_winogender_matches_the_published_data():
    folder = shared("data", "winogender")
    found, facts = winogender.Winogender(str(folder)).read(HIS_HER)
    assert facts == {"read": 120, "kept": 27, "dropped_other_pronoun": 93, "sentences": 54}
    assert adds_up({name: n for name, n in facts.items() if name != "sentences"})
    published = [line.split("\t") for line in (folder / "all_sentences.tsv").read_text().splitlines()[1:]]
    male = {text for name, text in published if ".male." in name}
    for sentence in found:
        assert f"{sentence.before}his{sentence.after}" in male
        meant = sentence.mentions[sentence.points_to[0]]
        assert sentence.points_to[0] == sentence.points_to[1]
        assert meant.lower() == sentence.tags[str(sentence.tags["meant"])]
    assert Counter(sentence.tags["participant"] == "someone" for sentence in found) == {True: 27, False: 27}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chef\tguest\t2\tThe $OCCUPATION fed the $PARTICIPANT $POSS_PRONOUN cake.", r":2: expected answer 0 or 1"),
        ("chef\tguest\t1\tThe chef fed the $PARTICIPANT $POSS_PRONOUN cake.", r":2: expected .* got '1, The chef fed"),
        ("chef\tguest\t1", r"templates\.tsv:2: expected 4 fields between tabs, got 'chef"),
    ],
)
def test_a_malformed_template_is_named(tmp_path: Path, line, message):
    (tmp_path / "templates.tsv").write_text("\t".join(winogender.HEADER) + "\n" + line)
    with pytest.raises(ValueError, match=message):
        winogender.Winogender(str(tmp_path)).read(HIS_HER)


# GAP


@pytest.mark.parametrize(
    ("split", "expected", "his", "alone"),
    [
        ("validation", (454, 214, 206, 33, 1), 107, 42),
        ("development", (2000, 1006, 899, 95, 0), 529, 275),
        ("test", (2000, 1040, 841, 118, 1), 555, 282),
        ("all", (4454, 2260, 1946, 246, 2), 1191, 599),
    ],
)
def test_the_possessives_of_gap(split, expected, his, alone):
    found, facts = gap.Gap(str(shared("data", "gap")), split).read(HIS_HER)
    names = ["read", "kept", "dropped_other_pronoun", "dropped_object", "dropped_on_its_own"]
    assert list(facts.items()) == list(zip(names, expected, strict=True))
    assert adds_up(facts)
    assert len(found) == facts["kept"]
    assert sum(sentence.gold == 0 for sentence in found) == his
    assert sum(sentence.tags["gendered_elsewhere"] == 0 for sentence in found) == alone


def test_gap_spans_cover_the_names():
    folder = shared("data", "gap")
    found, _ = gap.Gap(str(folder), "all").read(HIS_HER)
    rows = []
    for part in ("development", "validation", "test"):
        lines = (folder / f"gap-{part}.tsv").read_text(encoding="utf-8").split("\n")[1:]
        rows += [line.split("\t") for line in lines if line]
    by_text = {(row[1], row[2], row[4], row[7]): row for row in rows}
    upper = 0
    for sentence in found:
        word = sentence.candidates[sentence.gold]
        row = by_text[(f"{sentence.before}{word}{sentence.after}", word, *sentence.mentions)]
        meant = [index for index, cell in enumerate((row[6], row[9])) if cell == "TRUE"]
        assert sentence.points_to == ({sentence.gold: meant[0]} if meant else {})
        upper += sentence.candidates == ("His", "Her")
    assert upper == 67 + 83


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (" book was long.", True),
        (" own book", True),
        (" ``Golden Age'' was long", True),
        (" then husband left", True),
        (" to-do list", True),
        (" The Book of Healing", True),
        (" 1997 album", True),
        (".", False),
        (", and left", False),
        ("''.", False),
        ("", False),
        (" -- which was odd", False),
        (" to leave", False),
        (" and left", False),
        (" I would", False),
    ],
)
def test_a_possessive_is_recognised_by_the_next_word(after, expected):
    assert gap.possessive(after) is expected


def gap_row(**changes: str) -> str:
    row = dict(zip(gap.HEADER, ["x", "", "her", "17", "Ann", "0", "TRUE", "Bea", "8", "FALSE", "u"], strict=True))
    return "\t".join((row | {"Text": "Ann and Bea sold her car to him."} | changes).values())


def gap_file(folder: Path, *rows: str) -> str:
    (folder / "gap-test.tsv").write_text("\n".join(["\t".join(gap.HEADER), *rows]) + "\n")
    return str(folder)


def test_a_gap_row(tmp_path: Path):
    rows = [gap_row(), gap_row(**{"A-coref": "FALSE"}), gap_row(**{"A-coref": "FALSE", "B-coref": "TRUE"})]
    found, facts = gap.Gap(gap_file(tmp_path, *rows), "test").read(HIS_HER)
    assert facts["kept"] == 3
    assert [sentence.points_to for sentence in found] == [{1: 0}, {}, {1: 1}]
    assert [sentence.tags["gold_referent"] for sentence in found] == ["referent 1", "neither", "referent 2"]
    assert found[0].tags["gendered_elsewhere"] == 1
    assert str(found[0]) == "Ann and Bea sold [MASK] car to him."
    assert gap.Gap(str(tmp_path), "test").read(("her", "his"))[0][0].gold == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (gap_row(**{"A-offset": "3"}), r"gap-test\.tsv:3: expected 'Ann' at character 3 of the text, got 'Ann and"),
        (gap_row(**{"Pronoun-offset": "x"}), "expected 'her' at character x"),
        (gap_row(**{"B-coref": "maybe"}), "expected A-coref and B-coref TRUE or FALSE, not both TRUE, got 'TRUE and M"),
        (gap_row(**{"B-coref": "TRUE"}), "not both TRUE, got 'TRUE and TRUE'"),
        ("a\tb", r"gap-test\.tsv:3: expected 11 fields between tabs, got 'a\tb'; copy or download"),
    ],
)
def test_a_malformed_gap_row_is_named(tmp_path: Path, row, message):
    with pytest.raises(ValueError, match=message):
        gap.Gap(gap_file(tmp_path, gap_row(), row), "test").read(HIS_HER)


def test_a_file_that_is_not_a_gap_file_is_named(tmp_path: Path):
    file = tmp_path / "gap-test.tsv"
    file.write_text("something else\n")
    with pytest.raises(ValueError, match=r"gap-test\.tsv:1: expected the header ID Text"):
        gap.Gap(str(tmp_path), "test").read(HIS_HER)
    file.write_bytes(b"")
    with pytest.raises(ValueError, match=r"gap-test\.tsv: expected lines of text, the file is empty"):
        gap.Gap(str(tmp_path), "test").read(HIS_HER)
    file.write_bytes(b"ID\xff\n")
    with pytest.raises(ValueError, match=r"gap-test\.tsv:1: expected UTF-8 text, got 'byte 0xff'"):
        gap.Gap(str(tmp_path), "test").read(HIS_HER)
