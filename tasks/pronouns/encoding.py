"""A sentence with a mask as a model's tokens."""

from itertools import takewhile
from typing import Any

from harness.tables import NO_GOLD
from harness.tracing.batch import Example, Role
from tasks.pronouns.sentence import MaskedSentence, referent_name


def encoded(sentence: MaskedSentence, tokens: Any, name: str) -> Example:
    """The example; `tokens` is a fast tokenizer of transformers with a mask token.

    A candidate's pieces are those it has at its position in the text, since a tokenizer may treat a word after a space
    differently. Pieces with which both candidates begin are placed before the mask, which replaces the first piece in
    which they differ; the tag `pieces` is the number of pieces of the longer candidate.
    """
    if not getattr(tokens, "is_fast", False) or getattr(tokens, "mask_token_id", None) is None:
        raise ValueError(
            f"a masked word needs a fast tokenizer with a mask token, got {type(tokens).__name__}; "
            "choose a masked language model, e.g. model=bert_base"
        )
    filled = [_Filled(sentence, word, tokens) for word in sentence.candidates]
    first, second = filled
    shared = len([*takewhile(lambda pair: pair[0] == pair[1], zip(first.pieces, second.pieces, strict=False))])
    if shared == min(len(first.pieces), len(second.pieces)):
        shorter, longer = sorted(filled, key=lambda one: len(one.pieces))
        raise ValueError(
            f"expected candidates of which neither begins with the other, got {shorter.word!r} and "
            f"{longer.word!r}, which this tokenizer splits into {tokens.convert_ids_to_tokens(shorter.pieces)} and "
            f"{tokens.convert_ids_to_tokens(longer.pieces)}; choose other candidates for '{sentence}'"
        )
    head, tail = first.before + first.pieces[:shared], first.after
    if (first.before, first.after) != (second.before, second.after):
        raise ValueError(
            f"expected the text around the mask to have the same tokens with {first.word!r} and {second.word!r}, and "
            f"it does not in '{sentence}'; separate the mask from the text by spaces"
        )
    planted = {
        referent_name(index): first.covering(start, end, shared)
        for index, (start, end) in enumerate(sentence.referents)
    }
    if empty := [sentence.mentions[index] for index, indices in enumerate(planted.values()) if not indices]:
        raise ValueError(f"expected a token for each referent, found none for {empty[0]!r} in '{sentence}'")
    special = [*first.special[: len(first.before)], *[False] * (shared + 1), *first.special[first.stop :]]
    ids = [*head, tokens.mask_token_id, *tail]
    return Example(
        id=name,
        input_ids=ids,
        roles=[_role(index, special, len(head)) for index in range(len(ids))],
        position=len(head),
        gold=NO_GOLD if sentence.gold is None else sentence.gold,
        planted=planted,
        tags=dict(sentence.tags) | {"pieces": max(len(one.pieces) for one in filled)},
        candidates=[one.pieces[shared] for one in filled],
        points_to={candidate: referent_name(index) for candidate, index in sentence.points_to.items()},
        cluster=sentence.cluster,
        referents=tuple(planted),
    )


def _role(index: int, special: list[bool], position: int) -> Role:
    if index == position:
        return Role.MASK
    if not special[index]:
        return Role.CONTENT
    if index == 0:
        return Role.CLS
    return Role.FINAL if index == len(special) - 1 else Role.SEPARATOR


class _Filled:
    """The text with a candidate in place of the mask, as tokens: those before it, its pieces, those after."""

    def __init__(self, sentence: MaskedSentence, word: str, tokens: Any):
        self.word = word
        text = f"{sentence.before}{word}{sentence.after}"
        encoding = tokens(text, return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False)
        ids, self.offsets = encoding["input_ids"], encoding["offset_mapping"]
        self.special = [bool(flag) for flag in encoding["special_tokens_mask"]]
        self.mask = len(sentence.before)
        covered = self._tokens_of(self.mask, self.mask + len(word))
        spans = [self.offsets[index] for index in covered]
        if not covered or text[spans[0][0] : spans[-1][1]].strip() != word:
            raise ValueError(
                f"expected tokens that make up the candidate {word!r} and no more, got "
                f"{tokens.convert_ids_to_tokens([ids[index] for index in covered])} in '{sentence}'; "
                "set the mask apart from the text by spaces"
            )
        start, self.stop = covered[0], covered[-1] + 1
        self.before, self.pieces, self.after = ids[:start], ids[start : self.stop], ids[self.stop :]
        if tokens.unk_token_id is not None and tokens.unk_token_id in self.pieces:
            raise ValueError(
                f"the candidate {word!r} is unknown to this model's tokenizer; choose candidates of its vocabulary"
            )

    def _tokens_of(self, start: int, end: int) -> list[int]:
        """Indices of the tokens that share a character with the span."""
        return [
            index
            for index, (low, high) in enumerate(self.offsets)
            if low < end and high > start and not self.special[index]
        ]

    def covering(self, start: int, end: int, shared: int) -> list[int]:
        """Tokens of a referent, its span without the mask, once `shared` pieces and a mask replace the pieces."""
        behind = start >= self.mask
        room = len(self.word) if behind else 0
        moved = shared + 1 - len(self.pieces) if behind else 0
        return [index + moved for index in self._tokens_of(start + room, end + room)]
