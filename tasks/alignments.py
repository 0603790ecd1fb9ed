"""Files of word alignments in Moses form: a line for each sentence pair, `0-0 1-2 2p3`."""

import re
from collections.abc import Sequence

from harness.statistics.alignment import Gold

LINK = re.compile(r"(\d+)([-p])(\d+)")  # source word, sure or possible, target word


def parsed_links(line: str, first: int = 0, where: str = "the alignment") -> Gold:
    """The links of one line: `i-j` is a sure one and `ipj` a possible one, i the source word and j the target word.

    Args:
        line: an empty one is a sentence pair without links.
        first: the number of the first word: 0 or 1.
        where: for the message of the ValueError, where the line holds something else.
    """
    if first not in (0, 1):
        raise ValueError(f"words are counted from 0 or from 1, got first={first}")
    found: dict[str, set[tuple[int, int]]] = {"-": set(), "p": set()}
    for text in line.split():
        match = LINK.fullmatch(text)
        if match is None:
            raise ValueError(
                f"{where}: expected links such as 3-4 (sure) or 3p4 (possible), separated by spaces, got {text!r}"
            )
        source, target = (int(match[group]) - first for group in (1, 3))
        if min(source, target) < 0:
            raise ValueError(
                f"{where}: words are counted from {first}, got {text!r}: set counted_from=0 if they start there"
            )
        found[match[2]].add((source, target))
    return Gold(frozenset(found["-"]), frozenset(found["p"] - found["-"]))


def check_words(gold: Sequence[Gold], lengths: Sequence[tuple[int, int]], where: str = "the alignment") -> None:
    """Raise ValueError unless there is an alignment for each sentence pair, with links between their words alone.

    `lengths` are the number of source words and of target words of each pair.
    """
    if len(gold) != len(lengths):
        raise ValueError(
            f"{where} has {len(gold)} lines, but there are {len(lengths)} sentence pairs: one line for each"
        )
    for number, (one, (source, target)) in enumerate(zip(gold, lengths, strict=True), start=1):
        for link in sorted(one.allowed):
            if link[0] >= source or link[1] >= target:
                raise ValueError(
                    f"{where}, line {number}: a link of words {link[0] + 1} and {link[1] + 1} (counted from 1), but "
                    f"the sentences have {source} and {target}: words are separated by spaces and counted from 0 or "
                    "1 (counted_from), and the source comes first"
                )
