"""The tokens of a prompt, and those that a next word adds to it."""

from typing import Any

from harness.tracing.batch import Role
from tasks.next_word.written import Written


class UnfitWordsError(ValueError):
    """A prompt whose words this tokenizer cannot tell apart or continue with; `reason` is a name to count it under."""

    def __init__(self, reason: str, text: str):
        super().__init__(text)
        self.reason = reason


class PromptTokens:
    """The written prompt as tokens: ids, the roles of all as if none were the last, and which text each covers."""

    def __init__(self, written: Written, tokens: Any, bos: bool | None):
        self.written, self.tokens = written, tokens
        self.plain_ids, self.offsets, added = self._encoding(written.text)
        self.ids = list(self.plain_ids)
        start = tokens.bos_token_id if tokens.bos_token_id is not None else tokens.eos_token_id
        if bos is not None and not written.adds_special:
            raise ValueError("a chat template writes its own start of text: leave task.bos=null with task.chat=true")
        if bos and start is None:
            raise ValueError("the tokenizer has no token for the start or end of a text: set task.bos=null")
        if bos and self.ids[:1] != [start]:
            self.ids, self.offsets, added = [start, *self.ids], [(0, 0), *self.offsets], [1, *added]
        while bos is False and added[:1] == [1]:
            self.ids, self.offsets, added = self.ids[1:], self.offsets[1:], added[1:]
        if not self.ids:
            raise ValueError(f"the tokenizer finds no token in '{written.text}': give another prompt")
        # An unknown word is a word, unless the vocabulary's token for it is that of an end of text, as in GPT-2
        special = {*tokens.all_special_ids} - ({tokens.unk_token_id} - {start, tokens.eos_token_id})
        self.roles = [
            self._role(index, id in special or flag == 1)
            for index, (id, flag) in enumerate(zip(self.ids, added, strict=True))
        ]

    def _encoding(self, text: str) -> tuple[list[int], list[tuple[int, int]], list[int]]:
        """Ids, offsets, and which are added by the tokenizer; without those that it adds at the end."""
        encoding = self.tokens(
            text,
            add_special_tokens=self.written.adds_special,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            verbose=False,
        )
        added = [*encoding["special_tokens_mask"]]
        while added[-1:] == [1] and 0 in added:
            added.pop()
        return encoding["input_ids"][: len(added)], encoding["offset_mapping"][: len(added)], added

    def _role(self, index: int, special: bool) -> Role:
        if special:
            return Role.CLS if index == 0 else Role.SEPARATOR
        low, high = self.offsets[index]
        return Role.CONTENT if low < self.written.end and high > self.written.start else Role.SEPARATOR

    def pieces(self, word: str) -> list[int]:
        """The tokens that a word adds to the text."""
        whole = self._encoding(self.written.text + self.written.separator + word)[0]
        if whole[: len(self.plain_ids)] != self.plain_ids:
            raise UnfitWordsError(
                "no_continuation",
                f"expected a word that continues '{self.written.text}', got {word!r}, with which this tokenizer splits "
                "the text itself differently: end the text where a word ends, or give another word",
            )
        pieces = whole[len(self.plain_ids) :]
        unknown = self.tokens.unk_token_id
        if unknown in pieces and unknown not in (self.tokens.bos_token_id, self.tokens.eos_token_id):
            raise UnfitWordsError("unknown_word", f"the word {word!r} is unknown to this tokenizer: give another one")
        return pieces

    def covering(self, spans: tuple[tuple[int, int], ...]) -> list[int]:
        """The tokens that share a character with one of the prompt's spans."""
        moved = [(start + self.written.shift, end + self.written.shift) for start, end in spans]
        return [
            index
            for index, (low, high) in enumerate(self.offsets)
            if any(low < end and high > start for start, end in moved)
        ]
