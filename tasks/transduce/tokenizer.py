"""The words of both languages as one vocabulary, behind four special tokens."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from tasks.transduce.language import vocabulary

SPECIALS = ("<pad>", "<start>", "<end>", "<unk>")
PAD, START, END, UNKNOWN = range(len(SPECIALS))


@dataclass(frozen=True)
class BothTokenizer:
    """Word <-> id. Ids 0..3 are padding, the start of a target, the end of a source or target, and the unknown word."""

    words: tuple[str, ...]

    pad_token_id = PAD
    cls_token_id = START
    eos_token_id = END
    unk_token_id = UNKNOWN
    mask_token_id = None

    @classmethod
    def of_language(cls) -> "BothTokenizer":
        """All words, those of the source first."""
        source, target = vocabulary()
        return cls(tuple(dict.fromkeys((*SPECIALS, *source, *target))))

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: index for index, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, words: Sequence[str]) -> list[int]:
        """`w_0 ... w_{n-1} <end>` as ids; a word of neither language is `<unk>`."""
        return [*(self._ids.get(word, UNKNOWN) for word in words), END]

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """The words of the ids."""
        return [self.words[index] for index in ids]
