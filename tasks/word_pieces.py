"""Which word each piece of a tokenizer belongs to."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SPACE = "▁"  # how SentencePiece writes one


class UnmatchedError(ValueError):
    """Pieces that are no parts of words: one spans two words, or its characters are others than the text's."""

    reason = "unmatched"


@dataclass(frozen=True)
class Pieces:
    """A text's tokens on one side of an encoder-decoder.

    Args:
        before: ids of special tokens in front.
        ids: of the text's own pieces.
        words: the word that each is a piece of, counted from 0.
        after: ids of special tokens at the end.
    """

    before: Sequence[int]
    ids: Sequence[int]
    words: Sequence[int]
    after: Sequence[int]


def pieces_of(text: str, tokens: Any, target: bool = False) -> Pieces:
    """A text's pieces; words stand between white space. With `target`, as the tokenizer reads the target's side.

    A fast tokenizer says where each piece stands; the pieces of a slow one must have the text's characters.

    Raises:
        UnmatchedError: a piece spans two words, or has other characters than the text.
    """
    named = {"text_target": text} if target else {"text": text}
    whole = tokens(**named)["input_ids"]
    if tokens.is_fast:
        inner = tokens(**named, add_special_tokens=False, return_offsets_mapping=True)
        words = _by_offsets(text, inner["offset_mapping"])
    else:
        inner = tokens(**named, add_special_tokens=False)
        words = _by_characters(text, _written(text, tokens, target))
    ids = list(inner["input_ids"])
    start = next((at for at in range(len(whole) - len(ids) + 1) if whole[at : at + len(ids)] == ids), None)
    if start is None or not ids or len(words) != len(ids):
        raise UnmatchedError(f"the tokenizer gives {text!r} other tokens beside special tokens than without them")
    return Pieces(whole[:start], ids, words, whole[start + len(ids) :])


def each_its_own(pieces: Pieces) -> Pieces:
    """The same, with each piece a word."""
    return Pieces(pieces.before, pieces.ids, range(len(pieces.ids)), pieces.after)


def _by_offsets(text: str, offsets: Sequence[tuple[int, int]]) -> list[int]:
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    words: list[int] = []
    for start, end in offsets:
        touched = [word for word, (first, last) in enumerate(spans) if first < end and start < last]
        if len(touched) > 1:
            raise UnmatchedError(f"the piece {text[start:end]!r} belongs to several words")
        # a piece of white space alone belongs to the word that it precedes
        later = [word for word, (_, last) in enumerate(spans) if start < last]
        words.append((touched or later or [len(spans) - 1])[0])
    return words


def _by_characters(text: str, pieces: Sequence[str]) -> list[int]:
    letters = [(one, word) for word, each in enumerate(text.split()) for one in _normal(each)]
    place = 0
    words: list[int] = []
    for piece in pieces:
        own = _normal(piece.replace(SPACE, ""))
        covered = letters[place : place + len(own)]
        if "".join(one for one, _ in covered) != own:
            raise UnmatchedError(f"the piece {piece!r} has other characters than the text")
        if len({word for _, word in covered}) > 1:
            raise UnmatchedError(f"the piece {piece!r} belongs to several words")
        words.append(letters[min(place, len(letters) - 1)][1])
        place += len(own)
    if place < len(letters):
        raise UnmatchedError(f"the pieces of {text!r} end before it does")
    return words


def _normal(text: str) -> str:
    """The characters that SentencePiece makes of a text, without white space."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def _written(text: str, tokens: Any, target: bool) -> list[str]:
    """A slow tokenizer's pieces as they are written, whether its vocabulary has them or not."""
    if not target:
        return tokens.tokenize(text)
    tokens._switch_to_target_mode()  # there is no public way to have the target's pieces
    try:
        return tokens.tokenize(text)
    finally:
        tokens._switch_to_input_mode()
