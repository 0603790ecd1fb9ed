from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tasks.agreement import grammar, lexicon, vocabulary
from tasks.agreement.agreement import Agreement
from tasks.agreement.grammar import NATURAL, TRAINING, Grammar
from tasks.agreement.sentence import Sentence

ROOT = Path(__file__).parents[2]
RELATIVES = ("who", "whom", "which", "that")
PLURAL_SURNAMES = {vocabulary.plural_of(name) for name in lexicon.SURNAMES}
NAMES = {*lexicon.FIRST_NAMES, *lexicon.SURNAMES, *lexicon.TOWN_NAMES, *lexicon.COUNTRY_NAMES}
SHOWN = {word: number for number, name in enumerate(("singular", "plural")) for word in lexicon.SHOWING[name]}
INVARIANTS = {word for text in lexicon.INVARIANT.values() for word in text.split()}


@cache
def number_of_form() -> dict[str, int]:
    """Every noun form and pronoun, except invariant ones, with its number."""
    numbers = dict.fromkeys(NAMES, 0) | dict.fromkeys(PLURAL_SURNAMES, 1)
    for text in lexicon.NOUNS.values():
        for entry in text.split():
            singular, plural = vocabulary.noun_forms(entry)
            numbers |= {singular: 0, plural: 1}
    for entries in lexicon.COMPOUNDS.values():
        for entry in entries:
            singular, plural = vocabulary.noun_forms(entry)
            numbers |= {singular.split()[-1]: 0, plural.split()[-1]: 1}
    numbers |= {word: 0 for text in lexicon.MASS.values() for word in text.split()}
    return numbers | {word: int(number == "plural") for word, number in lexicon.PRONOUNS.items()}


@cache
def adjectives() -> frozenset[str]:
    return frozenset(word for pair in lexicon.ADJECTIVES.values() for text in pair for word in text.split())


def noun_number(words: tuple[str, ...], i: int) -> int | None:
    """The number of the word if it is a noun or personal pronoun, from the words alone."""
    if words[i] in INVARIANTS:
        before = i - 1
        while words[before] in adjectives() or words[before] in lexicon.DEGREES:
            before -= 1
        return SHOWN["a" if words[before] == "an" else words[before]]
    if words[i] in lexicon.TITLES and i + 1 < len(words) and words[i + 1] in lexicon.SURNAMES:
        return None
    return number_of_form().get(words[i])


def nouns(sentence: Sentence, start: int = 0) -> list[tuple[int, int]]:
    found = ((i, noun_number(sentence.words, i)) for i in range(start, len(sentence.words)))
    return [(i, number) for i, number in found if number is not None]


@pytest.fixture(scope="module")
def splits() -> dict[str, list[Sentence]]:
    return Grammar().splits()


@pytest.fixture(scope="module")
def some(splits: dict[str, list[Sentence]]) -> list[Sentence]:
    """Enough of every split for checks that are slow to do from the words."""
    return [*splits["test"], *splits["validation"], *splits["train"][:8000]]


def test_the_splits_have_the_requested_sizes(splits):
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 56_000,
        "validation": 2_000,
        "test": 10_000,
    }


def test_both_numbers_are_equally_frequent_within_every_attractor_count(splits):
    for split in splits.values():
        for attractors in range(6):
            labels = Counter(s.label for s in split if s.attractor_count == attractors)
            assert labels[0] == labels[1] > 0


def test_construction_length_and_attractor_count_do_not_reveal_the_number(splits):
    for split in splits.values():
        by_label = [
            Counter((s.construction, len(s.words), s.attractor_count) for s in split if s.label == k) for k in (0, 1)
        ]
        assert by_label[0] == by_label[1]


def test_counting_singular_and_plural_nouns_does_not_reveal_the_number(splits):
    for split in (splits["test"], splits["train"][:16_000]):
        seen: dict[tuple[int, int], Counter[int]] = {}
        for s in split:
            numbers = [number for _, number in nouns(s, s.subject[0])]
            if s.attractor_count and len(s.subject) == 1 and noun_number(s.words, s.subject[0]) is not None:
                seen.setdefault((numbers.count(0), numbers.count(1)), Counter())[s.label] += 1
        right = sum(max(labels.values()) for labels in seen.values())
        assert right / sum(sum(labels.values()) for labels in seen.values()) < 0.6


def test_more_attractors_are_rarer(splits):
    for split in splits.values():
        counts = Counter(s.attractor_count for s in split)
        assert [counts[k] for k in range(6)] == sorted(counts.values(), reverse=True)
        assert set(counts) == set(range(6))


def test_the_test_split_follows_the_natural_shares_and_train_flatter_ones(splits):
    counts = Counter(s.attractor_count for s in splits["test"])
    assert [counts[k] / 100 for k in range(6)] == list(NATURAL)
    counts = Counter(s.attractor_count for s in splits["train"])
    assert [counts[k] / 560 for k in range(6)] == list(TRAINING)


def test_no_sentence_occurs_twice_within_or_across_splits(splits):
    words = [s.words for split in splits.values() for s in split]
    assert len(set(words)) == len(words)


def test_sentences_have_two_to_twenty_five_words(splits):
    lengths = [len(s.words) for split in splits.values() for s in split]
    assert min(lengths) == 2
    assert max(lengths) <= 25
    assert 8 < sum(lengths) / len(lengths) < 11


def test_attractors_are_the_nouns_of_the_other_number_between_subject_and_verb(some):
    for s in some:
        opposite = tuple(i for i, number in nouns(s, s.subject[0] + 1) if number != s.label and i not in s.subject)
        assert s.attractors == opposite, s
        assert s.attractor_count == len(s.attractors)


def test_the_subject_has_the_number_of_the_label(some):
    own = {"number": 0, "one": 0, "each": 0, "either": 0, "neither": 0}
    own |= {word: 1 for phrase in lexicon.QUANTIFIERS["plural"] for word in phrase.split()}
    own |= {words.split()[-1]: int(name == "plural") for name, group in lexicon.INDEFINITES.items() for words in group}
    for s in some:
        numbers = [noun_number(s.words, i) for i in s.subject]
        numbers = [own[s.words[i]] if number is None else number for i, number in zip(s.subject, numbers, strict=True)]
        if len(numbers) == 2 and "and" in s.words[s.subject[0] : s.subject[1]]:
            assert s.label == 1
        else:
            assert set(numbers) == {s.label}, s


def test_nouns_of_the_subjects_own_number_also_occur_between_it_and_the_verb(some):
    for label in (0, 1):
        for attractors in range(6):
            group = [s for s in some if s.label == label and s.attractor_count == attractors]
            with_own = sum(any(number == label for _, number in nouns(s, s.subject[-1] + 1)) for s in group)
            assert 0.1 < with_own / len(group) < 0.9


def test_the_last_noun_reveals_the_number_without_attractors_and_misleads_with_them(splits):
    right: dict[int, list[bool]] = {}
    for s in splits["test"]:
        if len(s.subject) == 1:
            last = nouns(s, s.subject[0])[-1:] or [(0, s.label)]
            right.setdefault(s.attractor_count, []).append(last[0][1] == s.label)
    share = {attractors: sum(hits) / len(hits) for attractors, hits in right.items()}
    assert share[0] == 1
    assert all(share[attractors] < 0.4 for attractors in range(1, 6))
    assert share[5] < 0.2


def test_verbs_of_embedded_clauses_agree_with_their_own_subjects(some):
    forms = {verb.singular: 0 for verb in vocabulary.VERBS.values()} | dict.fromkeys(vocabulary.VERBS, 1)
    adverbs = {word for words in lexicon.ADVERBS.values() for word in words}
    persons = {form for m in lexicon.PERSONS for pair in vocabulary.NOUNS[m] for form in pair} | NAMES | PLURAL_SURNAMES
    persons |= {pair[k].split()[-1] for pair in vocabulary.COMPOUNDS["person"] for k in (0, 1)}
    indefinite = {
        phrase.split()[-1]: int(n == "plural") for n, group in lexicon.INDEFINITES.items() for phrase in group
    }
    checked = 0
    for s in some:
        words, numbers = s.words, dict(nouns(s))
        for i in s.subject:
            if words[i] in indefinite:
                numbers[i] = indefinite[words[i]]
        for v, form in enumerate(words):
            if form not in forms or v in numbers:
                continue
            i = v - 1
            while words[i] in adverbs:
                i -= 1
            before = [j for j in sorted(numbers) if j < v]
            if words[i] in RELATIVES and i not in numbers:  # the subject is the noun that the clause describes
                if words[i] == "who":
                    before = [j for j in before if words[j] in persons or words[j] in indefinite]
                if words[i] == "which":
                    before = [j for j in before if words[j] not in persons and words[j] not in indefinite]
                subject = before[-1]
                if len(s.subject) == 2 and subject == s.subject[1] and s.construction == "name":
                    numbers[subject] = 1
            else:
                subject = i
                while i - 1 not in numbers and not (words[i - 1] in RELATIVES and i - 2 in numbers):
                    i -= 1
                left = words[i:subject]
                if any(word in vocabulary_of_links() for word in left):  # "the editor of the magazines sends"
                    subject = before[-2]
            assert numbers[subject] == forms[form], (s, form)
            checked += 1
    assert checked > 3000


@cache
def vocabulary_of_links() -> frozenset[str]:
    return frozenset(link.words[-1] for links in vocabulary.RELATIONS.values() for link in links)


def test_a_and_an_follow_the_sound_of_the_next_word(some):
    follow: dict[str, set[str]] = {"a": set(), "an": set()}
    for s in some:
        for word, following in zip(s.words, s.words[1:], strict=False):
            if word in follow:
                follow[word].add(following)
    assert {word for word in follow["a"] if word[0] in "aeiou"} <= {"uniform", "union", "useful"}
    assert {word for word in follow["an"] if word[0] not in "aeiou"} <= {"honest"}
    assert not follow["a"] & follow["an"]
    assert follow["an"] >= {"old", "apple", "honest", "uncle"}


def test_every_word_of_validation_and_test_occurs_in_train(splits):
    train = {word for s in splits["train"] for word in s.words}
    assert {word for name in ("validation", "test") for s in splits[name] for word in s.words} <= train


def test_every_noun_occurs_often_in_training(splits):
    seen = Counter(word for s in splits["train"] for word in s.words)
    forms = {form for pairs in vocabulary.NOUNS.values() for pair in pairs for form in pair}
    assert min(seen[form] for form in forms) >= 20
    assert min(seen.values()) >= 2


def test_every_construction_occurs_in_both_numbers(splits):
    for label in (0, 1):
        seen = Counter(s.construction for s in splits["test"] if s.label == label)
        assert set(seen) == {c.__name__.replace("_", " ") for c in grammar.WEIGHTS}


def test_a_word_form_belongs_to_one_part_of_speech():
    verbs = {
        form
        for verb in vocabulary.VERBS.values()
        for form in (verb.singular, verb.plural, verb.past, verb.participle, verb.present_participle)
    }
    present = {form for verb in vocabulary.VERBS.values() for form in (verb.singular, verb.plural)}
    nominal = set(number_of_form()) | INVARIANTS
    assert not nominal & verbs
    assert not nominal & adjectives()
    assert not present & adjectives()
    assert not present & {word for phrase in (*lexicon.FRONTED_FIXED, *lexicon.FRONTED) for word in phrase.split()}
    assert not nominal & vocabulary_of_links()
    assert not INVARIANTS & set(number_of_form())


def test_a_noun_has_one_meaning():
    forms = Counter(form for pairs in vocabulary.NOUNS.values() for pair in pairs for form in pair)
    assert [form for form, times in forms.items() if times > 1] == []


def test_words_are_lower_case_without_spaces_and_end_before_the_verb(some):
    for s in some:
        assert all(word == word.lower() and word.strip() == word and " " not in word for word in s.words)


def digest_in_a_new_process(hash_seed: str) -> str:
    code = (
        "import hashlib; from tasks.agreement.grammar import Grammar; "
        "print(hashlib.sha256(repr(Grammar(400, 40, 100).splits()).encode()).hexdigest())"
    )
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_the_same_seed_gives_the_same_sentences_in_every_process():
    assert digest_in_a_new_process("1") == digest_in_a_new_process("2")
    assert Grammar(400, 40, 100).splits() == Grammar(400, 40, 100).splits()


def test_another_seed_gives_different_sentences():
    assert Grammar(400, 40, 100).splits() != Grammar(400, 40, 100, seed=1).splits()


def test_the_test_sentences_do_not_change_with_the_size_of_train():
    small, large = Grammar(100, 40, 200).splits(), Grammar(1000, 40, 200).splits()
    assert small["test"] == large["test"]
    assert small["validation"] == large["validation"]


def test_the_test_split_is_available_without_the_others(splits):
    assert Grammar().test_split() == splits["test"]
    assert Agreement().facts == {name: len(sentences) for name, sentences in splits.items()}


@pytest.mark.parametrize("most", range(6))
def test_no_sentence_has_more_attractors_than_requested(most):
    split = Grammar(400, 2, 2, max_attractors=most).splits()["train"]
    assert {s.attractor_count for s in split} == set(range(most + 1))


def test_the_smallest_grammar_has_one_pair_per_split():
    assert [len(split) for split in Grammar(2, 2, 2).splits().values()] == [2, 2, 2]


@pytest.mark.parametrize(
    ("size", "remedy"), [(0, "ask for 2"), (-4, "ask for 2"), (1, "ask for 2"), (2001, "ask for 2002")]
)
@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_a_size_that_is_too_small_or_odd_is_refused(name, size, remedy):
    with pytest.raises(
        ValueError, match=rf"{name}: expected an even number of sentences, at least 2.*got {size}; {remedy}"
    ):
        Grammar(**{name: size})


@pytest.mark.parametrize("most", [-1, 6])
def test_a_number_of_attractors_outside_zero_to_five_is_refused(most):
    with pytest.raises(
        ValueError, match=rf"max_attractors: expected 0 to 5; got {most}; .*choose a number in that range"
    ):
        Grammar(max_attractors=most)


def test_too_many_sentences_are_refused_at_once():
    with pytest.raises(ValueError, match=r"expected at most 500000 sentences in all.*got 10012000; ask for fewer"):
        Grammar(train=10_000_000)


def test_running_out_of_new_sentences_is_an_error_and_not_an_endless_loop(monkeypatch):
    monkeypatch.setattr(grammar, "PATIENCE", 1)
    with pytest.raises(ValueError, match=r"test: expected .* pairs of new sentences .* ask for fewer sentences"):
        Grammar().splits()
