from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from harness.contracts import Model
from harness.tables import NO_GOLD
from harness.tracing.batch import Batch, Example, Role, collate, pack, without
from harness.tracing.run import Trace
from tasks.masked_word import MaskedWord
from tasks.pronouns.gap import Gap
from tasks.pronouns.marked import Marked
from tasks.pronouns.winobias import WinoBias
from tasks.pronouns.winogender import Winogender
from tasks.word_choice_model import WordChoiceModel
from tests.conftest import shared

ASKED = "{John|his} asked {Mary|her} about [MASK] book."


@pytest.fixture(scope="module")
def bert() -> Model:
    folder = shared("checkpoints", "bert-minilm-mlm")
    inner = transformers.AutoModelForMaskedLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True
    )
    for parameter in inner.parameters():
        parameter.requires_grad_(False)
    tokens = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return Model(MaskedWord().prepare_model(inner.eval()), tokens, "minilm")


def batched(model: Model, examples: Sequence[Example]) -> Batch:
    tokens = model.tokens
    blanks = {"unk": tokens.unk_token_id, "mask": tokens.mask_token_id, "pad": tokens.pad_token_id}
    return collate(examples, "all", blanks)


def predicted(model: Model, examples: Sequence[Example]) -> list[int]:
    classes = [-1] * len(examples)
    for group in pack([len(example.input_ids) for example in examples], 4096):
        with torch.no_grad():
            logits = model.module(**batched(model, [examples[i] for i in group]).inputs).logits
        for index, label in zip(group, logits.argmax(dim=1).tolist(), strict=True):
            classes[index] = label
    return classes


def words(example: Example, tokens: Any) -> list[str]:
    return tokens.convert_ids_to_tokens(example.input_ids)


def text(example: Example, tokens: Any) -> str:
    return " ".join(words(example, tokens))


# with the real tokenizer and model


def test_a_sentence_is_encoded_around_the_mask(bert: Model):
    (example,) = MaskedWord(sentences=[ASKED]).examples(bert)
    assert text(example, bert.tokens) == "[CLS] john asked mary about [MASK] book . [SEP]"
    assert example.roles == [Role.CLS, *[Role.CONTENT] * 4, Role.MASK, *[Role.CONTENT] * 2, Role.FINAL]
    assert example.position == 5
    assert example.gold == NO_GOLD
    assert example.planted == {"referent 1": [1], "referent 2": [3]}
    assert example.points_to == {0: "referent 1", 1: "referent 2"}
    assert bert.tokens.convert_ids_to_tokens(example.candidates) == ["his", "her"]
    assert example.token_types is None
    assert example.tags == {"pieces": 1}
    plain = bert.tokens("John asked Mary about [MASK] book.")["input_ids"]
    assert example.input_ids == plain


def test_referents_may_follow_the_mask(bert: Model):
    (example,) = MaskedWord(sentences=["Since [MASK] car broke, {Ebenezer|his} met {old Mary|her}."]).examples(bert)
    found = {name: [words(example, bert.tokens)[i] for i in indices] for name, indices in example.planted.items()}
    assert found == {"referent 1": ["e", "##ben", "##ezer"], "referent 2": ["old", "mary"]}


def test_an_unknown_word_in_the_text_is_content(bert: Model):
    (example,) = MaskedWord(sentences=["He drew ⛄ and [UNK] on [MASK] wall."]).examples(bert)
    unknown = [i for i, word in enumerate(words(example, bert.tokens)) if word == "[UNK]"]
    assert len(unknown) == 2
    assert {example.roles[i] for i in unknown} == {Role.CONTENT}
    assert not example.planted
    assert not example.points_to


@pytest.mark.parametrize(
    "task",
    [
        MaskedWord(),
        MaskedWord(WinoBias("winobias")),
        MaskedWord(Winogender("winogender")),
        MaskedWord(Gap("gap", "validation")),
    ],
    ids=lambda task: type(task.reader).__name__,
)
def test_every_example_is_complete(bert: Model, task: MaskedWord):
    if path := getattr(task.reader, "path", None):
        task = replace(task, path=str(shared("data", path)))
    examples = task.examples(bert)
    assert len(examples) == task.facts.get("sentences", task.facts["kept"])
    assert len({example.id for example in examples}) == len(examples)
    for example, sentence in zip(examples, task._read[0], strict=True):
        ids = bert.tokens(str(sentence))["input_ids"]
        assert example.input_ids == ids
        assert ids[example.position] == bert.tokens.mask_token_id
        assert Counter(example.roles)[Role.MASK] == 1
        assert len(example.roles) == len(ids)
        assert (example.roles[0], example.roles[-1]) == (Role.CLS, Role.FINAL)
        assert example.tags["pieces"] == 1
        for mention, indices in zip(sentence.mentions, example.planted.values(), strict=True):
            assert [ids[i] for i in indices] == bert.tokens(mention, add_special_tokens=False)["input_ids"]
    batch = batched(bert, examples[:20])
    assert batch.inputs["candidates"].shape == (20, 2)


def test_the_model_distinguishes_his_from_her_on_gap(bert: Model):
    examples = MaskedWord(Gap(str(shared("data", "gap")), "validation")).examples(bert)[:100]
    classes = predicted(bert, examples)
    right = sum(label == example.gold for label, example in zip(classes, examples, strict=True))
    assert sum(example.gold == 0 for example in examples) <= 55
    assert right >= 80


def test_removing_a_token_before_the_mask_moves_the_position(bert: Model):
    batch = batched(bert, MaskedWord(sentences=[ASKED]).examples(bert))
    shorter = without(batch.at(torch.tensor([0, 0])), torch.tensor([2, 6]))
    assert shorter["position"].tolist() == [4, 5]
    masks = shorter["input_ids"].gather(1, shorter["position"][:, None])[:, 0]
    assert masks.tolist() == [bert.tokens.mask_token_id] * 2
    ids = [bert.tokens(line)["input_ids"] for line in ("John Mary about [MASK] book.", "John asked Mary about [MASK].")]
    for row, expected in zip(ids, Trace(bert.module, batch).rerun(shorter), strict=True):
        place = torch.tensor([row.index(bert.tokens.mask_token_id)])
        candidates = batch.inputs["candidates"]
        inputs = {"input_ids": torch.tensor([row]), "attention_mask": torch.ones(1, len(row), dtype=torch.long)}
        alone = bert.module(**inputs, position=place, candidates=candidates)
        torch.testing.assert_close(alone.logits[0], expected, atol=1e-4, rtol=0)


def test_the_trace_explains_the_mask(bert: Model):
    batch = batched(bert, MaskedWord().examples(bert)[:4])
    trace = Trace(bert.module, batch, output=MaskedWord.output)
    assert trace.logits.shape == (4, 2)
    assert trace.attention.shape[:3] == (4, 6, 12)
    assert isinstance(bert.module, WordChoiceModel)
    whole = bert.module.inner(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
    expected = whole[torch.arange(4), batch.position].gather(1, batch.inputs["candidates"])
    torch.testing.assert_close(trace.logits, expected, atol=1e-4, rtol=0)


# other tokenizers


CORPUS = ["John asked Mary about his book", "John asked Mary about her book", 'He said "his" and "her" first'] * 9
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def fast(tokenizer: Tokenizer, trim_offsets: bool) -> Any:
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=trim_offsets)
    names = {"cls": "<s>", "sep": "</s>", "pad": "<pad>", "unk": "<unk>", "mask": "<mask>"}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **{f"{name}_token": word for name, word in names.items()}
    )


def bytes_tokenizer() -> Any:
    """Like RoBERTa's: a word after a space is a different piece from one without, and the mask absorbs the space."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return fast(tokenizer, trim_offsets=True)


def spaces_tokenizer() -> Any:
    """Like ALBERT's and DeBERTa's: pieces begin with a mark for the space, which their offsets include."""
    pieces = "▁John ▁asked ▁Mary ▁about ▁his ▁her ▁book ▁ . his her".split()  # noqa: SIM905
    tokenizer = Tokenizer(models.Unigram([(word, -1.0) for word in [*SPECIAL, *pieces]], unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return fast(tokenizer, trim_offsets=False)


def pieces_tokenizer(vocabulary: str, **more: Any) -> Any:
    """Like BERT's, with the given words."""
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *vocabulary.split()]
    tokenizer = Tokenizer(models.WordPiece({name: i for i, name in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] [SEP] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"} | more
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **{f"{name}_token": word for name, word in special.items()}
    )


def encoded(tokens: Any, sentence: str, **more: Any) -> Example:
    return MaskedWord(sentences=[sentence], **more).examples(Model(torch.nn.Identity(), tokens, "none"))[0]


def test_a_candidate_is_the_piece_that_it_would_be_in_context():
    tokens = bytes_tokenizer()
    example = encoded(tokens, ASKED)
    assert tokens.convert_ids_to_tokens(example.candidates) == ["Ġhis", "Ġher"]
    assert example.input_ids == tokens("John asked Mary about <mask> book.")["input_ids"]
    assert [words(example, tokens)[i] for i in example.planted["referent 2"]] == ["ĠMary"]
    quoted = encoded(tokens, 'John asked "[MASK]" book.')
    assert [word.startswith("Ġ") for word in tokens.convert_ids_to_tokens(quoted.candidates)] == [False, False]
    assert quoted.input_ids == tokens('John asked "<mask>" book.')["input_ids"]
    start = encoded(tokens, "[MASK] book.")
    assert start.input_ids == tokens("<mask> book.")["input_ids"]
    assert start.position == 1


def test_a_mark_for_the_space_belongs_to_the_candidate():
    tokens = spaces_tokenizer()
    example = encoded(tokens, ASKED)
    assert text(example, tokens) == "<s> ▁John ▁asked ▁Mary ▁about <mask> ▁book . </s>"
    assert tokens.convert_ids_to_tokens(example.candidates) == ["▁his", "▁her"]
    assert example.planted == {"referent 1": [1], "referent 2": [3]}


def test_a_candidate_merged_into_the_text_is_refused():
    with pytest.raises(ValueError, match=r"tokens that make up the candidate 'hn' and no more, got .*by spaces"):
        encoded(bytes_tokenizer(), "Jo[MASK] asked", candidates=["hn", "x"])


def test_special_tokens_added_by_the_template_are_not_content():
    tokens = pieces_tokenizer("they lost his her way .")
    example = encoded(tokens, "they lost [MASK] way .")
    assert text(example, tokens) == "[CLS] [SEP] they lost [MASK] way . [SEP]"
    assert example.roles == [
        *(Role.CLS, Role.SEPARATOR, Role.CONTENT, Role.CONTENT),
        *(Role.MASK, Role.CONTENT, Role.CONTENT, Role.FINAL),
    ]


def test_pieces_that_candidates_share_go_before_the_mask():
    tokens = pieces_tokenizer("anna met bob on the way un ##kind ##happ ##y ##ly road . kind")
    example = encoded(
        tokens, "on the [MASK] way {anna|unkindly} met {bob|unhappy} .", candidates=["unkindly", "unhappy"]
    )
    assert text(example, tokens) == "[CLS] [SEP] on the un [MASK] way anna met bob . [SEP]"
    assert tokens.convert_ids_to_tokens(example.candidates) == ["##kind", "##happ"]
    assert example.position == 5
    assert example.roles[4:6] == [Role.CONTENT, Role.MASK]
    assert example.planted == {"referent 1": [7], "referent 2": [9]}
    assert example.points_to == {0: "referent 1", 1: "referent 2"}
    assert example.tags == {"pieces": 3}
    uneven = encoded(tokens, "on the [MASK] {anna|kind} met {bob|unkindly} .", candidates=["kind", "unkindly"])
    assert text(uneven, tokens) == "[CLS] [SEP] on the [MASK] anna met bob . [SEP]"
    assert tokens.convert_ids_to_tokens(uneven.candidates) == ["kind", "un"]
    assert uneven.planted == {"referent 1": [5], "referent 2": [7]}


def test_a_candidate_that_begins_with_the_other_is_refused():
    tokens = pieces_tokenizer("the un ##kind ##ly way")
    message = r"got 'unkind' and 'unkindly', which .* \['un', '##kind'\] and \['un', '##kind', '##ly'\]; choose other"
    with pytest.raises(ValueError, match=message):
        encoded(tokens, "the [MASK] way", candidates=["unkindly", "unkind"])


def test_an_unknown_candidate_is_named():
    with pytest.raises(ValueError, match="the candidate 'her' is unknown to this model's tokenizer; choose"):
        encoded(pieces_tokenizer("the his way"), "the [MASK] way")


def test_an_unsuitable_tokenizer_is_refused():
    with pytest.raises(ValueError, match=r"needs a fast tokenizer with a mask token, got .*Tokenizer.*; choose"):
        encoded(pieces_tokenizer("his her way", mask=None), "[MASK] way")
    with pytest.raises(ValueError, match="needs a fast tokenizer with a mask token, got object"):
        encoded(object(), "[MASK] way")


# the task


def test_given_sentences_take_precedence_and_keep_their_order():
    tokens = pieces_tokenizer("a b c d his her")
    task = MaskedWord(reader=Gap("nowhere"), sentences=[f"{word} [MASK]" for word in "dabca"])
    examples = task.examples(Model(torch.nn.Identity(), tokens, "none"))
    assert [words(example, tokens)[2] for example in examples] == [*"dabca"]
    assert task.facts == {"read": 5, "kept": 5}
    assert examples[4].id == f"{examples[1].id}-2"
    assert len({example.id for example in examples}) == 5


def test_the_order_is_random_and_seeded(tmp_path: Path):
    assert MaskedWord().digest == MaskedWord().digest
    assert MaskedWord().digest != MaskedWord(order_seed=1).digest
    assert MaskedWord().digest != MaskedWord(candidates=["her", "his"]).digest
    one, two = (sorted(map(str, MaskedWord(order_seed=seed)._read[0])) for seed in (0, 1))
    assert one == two
    file = tmp_path / "mine.txt"
    file.write_text("\n".join(f"word{i} [MASK]" for i in range(20)))
    read = [str(sentence) for sentence in MaskedWord(Marked(str(file)))._read[0]]
    assert read != sorted(read)
    assert len(read) == 20


def test_the_classes_are_the_candidates():
    task = MaskedWord(reader=Marked("mine.txt"), candidates=["its", "their"])
    assert task.classes == ("its", "their")
    assert (task.version, task.output, task.head) == ("1", "logit_difference", "masked_lm")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reader": Marked(None)}, "Marked reads files and was given no path: set task.path="),
        ({"path": "here"}, "the sentences of Embedded have no path, got path=here: choose the task of those files"),
        ({"split": "dev"}, "the sentences of Embedded have no split, got split=dev"),
        ({"reader": Gap("here"), "split": "dev"}, "split is one of development, validation, test, all, got 'dev'"),
        ({"candidates": "his"}, r"candidates are two different words, e.g. \[his, her\], got 'his'"),
        ({"candidates": ["his", "his"]}, "candidates are two different words"),
        (
            {"candidates": ["he", "she"]},
            "the sentences of Embedded ask for his or her, got the candidates he, she",
        ),
        ({"sentences": []}, r"sentences are a list of at least one, got \[\]; null for the reader's"),
        ({"order_seed": -1}, "order_seed is a whole number, at least 0, got -1"),
    ],
)
def test_invalid_settings_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        MaskedWord(**settings)


def test_a_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"expected a folder with gap-test\.tsv, found no such folder"):
        _ = MaskedWord(Gap(str(tmp_path / "nowhere"), "test")).facts
