"""Lines of text files, and the error that names one of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path


def numbered(file: Path) -> Iterator[tuple[int, str]]:
    """The non-empty lines, numbered from 1, without their line ends; ValueError if there are none."""
    found = False
    # not splitlines(), which would also split at characters inside Wikipedia's text
    for number, content in enumerate(file.read_bytes().split(b"\n"), start=1):
        try:
            text = content.decode().rstrip("\r")
        except UnicodeDecodeError as error:
            raise malformed(file, number, "UTF-8 text", f"byte 0x{content[error.start]:02x}") from None
        if text.strip():
            found = True
            yield number, text
    if not found:
        raise ValueError(f"{file.name}: expected lines of text, the file is empty; copy or download it again")


def fields(file: Path, header: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """The rows of a tab-separated table, without its first line, which must be `header`."""
    for number, text in numbered(file):
        row = text.split("\t")  # not csv: a quotation mark is an ordinary character in the published files
        if number == 1:
            if row != list(header):
                raise malformed(file, number, f"the header {' '.join(header)}", text)
            continue
        if len(row) != len(header):
            raise malformed(file, number, f"{len(header)} fields between tabs", text)
        yield number, row


def malformed(file: Path, number: int, expected: str, got: str) -> ValueError:
    """The error for line `number` of a file."""
    shown = got if len(got) <= 200 else got[:200] + "…"
    return ValueError(f"{file.name}:{number}: expected {expected}, got '{shown}'; copy or download the file again")
