"""A source and a target as a pair of encoded sequences, with the tokens that a model begins and ends them with."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from harness.contracts import Model
from harness.statistics.alignment import Gold
from harness.tracing.batch import Role
from tasks.target_positions import Pair
from tasks.word_pieces import Pieces, each_its_own, pieces_of


class TooLongError(ValueError):
    """A source or target that is longer than the model takes."""

    reason = "too_long"


@dataclass(frozen=True)
class Encoder:
    """How texts are encoded for an encoder-decoder, as it was trained.

    Args:
        model: with a tokenizer of transformers.
        prefix: a text in front of each source, e.g. T5's name of the task; it belongs to no word.
        source_language: as the tokenizer calls it, where it marks languages; None for the one that it is set to.
        target_language: likewise.
    """

    model: Model
    prefix: str = ""
    source_language: str | None = None
    target_language: str | None = None

    def pair(self, name: str, source: str, target: str, links: Gold | None) -> Pair:
        """A source and its target, whose links are between words that stand between white space.

        Raises:
            UnmatchedError: the pieces cannot be joined to words.
            TooLongError: the model has not so many positions.
            ValueError: the tokenizer's languages are not given, or are not known.
        """
        front = len(self.prefix.split())
        text = " ".join([*self.prefix.split(), source.strip()])
        with self._languages() as tokens:
            read, written = pieces_of(text, tokens), pieces_of(target.strip(), tokens, target=True)
        self._check_languages(read, written)
        words = [word - front if word >= front else -1 for word in read.words]
        sure, possible = (None, ()) if links is None else (sorted(links.sure), sorted(links.possible))
        return self._encoded(name, read, words, written, sure, possible)

    def copy(self, name: str, text: str) -> Pair | None:
        """A text as its own target, each piece a word; None where the two sides have different pieces."""
        with self._languages() as tokens:
            read, written = pieces_of(text, tokens), pieces_of(text, tokens, target=True)
        self._check_languages(read, written)
        if read.ids != written.ids:
            return None
        written = each_its_own(written)
        return self._encoded(name, read, written.words, written, [(word, word) for word in written.words], ())

    def _encoded(
        self,
        name: str,
        read: Pieces,
        words: Sequence[int],
        written: Pieces,
        sure: Sequence[tuple[int, int]] | None,
        possible: Sequence[tuple[int, int]],
    ) -> Pair:
        start, end = self._ends(written)
        source = [*read.before, *read.ids, *read.after]
        limit = self.model.longest
        # the last token of the target is predicted, and never read
        if limit is not None and max(len(source), len(start) + len(written.ids) + len(end) - 1) > limit:
            raise TooLongError(f"{name} is longer than the {limit} tokens that the model takes")
        own = [Role.SEPARATOR if word < 0 else Role.CONTENT for word in words]
        return Pair(
            id=name,
            source=source,
            source_roles=[*[Role.CLS] * len(read.before), *own, *[Role.FINAL] * len(read.after)],
            source_words=[*[-1] * len(read.before), *words, *[-1] * len(read.after)],
            start=start,
            target=[*written.ids, *end],
            target_words=[*written.words, *[-1] * len(end)],
            sure=sure,
            possible=possible,
        )

    def _ends(self, written: Pieces) -> tuple[list[int], list[int]]:
        """What the decoder starts from, and what ends a target.

        A tokenizer may put the language behind the end; mBART then starts from it, and others from the end token first.
        """
        after, end_id = list(written.after), getattr(self.model.tokens, "eos_token_id", None)
        size = after.index(end_id) + 1 if end_id in after else len(after)
        end, language, before = after[:size], after[size:], list(written.before)
        first = self._first
        if language:
            return [first, *language] if first is not None and first == end_id else language, end
        if before and first in (None, before[0]):
            return before, end
        if first is None:
            raise ValueError(
                "config.json names no decoder_start_token_id, the token that the decoder starts from: add it there"
            )
        return [first, *before], end

    @property
    def _first(self) -> int | None:
        module: Any = self.model.module
        return module.config.decoder_start_token_id

    @contextmanager
    def _languages(self) -> Iterator[Any]:
        """The tokenizer, set to the languages for as long."""
        tokens: Any = self.model.tokens
        named = {"src_lang": self.source_language, "tgt_lang": self.target_language}
        if not hasattr(tokens, "tgt_lang"):
            if given := [name for name in named.values() if name is not None]:
                raise ValueError(
                    f"the tokenizer ({type(tokens).__name__}) marks no languages, got {' and '.join(given)}: leave out "
                    "task.source_language and task.target_language; task.prefix puts a text in front of each source"
                )
            yield tokens
            return
        before = {name: getattr(tokens, name) for name in named}
        if self.target_language is None and before["tgt_lang"] is None:
            raise ValueError(
                f"the tokenizer ({type(tokens).__name__}) marks the languages of source and target: set "
                "task.source_language and task.target_language as it calls them, e.g. deu_Latn, de_DE or de"
            )
        try:
            for name, value in named.items():
                if value is not None:
                    setattr(tokens, name, value)
            yield tokens
        except KeyError as error:
            raise self._unknown_language() from error
        finally:
            for name, value in before.items():
                if value is not None or name == "tgt_lang":
                    setattr(tokens, name, value)

    def _check_languages(self, *sides: Pieces) -> None:
        unknown = self.model.tokens.unk_token_id
        special = [one for side in sides for one in (*side.before, *side.after)]
        if unknown is not None and unknown in special:
            raise self._unknown_language()

    def _unknown_language(self) -> ValueError:
        return ValueError(
            f"the tokenizer does not know the languages {self.source_language} and {self.target_language}: set "
            "task.source_language and task.target_language as it calls them, e.g. deu_Latn, de_DE or de"
        )
