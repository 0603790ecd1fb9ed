"""The files of Linzen, Dupoux & Goldberg (2016), line by line, in both published formats. https://arxiv.org/abs/1611.01368"""

from __future__ import annotations

import csv
import gzip
import hashlib
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

SIMPLE_URL = "http://tallinzen.net/media/rnn_agreement/rnn_agr_simple.tar.gz"
FULL_URL = "http://tallinzen.net/media/rnn_agreement/agr_50_mostcommon_10K.tsv.gz"

LABELS = {"VBZ": 0, "VBP": 1}
NUMPRED = re.compile(r"numpred\.(train|valid|val|test(\.\d+)?)(\.gz)?")
BY_COUNT = re.compile(r"numpred\.test\.(\d+)")  # sentences chosen by their number of attractors
FULL_NAME = re.compile(r"agr_50_mostcommon_10k\.tsv(\.gz)?", re.IGNORECASE)
REQUIRED = ("sentence", "pos_sentence", "subj_pos", "verb_pos", "subj_index", "verb_index", "n_diff_intervening")
REMEDY = f"give task.path=<a numpred.* file, a folder of them, {SIMPLE_URL}, or {FULL_URL}>"


class Line(NamedTuple):
    """One line of a file, without its line end."""

    file: str  # the file's name in errors
    source: str  # the file's own name, without .gz
    number: int  # from 1
    text: bytes


def lines(path: Path, name: str) -> Iterator[Line]:
    """Every line of a file, a folder or an archive, compressed or not; errors refer to it as `name`."""
    try:
        if path.is_dir():
            for file in folder_files(path, name):
                with file.open("rb") as stream:
                    yield from _stream_lines(stream, f"{name}/{file.relative_to(path)}", file.name)
        elif not path.exists():
            raise FileNotFoundError(f"{name}: expected a file or a folder, found none; {REMEDY}")
        elif _is_archive(path):
            yield from _archive_lines(path, name)
        else:
            with path.open("rb") as stream:
                yield from _stream_lines(stream, name, name.rsplit("/", 1)[-1])
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        raise ValueError(f"{name}: expected a whole gzip file, got '{error}'; copy or download it again") from error
    except OSError as error:
        if error.errno is None:  # one of the sentences above
            raise
        raise OSError(f"{name}: cannot be read ({error.strerror}); {REMEDY}") from error


def folder_files(path: Path, name: str) -> list[Path]:
    """The data files of a folder, or of the one that the published archive unpacks to; plain files before .gz."""
    for folder in (path, path / "rnn_agr_simple"):
        files = {file.name.removesuffix(".gz"): file for file in sorted(folder.glob("*"), reverse=True)}
        simple = [file for _, file in sorted(files.items()) if NUMPRED.fullmatch(file.name)]
        full = [file for _, file in sorted(files.items()) if FULL_NAME.fullmatch(file.name)]
        if simple and full:
            raise ValueError(f"{name}: expected one format, found {simple[0].name} and {full[0].name}; give one's path")
        if simple or full:
            return simple or full
    raise FileNotFoundError(f"{name}: expected numpred.* or agr_50_mostcommon_10K.tsv in the folder; {REMEDY}")


def _is_archive(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except (EOFError, zlib.error):  # a truncated gzip file: reading it reports the error
        return False


def _archive_lines(path: Path, name: str) -> Iterator[Line]:
    """Lines of the numpred files inside the archive, which is read in place: an extracted copy could go stale."""
    found = False
    with tarfile.open(path) as archive:
        for member in archive:
            file = member.name.rsplit("/", 1)[-1]
            if member.isfile() and NUMPRED.fullmatch(file) and (stream := archive.extractfile(member)):
                found = True
                yield from _stream_lines(stream, f"{name}/{file}", file)
        while archive.fileobj and archive.fileobj.read(2**20):
            pass  # to the end, where gzip checks its sum
    if not found:
        raise ValueError(f"{name}: expected numpred.* files in the archive, found none; {REMEDY}")


def _stream_lines(stream: IO[bytes], file: str, source: str) -> Iterator[Line]:
    start = stream.read(2)
    stream.seek(0)
    content = gzip.GzipFile(fileobj=stream) if start == b"\x1f\x8b" else stream
    number = 0
    for number, text in enumerate(content, 1):
        yield Line(file, source.removesuffix(".gz"), number, text.rstrip(b"\r\n"))
    if number == 0:
        raise ValueError(f"{file}: expected sentences, the file is empty; copy or download it again")


def content_digest(path: Path, name: str) -> str:
    """SHA-256 of the names and lines of all files read: the same for a folder, its archive and a compressed copy."""
    files: dict[str, hashlib._Hash] = {}
    for line in lines(path, name):
        files.setdefault(line.source, hashlib.sha256()).update(line.text + b"\n")
    parts = (f"{source} {content.hexdigest()}\n" for source, content in sorted(files.items()))
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def rows(path: Path, name: str) -> Iterator[dict]:
    """One row per sentence, with the columns that `Linzen` describes; a malformed line raises ValueError."""
    header: list[str] | None = None
    for line in lines(path, name):
        try:
            text = line.text.decode()
        except UnicodeDecodeError as error:
            raise _malformed(line, "UTF-8 text", f"byte 0x{line.text[error.start]:02x}") from None
        if line.number == 1:
            header = text.split("\t") if text.count("\t") > 1 else None
            if header and (missing := [column for column in REQUIRED if column not in header]):
                raise _malformed(line, f"'VBZ' or 'VBP', a tab and words, or a header with {', '.join(missing)}", text)
            if header:
                continue
        yield _full_row(line, text, header) if header else _simple_row(line, text)


def _malformed(line: Line, expected: str, got: str) -> ValueError:
    shown = got if len(got) <= 200 else got[:200] + "…"
    return ValueError(f"{line.file}:{line.number}: expected {expected}, got '{shown}'")


def _simple_row(line: Line, text: str) -> dict:
    verb, _, preamble = text.partition("\t")
    words = preamble.split(" ")  # not split(): a word may hold a no-break space
    if verb not in LABELS or "\t" in preamble or not all(words):
        raise _malformed(line, "'VBZ' or 'VBP', a tab and words", text)
    by_count = BY_COUNT.fullmatch(line.source)
    return {
        "words": words,
        "label": LABELS[verb],
        "subject": [],
        "attractors": [],
        "attractor_count": int(by_count[1]) if by_count else -1,
        "source": line.source,
    }


def _full_row(line: Line, text: str, header: list[str]) -> dict:
    try:
        fields = next(csv.reader([text], delimiter="\t", strict=True))  # as the authors wrote it
        row = dict(zip(header, fields, strict=True))
        subject, verb, count = (int(row[key]) for key in ("subj_index", "verb_index", "n_diff_intervening"))
    except (csv.Error, ValueError) as error:
        raise _malformed(
            line, f"{len(header)} fields with whole numbers for indices and counts ({error})", text
        ) from None
    words, tags = row["sentence"].split(" "), row["pos_sentence"].split(" ")
    # subj_index and verb_index count from 1 (collect_agreement.py: CoNLL token numbers); the verb's tag proves it.
    if not (len(words) == len(tags) and all(words) and 1 <= subject < verb <= len(words)):
        raise _malformed(line, f"1 <= subj_index < verb_index <= {len(words)} words and as many tags", text)
    if row["verb_pos"] not in LABELS or (tags[subject - 1], tags[verb - 1]) != (row["subj_pos"], row["verb_pos"]):
        raise _malformed(line, f"'VBZ' or 'VBP' at verb_index {verb}, subj_pos at subj_index {subject}", text)
    # As the authors count them: common nouns of the other number; proper nouns do not count.
    other = {"NN": "NNS", "NNS": "NN"}.get(row["subj_pos"])
    return {
        "words": words[: verb - 1],
        "label": LABELS[row["verb_pos"]],
        "subject": [subject - 1],
        "attractors": [index for index in range(subject, verb - 1) if tags[index] == other],
        "attractor_count": count,
        "source": line.source,
    }
