"""A prompt as the model reads it: as it stands, or as a user's message in the tokenizer's chat template."""

from dataclasses import dataclass
from typing import Any

MARKER = "the message stands here"


@dataclass(frozen=True)
class Written:
    """The text before the chosen word.

    Args:
        text: all of it.
        start: where the prompt's own words begin.
        end: where they end.
        shift: by how much they stand further right than in the prompt.
        separator: what stands between the text and the next word.
        adds_special: whether the tokenizer adds its special tokens; a chat template writes its own.
    """

    text: str
    start: int
    end: int
    shift: int
    separator: str
    adds_special: bool


def plain(text: str, separator: str) -> Written:
    """The text itself. Most tokenizers join the space before a word to the word, so the text ends before it."""
    ends = text.rstrip(" ")
    between = text[len(ends) :] or ("" if ends[-1:].isspace() else separator)
    return Written(ends, 0, len(ends), 0, between, adds_special=True)


def in_chat(text: str, tokens: Any) -> Written:
    """The text as a user's message, up to where the answer begins; ValueError where the template does not serve."""
    if not getattr(tokens, "chat_template", None):
        raise ValueError(
            "the model's tokenizer has no chat template, which task.chat=true asks for: choose an instruct model, or "
            "set task.chat=false"
        )

    def rendered(message: str) -> str:
        messages = [{"role": "user", "content": message}]
        return tokens.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)

    message, whole, start = text.strip(), rendered(text.strip()), rendered(MARKER).find(MARKER)
    if start < 0 or not whole.startswith(message, start):
        raise ValueError(f"the tokenizer's chat template does not repeat the message '{text}': set task.chat=false")
    shift = start - (len(text) - len(text.lstrip()))
    return Written(whole, start, start + len(message), shift, "", adds_special=False)
