"""A prompt as a causal model's tokens, and the errors for prompts that cannot be explained."""

from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from harness.contracts import Model
from harness.tables import NO_GOLD
from harness.tracing.batch import Example, Role
from tasks.continuation import Continuation
from tasks.next_word.encoding import encoded
from tasks.next_word.prompt import Prompt, chosen, places
from tasks.next_word.prompt_tokens import UnfitWordsError
from tests.conftest import shared

KEYS = "The keys to the cabinet"
CHAT = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.fixture
def tokens() -> Any:
    """A real tokenizer, SmolLM2's: it adds no token of its own."""
    return AutoTokenizer.from_pretrained(shared("checkpoints", "smollm2-135m"), local_files_only=True)


def words_tokenizer(template: str = "<s> $A", **special: str) -> Any:
    """A tokenizer of whole words, which adds special tokens as its template says."""
    names = ["<pad>", "<unk>", "<s>", "</s>", "a", "dull", "film", "is", "was", "not"]
    inner = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = TemplateProcessing(single=template, special_tokens=[("<s>", 2), ("</s>", 3)])
    special = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"} | special
    return PreTrainedTokenizerFast(tokenizer_object=inner, **special)


def read(example: Example, tokens: Any) -> str:
    return " ".join(tokens.convert_ids_to_tokens(list(example.input_ids)))


def candidates(example: Example, tokens: Any) -> list[str]:
    assert example.candidates is not None
    return tokens.convert_ids_to_tokens(list(example.candidates))


def one(tokens: Any, text: str = KEYS, words: tuple[str, str] = ("are", "is"), **more: Any) -> Example:
    options = {name: more.pop(name) for name in ("bos", "chat") if name in more}
    return encoded(Prompt(text, words, **more), tokens, "name", **options)


def test_a_prompt_is_explained_at_its_last_token(tokens):
    example = one(tokens)
    assert read(example, tokens) == "The Ġkeys Ġto Ġthe Ġcabinet"
    assert example.position == 4
    assert example.roles == [*[Role.CONTENT] * 4, Role.PREDICTS]
    assert candidates(example, tokens) == ["Ġare", "Ġis"]
    assert example.gold == NO_GOLD
    assert example.tags == {"pieces": 1}


def test_spaces_at_the_end_belong_to_the_word(tokens):
    assert one(tokens, KEYS + " ").input_ids == one(tokens).input_ids
    assert candidates(one(tokens, KEYS + " "), tokens) == ["Ġare", "Ġis"]
    example = one(tokens, "Is it blue?\nAnswer:\n", ("Yes", "No"))
    assert read(example, tokens).endswith("Answer : Ċ")
    assert candidates(example, tokens) == ["Yes", "No"]
    assert candidates(one(tokens, "It is blue", (".", ","), separator=""), tokens) == [".", ","]


def test_pieces_with_which_both_words_begin_are_read(tokens):
    example = one(tokens, "They explored that", ("grocery store", "grocery stores"))
    assert read(example, tokens) == "They Ġexplored Ġthat Ġgrocery"
    assert example.roles == [*[Role.CONTENT] * 3, Role.PREDICTS]
    assert example.position == 3
    assert candidates(example, tokens) == ["Ġstore", "Ġstores"]
    assert example.tags == {"pieces": 2}


def test_evidence_becomes_all_tokens_that_share_a_character_with_it(tokens):
    text = "After Mattie met Sophia, Sophia wrote to"
    example = one(tokens, text, ("Mattie", "Sophia"), planted={"evidence": ((6, 12),), "other": places(text, "Sophia")})
    names = tokens.convert_ids_to_tokens(list(example.input_ids))
    assert [names[index] for index in example.planted["evidence"]] == ["ĠMatt", "ie"]
    assert [names[index] for index in example.planted["other"]] == ["ĠSophia", "ĠSophia"]
    moved = one(tokens, text, ("Mattie", "Sophia"), planted={"evidence": ((6, 12),)}, bos=True)
    assert moved.planted["evidence"] == [index + 1 for index in example.planted["evidence"]]


def test_a_start_of_text_is_put_in_front_or_removed_or_left_as_the_tokenizer_has_it(tokens):
    assert one(tokens, bos=None).input_ids == one(tokens, bos=False).input_ids
    example = one(tokens, bos=True)
    assert read(example, tokens) == "<|im_start|> The Ġkeys Ġto Ġthe Ġcabinet"
    assert example.roles == [Role.CLS, *[Role.CONTENT] * 4, Role.PREDICTS]
    assert example.position == 5
    adds = words_tokenizer()
    assert one(adds, "a dull film", ("is", "was")).roles == [Role.CLS, Role.CONTENT, Role.CONTENT, Role.PREDICTS]
    assert one(adds, "a dull film", ("is", "was"), bos=True).input_ids == [2, 4, 5, 6]
    assert one(adds, "a dull film", ("is", "was"), bos=False).input_ids == [4, 5, 6]


def test_what_a_tokenizer_adds_at_the_end_is_no_part_of_the_prompt():
    example = one(words_tokenizer("<s> $A </s>"), "a dull film", ("is", "was"))
    assert example.input_ids == [2, 4, 5, 6]
    assert example.candidates == [7, 8]


def test_the_end_of_text_stands_in_for_a_missing_start():
    tokens = words_tokenizer("$A")
    tokens.bos_token = None
    assert one(tokens, "a dull film", ("is", "was"), bos=True).input_ids[0] == 3
    tokens.eos_token = None
    with pytest.raises(ValueError, match=r"no token for the start or end of a text: set task.bos=null"):
        one(tokens, "a dull film", ("is", "was"), bos=True)


def test_an_unknown_word_of_the_text_is_content_and_special_tokens_in_it_are_not():
    example = one(words_tokenizer("$A"), "<s> a splendid film </s> a film", ("is", "was"))
    content, special = Role.CONTENT, Role.SEPARATOR
    assert example.roles == [Role.CLS, content, content, content, special, content, Role.PREDICTS]


def test_in_a_chat_only_the_message_is_content(tokens):
    tokens.chat_template = CHAT
    message = "Is the user blue?"
    example = one(tokens, message, ("Yes", "No"), planted={"evidence": places(message, "user")}, chat=True)
    assert read(example, tokens) == ("<|im_start|> user Ċ Is Ġthe Ġuser Ġblue ? <|im_end|> Ċ <|im_start|> ass istant Ċ")
    template = Role.SEPARATOR
    assert example.roles == [Role.CLS, *[template] * 2, *[Role.CONTENT] * 5, *[template] * 5, Role.PREDICTS]
    assert example.planted == {"evidence": [5]}
    assert candidates(example, tokens) == ["Yes", "No"]
    assert one(tokens, f"  {message} ", ("Yes", "No"), chat=True).roles == example.roles


def test_a_chat_needs_a_template_that_repeats_the_message_and_writes_its_own_start(tokens):
    with pytest.raises(ValueError, match=r"has no chat template, which task.chat=true asks for: choose an instruct"):
        one(tokens, chat=True)
    tokens.chat_template = "{{ messages[0]['content'] | upper }}"
    with pytest.raises(ValueError, match="chat template does not repeat the message 'The keys"):
        one(tokens, chat=True)
    tokens.chat_template = CHAT
    with pytest.raises(ValueError, match=r"a chat template writes its own start of text: leave task.bos=null"):
        one(tokens, chat=True, bos=True)


def test_a_counterfactual_of_as_many_tokens_can_replace_the_text(tokens):
    example = one(tokens, counterfactual="The key to the cabinet", bos=True)
    assert [tokens.decode(swap) for swap in example.swaps] == ["<|im_start|>The key to the cabinet"]
    assert not one(tokens, counterfactual="The key to the cabinets here").swaps
    assert not one(tokens, counterfactual=KEYS).swaps
    shared_piece = one(tokens, "Ann saw that", ("grocery store", "grocery stores"), counterfactual="Ann saw those")
    assert [tokens.decode(swap) for swap in shared_piece.swaps] == ["Ann saw those grocery"]


def test_words_that_this_tokenizer_cannot_compare_are_refused(tokens):
    message = r"neither begins with the other, got 'is' and 'is not', .*: choose another foil after 'The keys"
    with pytest.raises(UnfitWordsError, match=message) as caught:
        one(tokens, KEYS, ("is", "is not"))
    assert caught.value.reason == "words_begin_alike"
    with pytest.raises(UnfitWordsError, match="a word that continues 'The key', got 's', with which this") as caught:
        one(tokens, "The key", ("s", "is"), separator="")
    assert caught.value.reason == "no_continuation"


def test_an_unknown_word_is_refused():
    with pytest.raises(UnfitWordsError, match="the word 'splendid' is unknown to this tokenizer"):
        one(words_tokenizer(), "a dull film", ("is", "splendid"))


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        (KEYS, ("are", "are"), "expected two different words that may come next, got 'are' and 'are' after 'The keys"),
        (KEYS, ("are", " are "), "expected two different words"),
        (KEYS, ("are", ""), "expected two different words"),
        ("  ", ("are", "is"), "expected a text before the words are and is, got '  '"),
    ],
)
def test_a_prompt_without_a_choice_is_refused(text, words, message):
    with pytest.raises(ValueError, match=message):
        Prompt(text, words)


def test_a_tokenizer_that_is_not_fast_is_refused():
    with pytest.raises(ValueError, match="needs a fast tokenizer of a causal language model, got object: choose"):
        Continuation([KEYS], ["are", "is"]).examples(Model(torch.nn.Identity(), object(), "none"))  # type: ignore[arg-type]


def test_evidence_is_found_as_whole_words():
    text = "The painting of all paintings, the old painting"
    assert places(text, "painting") == ((4, 12), (39, 47))
    assert places(text, "old painting") == ((35, 47),)
    assert places(text, "") == ()
    assert chosen(text, "painting", "first") == ((4, 12),)
    assert chosen(text, "painting", "last") == ((39, 47),)
    assert chosen(text, "painting", "all") == ((4, 12), (39, 47))
    assert chosen(text, "paintings", None) == ((20, 29),)
    with pytest.raises(ValueError, match="the evidence 'paint' does not stand in 'The painting of"):
        chosen(text, "paint", "first")
    with pytest.raises(
        ValueError, match=r"'painting' stands at characters 4 and 39 of .*occurrence=first or last or all"
    ):
        chosen(text, "painting", None)
