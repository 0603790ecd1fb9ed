"""A prompt as an example: a causal model's tokens, explained at the last one as a choice between two next words."""

from itertools import takewhile
from typing import Any

from harness.tracing.batch import Example, Role
from tasks.next_word.prompt import Prompt
from tasks.next_word.prompt_tokens import PromptTokens, UnfitWordsError
from tasks.next_word.written import in_chat, plain
from tasks.sentences import sentences


def encoded(prompt: Prompt, tokens: Any, name: str, bos: bool | None = None, chat: bool = False) -> Example:
    """The example; `tokens` is a fast tokenizer of transformers.

    A word's pieces are those that it has after the text. Pieces with which both words begin are read as part of the
    prompt; the tag `pieces` is the number of pieces of the longer word. `bos=True` puts the tokenizer's start of text
    in front (its end of text where it has none), False removes what the tokenizer puts there.

    Raises:
        UnfitWordsError: this tokenizer splits the words so that they cannot be compared.
        ValueError: the tokenizer cannot serve at all.
    """
    if not getattr(tokens, "is_fast", False):
        raise ValueError(
            f"the next word needs a fast tokenizer of a causal language model, got {type(tokens).__name__}: "
            "choose another model, e.g. model=smollm2_135m"
        )

    def read(text: str) -> PromptTokens:
        return PromptTokens(in_chat(text, tokens) if chat else plain(text, prompt.separator), tokens, bos)

    text = read(prompt.text)
    first, second = (text.pieces(word.strip()) for word in prompt.words)
    shared = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))]
    if len(shared) == min(len(first), len(second)):
        raise UnfitWordsError(
            "words_begin_alike",
            f"expected two words of which neither begins with the other, got {prompt.words[0]!r} and "
            f"{prompt.words[1]!r}, which this tokenizer splits into {tokens.convert_ids_to_tokens(first)} and "
            f"{tokens.convert_ids_to_tokens(second)}: choose another foil after '{prompt.text}'",
        )
    ids = [*text.ids, *shared]
    swaps: list[list[int]] = []
    if prompt.counterfactual is not None:
        other = read(prompt.counterfactual).ids
        if len(other) == len(text.ids) and other != text.ids:
            swaps.append([*other, *shared])
    numbers = sentences(text.written.text, text.offsets)
    return Example(
        id=name,
        input_ids=ids,
        roles=[*[*text.roles, *[Role.CONTENT] * len(shared)][:-1], Role.PREDICTS],
        position=len(ids) - 1,
        gold=prompt.gold,
        planted={name: text.covering(spans) for name, spans in prompt.planted.items()},
        tags=dict(prompt.tags) | {"pieces": max(len(first), len(second))},
        candidates=[first[len(shared)], second[len(shared)]],
        swaps=swaps,
        sentence=[*numbers, *[numbers[-1]] * len(shared)],
    )
