"""WinoBias (Zhao et al., 2018): two occupations, one held by more men and one by more women. https://arxiv.org/abs/1804.06876"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from harness import check
from tasks.download import local
from tasks.pronouns.lines import malformed, numbered
from tasks.pronouns.sentence import GENDERED, MaskedSentence, referent_name

SPLITS = ("dev", "test", "all")
LISTS = ("male_occupations.txt", "female_occupations.txt")
LINE = re.compile(r"\d+ (.*)")
BRACKET = re.compile(r"\[([^\[\]]*)\]")
BRACKETED_PRONOUN = re.compile(r"\[(he|him|his|himself|she|her|hers|herself)\]")
REASONS = ("object", "other_pronoun", "another_pronoun", "twins_differ", "occupations_not_found")


@dataclass(frozen=True)
class WinoBias:
    """The possessives of WinoBias.

    Args:
        path: the folder or URL of the published files.
        split: `dev`, `test` or `all`.
    """

    path: str
    split: str = "all"

    his_or_her: ClassVar[bool] = True

    def __post_init__(self):
        check.choice("split", self.split, SPLITS)

    def read(self, candidates: tuple[str, str]) -> tuple[list[MaskedSentence], dict[str, int]]:
        """One sentence for each pair of twin lines, pro- and anti-stereotyped, that differ in [his] and [her] alone.

        This distinguishes a possessive "her" from an object, whose twin has [him]. His points to the occupation on the
        male list, her to the one on the female list. Pairs are left out, and counted, if the pronoun is an `object` or
        an `other_pronoun` (he and she), if `another_pronoun` gives the answer away, if the `twins_differ` in more than
        the pronoun, or if they do not contain one occupation of each list, one of them in brackets.
        """
        parts = SPLITS[:2] if self.split == "all" else (self.split,)
        names = [(f"{{}}_stereotyped_type{kind}.txt.{part}", kind) for part in parts for kind in (1, 2)]
        files = local(self.path, [*LISTS, *(name.format(side) for name, _ in names for side in ("pro", "anti"))])
        gender = {word.strip(): index for index, file in enumerate(files[:2]) for _, word in numbered(file)}
        found: list[MaskedSentence] = []
        facts = dict.fromkeys(["read", "kept", *(f"dropped_{reason}" for reason in REASONS)], 0)
        for index, (_, kind) in enumerate(names):
            pros, antis = (_texts(file) for file in files[2 + 2 * index : 4 + 2 * index])
            if len(pros) != len(antis):
                raise ValueError(
                    f"{names[index][0].format('pro')}: expected as many lines as its twin has, got {len(pros)} and "
                    f"{len(antis)}; copy or download both again"
                )
            for pro, anti in zip(pros, antis, strict=True):
                facts["read"] += 1
                sentence = _sentence(pro, anti, kind, gender, candidates)
                if isinstance(sentence, str):
                    facts[f"dropped_{sentence}"] += 1
                else:
                    facts["kept"] += 1
                    found.append(sentence)
        return found, facts


def _texts(file: Path) -> list[str]:
    texts: list[str] = []
    for number, line in numbered(file):
        if not (found := LINE.fullmatch(line.strip())) or not BRACKET.search(line):
            raise malformed(file, number, "a number and a sentence with an occupation and a pronoun in brackets", line)
        texts.append(re.sub(r"\b(the) (\[the\b)", r"\2", found[1], flags=re.IGNORECASE))  # "the [the chief]"
    return texts


def _sentence(
    pro: str, anti: str, kind: int, gender: Mapping[str, int], candidates: tuple[str, str]
) -> MaskedSentence | str:
    """The pair's sentence, or why it is left out."""
    pronouns = [BRACKETED_PRONOUN.findall(text) for text in (pro, anti)]
    everywhere = [GENDERED.findall(text) for text in (pro, anti)]
    if max(map(len, everywhere)) > 1:
        return "another_pronoun"
    if BRACKETED_PRONOUN.sub("[]", pro) != BRACKETED_PRONOUN.sub("[]", anti):
        return "twins_differ"
    pair = {pronoun for side in pronouns for pronoun in side}
    if pair != {"his", "her"}:
        return "object" if pair == {"him", "her"} else "other_pronoun"
    start, end = next(found.span() for found in BRACKETED_PRONOUN.finditer(pro))
    before, after = pro[:start], pro[end:]
    text = before + after
    bracket = BRACKET.search(text)
    plain = text.replace("[", " ").replace("]", " ")  # as long as the text, so that spans apply to both
    words = "|".join(sorted(map(re.escape, gender), key=len, reverse=True))
    mentions = list(re.finditer(rf"(?<=[Tt]he )(?:{words})\b", plain))  # not "the tailor ... his old tailor"
    if bracket is None or sorted(gender[mention[0]] for mention in mentions) != [0, 1]:
        return "occupations_not_found"
    golds = [index for index, mention in enumerate(mentions) if bracket.start() < mention.start() < bracket.end()]
    if len(golds) != 1:
        return "occupations_not_found"
    sides = [gender[mention[0]] for mention in mentions]
    shift = [text[: mention.start()].count("[") + text[: mention.start()].count("]") for mention in mentions]
    spans = tuple((mention.start() - by, mention.end() - by) for mention, by in zip(mentions, shift, strict=True))
    return MaskedSentence(
        before=re.sub(r"[\[\]]", "", before),
        after=re.sub(r"[\[\]]", "", after),
        candidates=candidates,
        referents=spans,
        points_to={candidates.index("his"): sides.index(0), candidates.index("her"): sides.index(1)},
        tags={"type": kind, "gold_referent": referent_name(golds[0])},
        # The two or more lines about the same two occupations were written as variants of each other
        cluster=", ".join(sorted(mention[0] for mention in mentions)),
    )
