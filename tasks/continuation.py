"""Prompts of your own and two words that may come next, for any causal language model."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from harness.contracts import Model
from harness.tracing.batch import Example
from tasks.names import names_of
from tasks.next_word.encoding import encoded
from tasks.next_word.prompt import Prompt
from tasks.next_word.tables import tables, texts
from tasks.pronouns.lines import numbered
from tasks.table import FORMATS
from tasks.word_choice_model import WordChoiceModel


@dataclass(frozen=True)
class Continuation:
    """Prompts, explained at the last token as a choice between two next words, in the order in which they are given.

    Args:
        prompts: the texts.
        words: two words for all prompts, or two for each; None for those of the table `path`.
        path: instead of prompts, a text file with one prompt a line, or a table: CSV, TSV, JSON lines or parquet.
        text: the table's column of prompts.
        word: its column of first words, where no `words` are given.
        foil: its column of second words.
        chat: whether a prompt is a user's message in the tokenizer's chat template, explained where the answer begins.
        bos: True puts a token for the start of text in front, False removes it, None leaves it to the tokenizer.
        separator: what stands between prompt and word, where the prompt does not end in white space.
    """

    prompts: Sequence[str] = ()
    words: Sequence[Any] | None = None
    path: str | None = None
    text: str = "text"
    word: str = "word"
    foil: str = "foil"
    chat: bool = False
    bos: bool | None = None
    separator: str = " "

    version = "1"
    output = "logit_difference"
    head = "causal_lm"

    def __post_init__(self):
        if isinstance(self.prompts, str):
            raise ValueError(f"prompts are a list of texts, got the text {self.prompts!r}: put it into a list")
        if isinstance(self.words, str):
            raise ValueError(f"words are two, e.g. [are,is], or two for each prompt, got {self.words!r}")
        if self.prompts and self.path is not None:
            raise ValueError(f"prompts are given, and path={self.path} names others: set only one")

    @property
    def classes(self) -> tuple[str, str]:
        """The two words where all prompts share them."""
        return self._pair(self.words or ()) or ("word", "foil")

    @staticmethod
    def _pair(words: Any) -> tuple[str, str] | None:
        each = tuple(words)
        return each if len(each) == 2 and all(isinstance(word, str) for word in each) else None

    @cached_property
    def _prompts(self) -> list[Prompt]:
        given = list(self.prompts)
        pairs: list[tuple[str, str]] = []
        if self.path is not None:
            if Path(self.path.removesuffix(".gz")).suffix in FORMATS:
                ((name, table),) = tables(self.path, ())
                given = texts(table, self.text, "text", name)
                if self.words is None:
                    columns = [texts(table, getattr(self, key), key, name) for key in ("word", "foil")]
                    pairs = list(zip(*columns, strict=True))
            else:
                given = [text for _, text in numbered(Path(self.path).expanduser())]
        if not given:
            raise ValueError(
                "no prompts are given: set 'task.prompts=[\"The keys to the cabinet\"]', or task.path=<file>"
            )
        if not pairs:
            pairs = self._given_pairs(len(given))
        return [Prompt(text, pair, separator=self.separator) for text, pair in zip(given, pairs, strict=True)]

    def _given_pairs(self, count: int) -> list[tuple[str, str]]:
        words = list(self.words or ())
        if pair := self._pair(words):
            return [pair] * count
        pairs = [pair for one in words if not isinstance(one, str) and (pair := self._pair(one))]
        if len(pairs) != len(words) or len(pairs) != count:
            raise ValueError(
                f"words are two, e.g. task.words=[are,is], or two for each of the {count} prompts, got {words}"
            )
        return pairs

    @property
    def facts(self) -> Mapping[str, int]:
        """The number of prompts, and of repeated ones."""
        return {"prompts": len(self._prompts), "repeats": len(self._prompts) - len({*map(repr, self._prompts)})}

    @cached_property
    def digest(self) -> str:
        """A hash of the prompts, their words and how they are read."""
        content = (self.version, self.chat, self.bos, [prompt.content for prompt in self._prompts])
        return hashlib.sha256(repr(content).encode()).hexdigest()

    def examples(self, model: Model) -> list[Example]:
        """The prompts, explained at the last token; ValueError where the tokenizer cannot tell the words apart."""
        names = names_of(repr((self.chat, prompt.content)) for prompt in self._prompts)
        pairs = zip(names, self._prompts, strict=True)
        return [encoded(prompt, model.tokens, name, self.bos, self.chat) for name, prompt in pairs]

    def prepare_model(self, module: nn.Module) -> WordChoiceModel:
        """A causal language model as one that chooses between the two words."""
        return WordChoiceModel(module, causal=True)
