"""Transduce: texts whose alignment and antecedent are known by construction, and the model that translates them."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.contracts import Model
from harness.tracing.batch import Example, Role, collate
from harness.tracing.run import Trace
from methods.references.blank_out import BlankOut
from tasks.transduce import lexicon
from tasks.transduce.language import KINDS, Clause, Phrase, Pronoun, Text, text
from tasks.transduce.training import TransducerTraining
from tasks.transduce.transduce import Transduce, held_out, texts
from tasks.transduce.transducer import FACTS, Transducer
from tests.tasks.test_agreement_transformer import quiet
from tests.tasks.test_contract import build, obeys

SMALL = Transduce(test=60)
QUICK = Transducer(
    layers=2,
    training=TransducerTraining(texts=20000, steps=1300, dropout_steps=80, word_dropout=0.05, batch=32, warmup=60),
)
UNTRAINED = replace(QUICK, hidden=8, training=TransducerTraining(texts=64, steps=1, dropout_steps=1))

WOLF = Phrase("the", "wolf", ("big", "red"))  # feminine
HOUSE = Phrase("a", "house", ("small",))  # neuter
GARDEN = Phrase("the", "garden")  # masculine


@pytest.fixture(scope="module")
def translator(_one_cache: None) -> Model:
    return QUICK(SMALL, quiet)


@pytest.fixture(scope="module")
def untrained(_one_cache: None) -> Model:
    return UNTRAINED(SMALL, quiet)


@pytest.fixture(scope="module")
def found(untrained: Model) -> list[Example]:
    return SMALL.examples(untrained)


def linked(one: Text) -> set[tuple[str, str]]:
    """Sure links as words."""
    return {(one.source[source], one.target[target]) for source, target in one.sure}


def maybe(one: Text) -> list[tuple[str, str]]:
    """Possible links as words."""
    return [(one.source[source], one.target[target]) for source, target in one.possible]


def test_adjectives_follow_their_noun_and_the_verb_comes_last():
    one = text(Clause(WOLF, "sees", HOUSE))
    assert " ".join(one.source) == "the big red wolf sees a small house ."
    assert " ".join(one.target) == "gam fendo sarn tangu ith borun piku vidorat ."
    assert one.kinds == (
        *("article", "noun", "adjective", "adjective", "article", "noun", "adjective", "verb"),
        "stop",
    )
    assert linked(one) == {
        *(("the", "gam"), ("wolf", "fendo"), ("red", "sarn"), ("big", "tangu"), ("a", "ith"), ("house", "borun")),
        *(("small", "piku"), ("sees", "vidorat"), (".", ".")),
    }
    assert one.sure == ((0, 0), (3, 1), (2, 2), (1, 3), (5, 4), (7, 5), (6, 6), (4, 7), (8, 8))
    assert maybe(one) == [("wolf", "gam"), ("house", "ith")]
    assert one.nouns == {0: 3, 4: 7}
    assert one.pronoun is None
    assert all(one.foils[index] in forms for index, forms in ((0, ("gol", "gur")), (4, ("un", "oda"))))
    assert len(one.foils) == 2


def test_a_fronted_place_moves_behind_the_subject_and_a_definite_object_has_a_particle():
    one = text(Clause(HOUSE, "hides", GARDEN, ("near", Phrase("the", "cat", ("tall",))), fronted=True, adverb="now"))
    assert " ".join(one.source) == "near the tall cat , a small house now hides the garden ."
    assert " ".join(one.target) == "ith borun piku gam tilek vemor bei gol velit lo huncem celtarat ."
    assert ("near", "bei") in linked(one)
    assert not {source for source, _ in one.sure} & {4}  # the comma
    assert not {target for _, target in one.sure} & {9}  # the particle
    assert sorted(pair for pair in one.possible if pair[1] == 9) == [(10, 9), (11, 9)]
    behind = text(Clause(HOUSE, "hides", GARDEN, ("near", Phrase("the", "cat", ("tall",))), adverb="now"))
    assert " ".join(behind.source) == "a small house now hides the garden near the tall cat ."
    assert behind.target == one.target


@pytest.mark.parametrize(
    ("word", "form", "refers", "antecedent", "shown", "rival", "foil"),
    [("it", "sabi", "subject", 3, (0, 1), 7, "dor"), ("that", "dor", "object", 7, (4, 5), 3, "sabi")],
)
def test_a_pronoun_takes_the_gender_of_its_antecedent(word, form, refers, antecedent, shown, rival, foil):
    one = text(Clause(WOLF, "sees", HOUSE), Clause(GARDEN, "hears", word))
    assert " ".join(one.source) == f"the big red wolf sees a small house . the garden hears {word} ."
    assert " ".join(one.target) == f"gam fendo sarn tangu ith borun piku vidorat . gol velit {form} auselat ."
    assert one.pronoun == Pronoun(11, refers, antecedent, shown, rival)
    assert one.foils[11] == foil
    assert (word, form) in linked(one)
    assert maybe(one)[-1] == (one.source[antecedent], form)
    subject = text(Clause(WOLF, "sees", HOUSE), Clause(word, "sleeps"))
    assert subject.target[-3:] == (form, "dornit", ".")


@pytest.mark.parametrize(
    ("word", "form", "refers", "antecedent", "rival"),
    [("it", "sabi", "subject", 3, 7), ("that", "dor", "object", 7, 3)],
)
def test_the_gender_of_a_pronoun_that_comes_first_stands_in_the_source_alone(word, form, refers, antecedent, rival):
    one = text(Clause(WOLF, "sees", HOUSE), Clause(word, "sleeps", adverb="now"), joined=True)
    assert " ".join(one.source) == f"the big red wolf sees a small house while {word} now sleeps ."
    assert " ".join(one.target) == f"sint {form} huncem dornit gam fendo sarn tangu ith borun piku vidorat ."
    assert one.pronoun == Pronoun(1, refers, antecedent, (), rival)
    assert {("while", "sint"), (word, form), (".", ".")} <= linked(one)
    assert len(one.kinds) == len(one.target) == len(one.sure)


def test_every_word_has_one_translation():
    lists = (lexicon.ADJECTIVES, lexicon.TRANSITIVE, lexicon.INTRANSITIVE, lexicon.ADVERBS, lexicon.PREPOSITIONS)
    target = [word for one in lists for word in one.values()] + [word for word, _ in lexicon.NOUNS.values()]
    target += [form for forms in lexicon.ARTICLES.values() for form in forms.values()] + [*lexicon.PRONOUNS.values()]
    assert len({*target}) == len(target)
    assert Counter(gender for _, gender in lexicon.NOUNS.values()) == {"m": 8, "f": 8, "n": 8}
    source = {word for one in lists for word in one} | {*lexicon.NOUNS}
    assert not source & {*target}
    assert len(Transduce().tokens) == 4 + len(source) + len(target) + 9
    # the, a, it, that, comma, stop, particle, while and its translation


def test_no_test_text_is_in_a_training():
    trained = {one.source for one in texts(3000, "training 0", test=False)}
    tested = texts(600, "test 0", test=True)
    assert not trained & {one.source for one in tested}
    assert all(held_out(one) for one in tested)
    assert not any(held_out(one) for one in texts(300, "training 1", test=False))
    assert len({one.source for one in tested}) == 600


def test_the_diagonal_does_not_find_the_alignment():
    """Three in four sure links are not at the same relative place, and most are not even beside it."""
    off: list[float] = []
    for one in texts(500, "diagonal", test=True):
        slope = (len(one.source) - 1) / (len(one.target) - 1)
        off += [abs(source - target * slope) for source, target in one.sure]
    assert 0.7 < sum(distance > 0.5 for distance in off) / len(off) < 0.85
    assert sum(distance > 1.5 for distance in off) / len(off) > 0.55


def test_neither_place_nor_order_gives_the_antecedent_away():
    pronouns = [(one, one.pronoun) for one in texts(800, "pronouns", test=True) if one.pronoun is not None]
    refers = Counter(pronoun.refers for _, pronoun in pronouns)
    assert 0.4 < refers["subject"] / len(pronouns) < 0.6
    shown = sum(bool(pronoun.shown) for _, pronoun in pronouns)
    assert 0.4 < shown / len(pronouns) < 0.6
    first = sum(one.source.index(one.source[pronoun.antecedent]) < pronoun.rival for one, pronoun in pronouns)
    assert 0.4 < first / len(pronouns) < 0.6
    genders = Counter(one.target[pronoun.target] for one, pronoun in pronouns)
    assert all(abs(count / len(pronouns) - 1 / 3) < 0.08 for count in genders.values())
    assert all(one.foils[pronoun.target] != one.target[pronoun.target] for one, pronoun in pronouns)


def test_its_examples_obey_the_contract(untrained: Model):
    obeys(SMALL, untrained)


def test_planted_tokens_stand_where_the_words_are(untrained: Model, found: list[Example]):
    words = {one.target: one for one in SMALL.texts}
    nouns = {source: target for source, (target, _) in lexicon.NOUNS.items()}
    seen = Counter()
    for example in found:
        names = untrained.tokens.convert_ids_to_tokens(example.input_ids)
        wanted, foil = untrained.tokens.convert_ids_to_tokens(example.candidates or [])
        assert example.sides is not None
        prefix = names[example.sides.source :]
        assert names[example.sides.source - 1] == "<end>"
        assert prefix[0] == "<start>"
        assert wanted != foil
        kind = example.tags["kind"]
        seen[kind] += 1
        assert example.roles[example.sides.source - 1] == Role.FINAL
        assert example.roles[-1] == Role.PREDICTS
        if kind == "end":
            assert wanted == "<end>"
            assert tuple(prefix[1:]) in words
            continue
        if kind == "particle":
            assert "aligned" not in example.planted
            continue
        (aligned,) = example.planted["aligned"]
        if kind == "noun":
            assert nouns[names[aligned]] == wanted
        if kind == "article":
            (noun,) = example.planted["noun"]
            gender = lexicon.NOUNS[names[noun]][1]
            forms = lexicon.ARTICLES[names[aligned]]
            assert wanted == forms[gender]
            assert foil in {*forms.values()}
        if kind == "pronoun":
            (antecedent,), (rival,) = example.planted["antecedent"], example.planted["rival"]
            assert ("antecedent_target" in example.planted) == (example.tags["gender"] == "both sides")
            if example.tags["gender"] == "both sides":
                article, copy = example.planted["antecedent_target"]
                assert nouns[names[antecedent]] == names[copy]
                assert copy == article + 1 > example.sides.source
                assert names[article] in {form for one in lexicon.ARTICLES.values() for form in one.values()}
            else:
                assert nouns[names[antecedent]] not in prefix
                assert example.tags["gender"] == "source"
            assert lexicon.PRONOUNS[lexicon.NOUNS[names[antecedent]][1]] == wanted
            assert lexicon.PRONOUNS[lexicon.NOUNS[names[rival]][1]] == foil
            assert example.tags["refers"] == {"it": "subject", "that": "object"}[names[aligned]]
        else:
            assert example.tags["refers"] == example.tags["gender"] == "none"
    assert {*seen} == {*KINDS}


def test_a_small_model_learns_to_translate(translator: Model):
    assert translator.facts["accuracy"] >= 0.97
    assert translator.facts["pronoun"] >= 0.97
    assert translator.facts["article"] >= 0.95
    assert translator.facts["seconds"] > 0
    chosen = Transduce(test=60, kind="pronoun").examples(translator)
    trace = Trace(translator.module, collate(chosen, "content", translator.blank_ids))
    assert (trace.logits.argmax(dim=1) == 0).double().mean() >= 0.9


@pytest.mark.parametrize("kind", ["article", "pronoun"])
def test_the_model_reads_a_gender_from_the_planted_noun(kind: str, translator: Model):
    """Where the prefix does not show it: of all words of the source, the noun mostly changes the choice most."""
    name = {"article": "noun", "pronoun": "antecedent"}[kind]
    found = Transduce(test=100, kind=kind).examples(translator)
    chosen = [one for one in found if one.tags["gender"] != "both sides"][:60]
    batch = collate(chosen, "source", translator.blank_ids)
    trace = Trace(translator.module, batch, output="logit_difference")
    drops = BlankOut()(trace).masked_fill(~batch.ranked, -torch.inf)  # [batch, token]
    planted = torch.tensor([one.planted[name][0] for one in chosen])
    assert (drops.argmax(dim=1) == planted).double().mean() > 0.5
    assert (1 / batch.ranked.sum(dim=1)).mean() < 0.1  # chance


def test_only_a_position_or_only_a_kind_is_explained(untrained: Model, found: list[Example]):
    ends = replace(SMALL, position=-1).examples(untrained)
    assert [one.tags["kind"] for one in ends] == ["end"] * 60
    articles = replace(SMALL, kind="article").examples(untrained)
    assert [one.id for one in articles] == [one.id for one in found if one.tags["kind"] == "article"]
    with pytest.raises(ValueError, match=r"no text has a word of kind=pronoun at position=0: set position to null"):
        replace(SMALL, kind="pronoun", position=0).examples(untrained)
    with pytest.raises(ValueError, match=r"no translation is long enough for position=50"):
        replace(SMALL, position=50).examples(untrained)


def test_the_facts_count_texts_and_words():
    facts = SMALL.facts
    assert facts["texts"] == 60
    assert facts["stops"] == sum(one.target.count(".") for one in SMALL.texts)
    assert facts["words of a source"] == pytest.approx(sum(len(one.source) for one in SMALL.texts) / 60, abs=0.05)


def test_texts_are_always_the_same():
    assert Transduce(test=50).texts == SMALL.texts[:50]
    assert Transduce(test=50, seed=1).texts != SMALL.texts[:50]
    assert Transduce().digest == Transduce().digest != Transduce(seed=1).digest


@pytest.mark.parametrize("kind", ["marian", "t5"])
def test_a_model_serves_any_number_of_texts_and_is_trained_once(kind: str, monkeypatch, tmp_path: Path):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    source = replace(UNTRAINED, kind=kind)
    calls: list[int] = []
    first = source(SMALL, lambda done, total, note: calls.append(done))
    assert calls
    calls.clear()
    second = source(replace(SMALL, test=10), lambda done, total, note: calls.append(done))
    assert not calls
    assert first.identity == second.identity
    assert not first.module.training
    folder = tmp_path / "models" / source.key(SMALL)
    again = replace(source, path=str(folder))
    assert again(SMALL, quiet).identity == first.identity
    few = replace(SMALL, test=3)
    batch = collate(few.examples(first), "content", first.blank_ids)
    assert torch.isfinite(Trace(first.module, batch).attention).all()
    (folder / FACTS).write_text("{}")
    with pytest.raises(ValueError, match=r"holds no transduce model that can be read .*model.path=<folder>"):
        again(SMALL, quiet)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test": 0}, "test is a whole number, at least 1, got 0"),
        ({"seed": -1}, "seed is a whole number"),
        ({"position": 1.5}, "position is a whole number, or null for all of them, got 1.5"),
        ({"kind": "nouns"}, "kind is one of article, .*did you mean noun"),
    ],
)
def test_a_wrong_setting_of_the_task_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Transduce(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "bart"}, "kind is one of marian, t5, got 'bart'"),
        ({"heads": 3}, "hidden is a multiple of heads, and even, got hidden=64 and heads=3"),
        ({"layers": 0}, "layers is a whole number"),
    ],
)
def test_a_wrong_size_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Transducer(**options)


def test_a_wrong_training_is_refused():
    with pytest.raises(ValueError, match="dropout_steps are the last of steps=10, got 20"):
        TransducerTraining(steps=10, dropout_steps=20)
    with pytest.raises(ValueError, match=r"word_dropout is a number from 0 to 0\.99, got 1"):
        TransducerTraining(word_dropout=1)


def test_task_and_model_need_each_other(model: Model):
    with pytest.raises(ValueError, match="trained for the transduce task and cannot serve MinimalPair"):
        Transducer()(build("task", "minimal_pair"), quiet)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="served only by its own model: choose model=transducer"):
        Transduce().examples(model)
