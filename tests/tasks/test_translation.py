"""Parallel text for an encoder-decoder, with tiny models in folders and real German and English sentences."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest
import torch

from harness.contracts import Model
from harness.tracing.batch import Example, Role, collate
from harness.tracing.run import Trace
from tasks.pretrained import Pretrained
from tasks.sequence_pair import Encoder
from tasks.target_word_model import TargetWordModel
from tasks.translation import Translation
from tasks.word_pieces import Pieces, UnmatchedError, pieces_of
from tests.conftest import shared
from tests.tasks.test_agreement_transformer import quiet
from tests.tasks.two_sided_folders import (
    GOLD,
    SENTENCES,
    marian_of_sentencepiece,
    save_module,
    saved,
    sides_of,
    tokenizer,
    with_languages,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("models") / "marian")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of sentences and one of their links, from 1."""
    place = tmp_path_factory.mktemp("corpus")
    for name, lines in (
        ("de", [pair[0] for pair in SENTENCES]),
        ("en", [pair[1] for pair in SENTENCES]),
        ("gold", GOLD),
    ):
        (place / name).write_text("\n".join(lines) + "\n")
    return place


def files(corpus: Path, **more: Any) -> dict[str, Any]:
    return {"source": str(corpus / "de"), "target": str(corpus / "en"), "alignment": str(corpus / "gold")} | {
        "counted_from": 1,
        **more,
    }


def load(folder: Path, task: Translation) -> Model:
    return Pretrained(path=str(folder))(task, quiet)


def explained(folder: Path, **settings: Any) -> tuple[Model, list[Example]]:
    """The examples of the two sentences, in their order."""
    task = Translation(pairs=SENTENCES, **settings)
    model = load(folder, task)
    return model, task.examples(model)


def names(model: Model, ids: Any) -> list[str]:
    return model.tokens.convert_ids_to_tokens(list(ids))


def joined(pieces: list[str], words: list[int]) -> dict[int, str]:
    """The text that the pieces of each word spell."""
    spelt: dict[int, str] = {}
    for piece, word in zip(pieces, words, strict=True):
        spelt[word] = spelt.get(word, "") + piece.replace("▁", "")
    return spelt


def test_each_token_of_a_target_is_explained_after_those_before_it(folder: Path):
    model, examples = explained(folder)
    first = [example for example in examples if example.cluster == examples[0].cluster]
    whole = names(model, model.tokens(text_target=SENTENCES[0][1])["input_ids"])
    assert [names(model, example.candidates)[0] for example in first] == whole
    assert whole[-1] == "</s>"
    for index, example in enumerate(first):
        source = names(model, example.input_ids)[: sides_of(example).source]
        assert source == names(model, model.tokens(SENTENCES[0][0])["input_ids"])
        assert names(model, example.input_ids)[sides_of(example).source :] == ["<pad>", *whole[:index]]
        assert example.position == len(example.input_ids) - 1
        assert sides_of(example).target == len(whole) + 1


def test_the_foil_is_the_likeliest_other_token_and_logits_are_the_models_own(folder: Path):
    model, examples = explained(folder)
    for example in examples[:6]:
        source, prefix = example.input_ids[: sides_of(example).source], example.input_ids[sides_of(example).source :]
        with torch.no_grad():
            logits = model.module.inner(
                input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([prefix])
            ).logits[0, -1]
        trace = Trace(model.module, collate([example], "content", model.blank_ids))
        assert torch.allclose(trace.logits[0], logits[list(example.candidates)], atol=1e-5)
        logits[example.candidates[0]] = -torch.inf
        assert int(logits.argmax()) == example.candidates[1]


def test_gold_links_plant_the_pieces_of_the_aligned_words(folder: Path, corpus: Path):
    task = Translation(**files(corpus))
    model = load(folder, task)
    found: dict[str, set[str]] = {}
    for example in task.examples(model):
        words = sides_of(example).words
        pieces = names(model, example.input_ids)
        whole = model.tokens(text_target=dict(SENTENCES)[source_of(model, example)])
        spelt = joined(names(model, whole["input_ids"][:-1]), whole.word_ids()[:-1])
        if sides_of(example).next_word < 0:
            assert "aligned" not in example.planted
            continue
        planted = example.planted.get("aligned", [])
        assert all(index < sides_of(example).source for index in planted)
        read = joined([pieces[index] for index in planted], [words[index] for index in planted])
        found.setdefault(spelt[sides_of(example).next_word], set()).update(read.values())
    assert found == {
        "that": {"das"}, "is": {"stimmt"}, "not": {"nicht"}, "true": set(), "!": {"!"},
        "thank": {"danke"}, "you": set(), ",": {","}, "commissioner": {"kommissar"}, ".": {"."},
    }  # fmt: skip
    assert task.facts["with_alignment"] == 2


def source_of(model: Model, example: Example) -> str:
    return next(
        source
        for source, _ in SENTENCES
        if list(model.tokens(source)["input_ids"]) == list(example.input_ids[: sides_of(example).source])
    )


def test_possible_links_are_kept_apart_from_sure_ones(folder: Path, corpus: Path):
    task = Translation(**files(corpus))
    examples = task.examples(load(folder, task))
    sides = {tuple(sides_of(example).sure): tuple(sides_of(example).possible) for example in examples}
    assert sides == {
        ((0, 0), (1, 1), (2, 2), (3, 4)): ((1, 3),),
        ((1, 3), (2, 2), (3, 0), (4, 4)): ((0, 3),),
    }


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_a_table_gives_the_same_as_files(folder: Path, corpus: Path, tmp_path: Path, ending: str):
    path = tmp_path / f"pairs.{ending}"
    frame = pd.DataFrame({"de": [pair[0] for pair in SENTENCES], "en": [pair[1] for pair in SENTENCES], "gold": GOLD})
    if ending == "parquet":
        frame.to_parquet(path)
    elif ending == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    table = Translation(path=str(path), source="de", target="en", alignment="gold", counted_from=1)
    plain = Translation(**files(corpus))
    model = load(folder, plain)
    assert table.digest == plain.digest
    assert table.examples(model) == plain.examples(model)


def test_a_pair_without_links_in_a_table_has_none(folder: Path, tmp_path: Path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(
        '{"source": "das", "target": "that", "links": null}\n{"source": "!", "target": "!", "links": "0-0"}'
    )
    task = Translation(path=str(path), alignment="links")
    sure = {example.cluster: sides_of(example).sure for example in task.examples(load(folder, task))}
    assert sorted(sure.values(), key=str) == [None, [(0, 0)]]
    assert task.facts["with_alignment"] == 1


def test_sentences_come_in_a_random_order_of_which_the_first_can_be_taken(folder: Path, tmp_path: Path):
    for name in ("de", "en"):
        (tmp_path / name).write_text("\n".join(f"das {number}" for number in range(20)))
    settings = {"source": str(tmp_path / "de"), "target": str(tmp_path / "en")}
    whole, other = Translation(**settings), Translation(**settings, order_seed=1)
    order = [pair.source for pair in whole._chosen]
    assert sorted(order) != order
    assert sorted(order) == sorted(pair.source for pair in other._chosen)
    assert order != [pair.source for pair in other._chosen]
    few = Translation(**settings, sentences=4)
    assert [pair.source for pair in few._chosen] == order[:4]
    assert few.facts["sentences"] == 4
    assert len({whole.digest, other.digest, few.digest}) == 3


@pytest.mark.parametrize("position", [0, 2, -1])
def test_one_position_of_each_target_is_explained(folder: Path, position: int):
    _, every = explained(folder)
    _, chosen = explained(folder, position=position)
    by_pair: dict[str, list[Example]] = {}
    for example in every:
        by_pair.setdefault(example.cluster, []).append(example)
    assert chosen == [examples[position] for examples in by_pair.values()]


def test_a_position_that_no_target_has_is_said(folder: Path):
    with pytest.raises(ValueError, match=r"no target has a token 99: set task\.position"):
        explained(folder, position=99)


def test_a_prefix_of_the_task_belongs_to_no_word_and_is_not_ranked(tmp_path: Path):
    model, examples = explained(saved(tmp_path / "t5", "t5"), prefix="das kommissar :")
    plain = names(model, model.tokens(f"das kommissar : {SENTENCES[0][0]}")["input_ids"])
    example = examples[0]
    source = names(model, example.input_ids)[: sides_of(example).source]
    assert source == plain
    ranked = collate([example], "content", model.blank_ids).ranked[0, : len(source)]
    own = [word >= 0 for word in sides_of(example).words[: len(source)]]
    assert ranked.tolist() == own
    spelt = joined(source, list(sides_of(example).words[: len(source)]))
    assert [spelt[word] for word in range(4)] == SENTENCES[0][0].split()
    assert spelt[-1] == "daskommissar:</s>".replace(":", "<unk>" if "<unk>" in source else ":")


@pytest.mark.parametrize(
    ("kind", "languages", "start", "source"),
    [
        ("nllb", ["deu_Latn", "eng_Latn"], ["</s>", "eng_Latn"], ["deu_Latn", "</s>"]),
        ("mbart", ["de_DE", "en_XX"], ["en_XX"], ["</s>", "de_DE"]),
    ],
)
def test_languages_stand_where_the_model_was_trained_to_read_them(tmp_path: Path, kind, languages, start, source):
    options = {"decoder_start_token_id": 5} if kind == "mbart" else {}
    place = with_languages(tmp_path / "model", kind, **options)
    model, examples = explained(place, source_language=languages[0], target_language=languages[1])
    whole = names(model, examples[0].input_ids)
    roles = examples[0].roles
    size = sides_of(examples[0]).source
    assert whole[size:] == start
    assert [name for name, role in zip(whole[:size], roles, strict=False) if role != Role.CONTENT] == source
    assert roles[size:] == [*[Role.CLS] * (len(start) - 1), Role.PREDICTS]
    last = [example for example in examples if example.cluster == examples[0].cluster][-1]
    assert names(model, last.candidates)[0] == "</s>"
    assert model.tokens.src_lang == languages[1]  # put back: both tokenizers are set to English as the source at first
    assert model.tokens.tgt_lang is None


def test_languages_that_are_missing_unknown_or_out_of_place_are_said(tmp_path: Path, folder: Path):
    place = with_languages(tmp_path / "model")
    with pytest.raises(ValueError, match=r"marks the languages of source and target: set task\.source_language"):
        explained(place)
    with pytest.raises(ValueError, match="does not know the languages german and eng_Latn"):
        explained(place, source_language="german", target_language="eng_Latn")
    with pytest.raises(ValueError, match=r"marks no languages, got de: leave out task\.source_language"):
        explained(folder, source_language="de")


def test_marians_own_tokenizer_is_served_with_words_found_from_its_pieces(tmp_path: Path):
    model, examples = explained(marian_of_sentencepiece(tmp_path / "marian"))
    assert not model.tokens.is_fast
    last = [example for example in examples if example.cluster == examples[0].cluster][-1]
    size = sides_of(last).source
    source, prefix = names(model, last.input_ids[:size]), names(model, last.input_ids[size:])
    spelt = joined(source, list(sides_of(last).words[:size]))
    assert [spelt[word] for word in range(4)] == SENTENCES[0][0].split()
    assert spelt[-1] == "</s>"
    spelt = joined(prefix, list(sides_of(last).words[size:]))
    assert [spelt[word] for word in range(5)] == SENTENCES[0][1].split()
    assert spelt[-1] == "<pad>"


def test_a_slow_tokenizers_unknown_and_normalised_characters_are_matched(tmp_path: Path):
    task = Translation(pairs=SENTENCES)
    tokens: Any = load(marian_of_sentencepiece(tmp_path / "marian"), task).tokens
    pieces = pieces_of("das ½ 語彙 stimmt", tokens)
    assert sorted(set(pieces.words)) == [0, 1, 2, 3]
    assert tokens.unk_token_id in pieces.ids
    assert list(pieces.words) == sorted(pieces.words)


class Stubborn:
    """A slow tokenizer that writes other characters than the text has, or pieces of several words."""

    is_fast = False

    def __init__(self, pieces: list[str]):
        self.pieces = pieces

    def tokenize(self, text: str) -> list[str]:
        return self.pieces

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": list(range(len(self.pieces)))}


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        (["▁Das", "▁ist"], "the piece '▁Das' has other characters"),
        (["▁das▁ist"], "the piece '▁das▁ist' belongs to several words"),
        (["▁das"], "end before it does"),
        (["▁das", "▁ist", "▁so"], "the piece '▁so' has other characters"),
    ],
)
def test_pieces_that_are_no_parts_of_words_are_not_matched(pieces: list[str], message: str):
    with pytest.raises(UnmatchedError, match=message):
        pieces_of("das ist", Stubborn(pieces))
    assert pieces_of("das ist", Stubborn(["▁d", "as", "▁", "ist"])).words == [0, 0, 1, 1]


def test_sentences_that_are_too_long_are_left_out_and_counted(folder: Path):
    long = ("das " * 60, "that !")
    task = Translation(pairs=[SENTENCES[0], long, (long[1], long[0])])
    examples = task.examples(load(folder, task))
    assert len({example.cluster for example in examples}) == 1
    assert task.facts == {"sentences": 3, "repeats": 0, "with_alignment": 0, "unmatched": 0, "too_long": 2}
    alone = Translation(pairs=[long])
    model = load(folder, alone)
    with pytest.raises(ValueError, match=r"no sentence can be explained with this model: .* is longer than the 40 tok"):
        alone.examples(model)


def test_a_sentence_of_exactly_the_models_length_is_explained(folder: Path):
    """The end of the target is predicted and never read: 39 pieces, the start and no end make 40 tokens."""
    model = load(folder, Translation(pairs=SENTENCES))
    for count, fits in ((39, True), (40, False)):
        task = Translation(pairs=[("das !", " ".join("!" * count))], position=-1)
        assert len(pieces_of(" ".join("!" * count), model.tokens, target=True).ids) == count
        if fits:
            (example,) = task.examples(model)
            assert len(example.input_ids) - sides_of(example).source == 40
            Trace(model.module, collate([example], "content", model.blank_ids))
        else:
            with pytest.raises(ValueError, match="longer than the 40 tokens"):
                task.examples(model)


def test_sentences_whose_pieces_span_words_are_left_out_and_counted(tmp_path: Path):
    tokens = tokenizer(["das stimmt"], whole=True)
    tokens.save_pretrained(tmp_path)
    save_module(tmp_path, "marian", len(tokens))
    assert tokens.tokenize("das stimmt") == ["▁das▁stimmt"]
    task = Translation(pairs=[("das stimmt", "das"), ("das", "das stimmt"), ("stimmt das", "das")])
    assert len({example.cluster for example in task.examples(load(tmp_path, task))}) == 1
    assert task.facts["unmatched"] == 2
    with pytest.raises(UnmatchedError, match="the piece 'das stimmt' belongs to several words"):
        pieces_of("das stimmt", tokens)


def test_repeats_get_ids_of_their_own(folder: Path):
    task = Translation(pairs=[SENTENCES[0], SENTENCES[0]], position=0)
    first, second = task.examples(load(folder, task))
    assert second.cluster == f"{first.cluster}-2"
    assert task.facts["repeats"] == 1


def test_real_sentences_are_joined_to_their_words_on_both_sides():
    """508 German and English sentences with gold links: every piece spells a part of its word."""
    data = shared("data", "alignment")
    named = {"source": "test.de", "target": "test.en", "alignment": "alignment.talp"}
    task = Translation(**{key: str(data / f"deen.{name}") for key, name in named.items()}, counted_from=1)
    pairs = task._all
    assert task.facts == {"sentences": 508, "repeats": 0, "with_alignment": 508}
    tokens = tokenizer([text for pair in pairs for text in (pair.source, pair.target)], size=800)
    encoder = Encoder(Model(TargetWordModelConfig(), tokens, "tokenizer"))
    for number, one in enumerate(pairs):
        pair = encoder.pair(str(number), one.source, one.target, one.links)
        for text, ids, words in (
            (one.source, pair.source, pair.source_words), (one.target, pair.target, pair.target_words)
        ):  # fmt: skip
            spelt = joined(tokens.convert_ids_to_tokens(ids), words)
            assert spelt.pop(-1) == "</s>"
            assert [spelt[word] for word in range(len(spelt))] == text.split()
    assert (pairs[1].source.split()[3], pairs[1].target.split()[4]) == ("!", "what")
    assert pairs[1].links is not None
    assert (1, 2) in pairs[1].links.sure  # 2-3 in the file


class TargetWordModelConfig(torch.nn.Module):
    """Stands for a model of which only the start token is asked."""

    class config:  # noqa: N801
        decoder_start_token_id = 0


def test_a_run_from_the_command_line_prints_its_tables(folder: Path, corpus: Path, assay: Callable):
    status, printed, errors = assay(
        "task=translation", *(f"task.{key}={value}" for key, value in files(corpus).items()), f"model.path={folder}",
        "explainers=[random,position,rollout,saliency]", "references=[blank_out]", "metrics=[planted_precision_at_1]",
        "figures=false", "threads=1",
    )  # fmt: skip
    assert status == 0, errors
    assert "saliency" in printed
    assert "planted_precision_at_1" in printed
    assert "removal: ignore" in printed
    assert "less than chance" not in printed + errors  # its rivals are the strongest of all
    kept = pd.read_parquet("run/examples.parquet")
    assert len(kept) == 19
    assert set(kept["cluster"]) == {name.rpartition("-")[0] for name in kept["example"]}


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (
            {"source": "absent.de"},
            FileNotFoundError,
            r"absent\.de: expected a text file .* found none: set task\.source",
        ),
        ({"target": "."}, FileNotFoundError, r"found a folder: set task\.target"),
        ({"alignment": "absent"}, FileNotFoundError, r"found none: set task\.alignment"),
        ({"target": "short"}, ValueError, "has 2 lines and short has 1: expected a translation for each"),
        ({"source": "empty"}, ValueError, "empty, line 2: expected a sentence, found none"),
        ({"alignment": "bad"}, ValueError, r"bad, line 1: expected links such as 3-4 .* got '1:1'"),
        (
            {"alignment": "outside"},
            ValueError,
            r"outside, line 2: a link of words 9 and 1 .* from 0 or 1 \(counted_from\)",
        ),
        ({"alignment": "fewer"}, ValueError, "fewer has 1 lines, but there are 2 sentence pairs"),
        ({"alignment": "zero"}, ValueError, "words are counted from 1, got '0-0'"),
        ({"source": "latin"}, ValueError, "latin, line 1: its text is not UTF-8"),
        ({"source": None}, ValueError, r"no data are named: set task\.source=<file> and task\.target=<file>"),
        ({"pairs": [["a", "b"]]}, ValueError, "pairs are given, and path, source, target or alignment name files"),
        ({"counted_from": 2}, ValueError, "counted_from"),
        ({"sentences": 0}, ValueError, "sentences"),
        ({"position": "first"}, ValueError, "position is a whole number, or null for all of them, got 'first'"),
    ],
)
def test_what_is_missing_or_wrong_is_said(corpus: Path, tmp_path: Path, monkeypatch, change, kind, message):
    monkeypatch.chdir(tmp_path)
    for name, content in {
        "short": "one\n", "empty": "one\n\n", "bad": "1:1\n\n", "outside": "1-1\n9-1\n", "fewer": "1-1\n",
        "zero": "0-0\n\n",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(content)
    (tmp_path / "latin").write_bytes("für\nfür\n".encode("latin-1"))
    with pytest.raises(kind, match=message):
        Translation(**files(corpus) | change).digest  # noqa: B018


@pytest.mark.parametrize("pair", ["das", ["das"], ["das", ""], ["das", 3]])
def test_pairs_are_two_texts(pair):
    with pytest.raises(ValueError, match="pairs are sentences each with its translation, two texts"):
        Translation(pairs=[pair])


def test_without_a_model_the_error_says_what_to_set(assay: Callable):
    status, _, errors = assay("task=translation", 'task.pairs=[["das","that"]]')
    assert status != 0
    assert "set model.name=<owner/name> or model.path=<folder>" in errors


def test_the_module_is_wrapped_and_its_weights_are_the_checkpoints(folder: Path):
    model = load(folder, Translation(pairs=SENTENCES))
    assert isinstance(model.module, TargetWordModel)
    assert model.longest == 40
    assert model.facts["model_type"] == "marian"


@pytest.mark.parametrize(
    ("before", "after", "first", "expected"),
    [
        ([], [2, 9], 2, ([2, 9], [2])),  # NLLB's old way: the decoder starts from the end token, and then the language
        ([], [2, 9], 9, ([9], [2])),  # mBART starts from the language
        ([9], [2], 2, ([2, 9], [2])),
        ([0], [2], 0, ([0], [2])),
        ([0], [2], 2, ([2, 0], [2])),  # BART
        ([], [2], 5, ([5], [2])),
        ([], [], 5, ([5], [])),
    ],
)
def test_what_a_target_starts_from_and_ends_with(before: list, after: list, first: int, expected: tuple):
    module = SimpleNamespace(config=SimpleNamespace(decoder_start_token_id=first))
    encoder = Encoder(Model(cast("Any", module), cast("Any", SimpleNamespace(eos_token_id=2)), "none"))
    assert encoder._ends(Pieces(before, [7], [0], after)) == expected
