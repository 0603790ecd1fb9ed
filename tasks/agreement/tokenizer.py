"""The words an agreement model knows: four special tokens, then the training part's words."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

SPECIALS = ("<pad>", "<cls>", "<?>", "<unk>")
PAD, CLS, VERB, UNKNOWN = range(len(SPECIALS))


@dataclass(frozen=True)
class WordTokenizer:
    """Word <-> id. Ids 0..3 are padding, CLS, the verb's place `<?>` and the unknown word."""

    words: tuple[str, ...]

    pad_token_id = PAD
    cls_token_id = CLS
    unk_token_id = UNKNOWN
    mask_token_id = None

    @classmethod
    def from_sentences(cls, sentences: Iterable[Sequence[str]]) -> "WordTokenizer":
        """All words of the sentences, most frequent first, ties by spelling: the order of the data does not matter."""
        counts = Counter(word for words in sentences for word in words if word not in SPECIALS)
        return cls(SPECIALS + tuple(sorted(counts, key=lambda word: (-counts[word], word))))

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: index for index, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, words: Sequence[str]) -> list[int]:
        """`<cls> w_0 ... w_{v-1} <?>` as ids; a word not seen in training is `<unk>`."""
        return [CLS, *(self._ids.get(word, UNKNOWN) for word in words), VERB]

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """The words of the ids."""
        return [self.words[index] for index in ids]
