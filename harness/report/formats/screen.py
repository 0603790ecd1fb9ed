"""A terminal that is shown texts from anywhere: what it cannot show is replaced, and it may go away."""

import os
import re
import sys
from contextlib import suppress
from io import TextIOWrapper, UnsupportedOperation
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console

# Control characters, which could move the cursor or change what is already there, and marks that reverse what follows
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""A text with its control characters written out, as `\x1b`."""
    return CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


class Screen(Console):
    """A rich console that prints texts as they are, and goes on silently where its reader has left."""

    def __init__(self, **options: Any):
        lenient(sys.stderr if options.get("stderr") else sys.stdout)
        super().__init__(**options)

    def print(self, *objects: object, **options: object) -> None:
        """As rich's, with control characters written out."""
        super().print(*(printable(one) if isinstance(one, str) else one for one in objects), **options)  # pyright: ignore[reportArgumentType]

    def on_broken_pipe(self) -> None:
        """Print nothing more."""
        self.quiet = True
        # what Python itself would still flush at its end goes nowhere
        with suppress(OSError, UnsupportedOperation, ValueError), Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), (sys.stderr if self.stderr else sys.stdout).fileno())


def lenient(stream: TextIO) -> None:
    """Let a stream replace what its encoding does not have."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="replace")
