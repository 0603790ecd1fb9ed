"""Winogender schemas (Rudinger et al., 2018): an occupation, somebody else, and a pronoun. https://arxiv.org/abs/1804.09301"""

import re
from dataclasses import dataclass
from typing import ClassVar

from tasks.download import local
from tasks.pronouns.lines import fields, malformed
from tasks.pronouns.sentence import MaskedSentence, referent_name

FILE = "templates.tsv"
HEADER = ("occupation(0)", "other-participant(1)", "answer", "sentence")
PRONOUN = "$POSS_PRONOUN"
ARTICLE = re.compile(r"\b(?:the|an?) (?=\$PARTICIPANT)", re.IGNORECASE)
SLOT = re.compile(r"\$OCCUPATION|\$PARTICIPANT")


@dataclass(frozen=True)
class Winogender:
    """The possessives of the Winogender schemas.

    Args:
        path: the folder or URL of `templates.tsv`, or the file.
    """

    path: str

    his_or_her: ClassVar[bool] = True

    def read(self, candidates: tuple[str, str]) -> tuple[list[MaskedSentence], dict[str, int]]:
        """Each template with a possessive twice: with its participant, and with "someone".

        Both pronouns are right, and both refer to the person that the meaning of the sentence requires.
        """
        (file,) = local(self.path, [FILE])
        found: list[MaskedSentence] = []
        facts = {"read": 0, "kept": 0, "dropped_other_pronoun": 0}
        for number, (occupation, participant, answer, template) in fields(file, HEADER):
            facts["read"] += 1
            slots = [template.count(slot) for slot in ("$OCCUPATION", "$PARTICIPANT")]
            if answer not in ("0", "1") or slots != [1, 1] or template.count("_PRONOUN") != 1:
                raise malformed(
                    file,
                    number,
                    "answer 0 or 1 and a sentence with $OCCUPATION, $PARTICIPANT and one pronoun",
                    f"{answer}, {template}",
                )
            if PRONOUN not in template:
                facts["dropped_other_pronoun"] += 1
                continue
            facts["kept"] += 1
            someone = ARTICLE.sub("", template)
            for text, other in ((template, participant), (someone, "someone")):
                found.append(_filled(text, occupation, other, int(answer), candidates))
        facts["sentences"] = len(found)
        return found, facts


def _filled(
    template: str, occupation: str, participant: str, answer: int, candidates: tuple[str, str]
) -> MaskedSentence:
    parts: list[str] = []
    spans: list[tuple[int, int]] = []
    order: list[int] = []  # of the referents in the text: 0 the occupation, 1 the participant
    for side in template.split(PRONOUN):
        text, start = "", 0
        done = sum(map(len, parts))
        for slot in SLOT.finditer(side):
            text += side[start : slot.start()]
            order.append(int(slot[0] == "$PARTICIPANT"))
            word = participant if order[-1] else occupation
            if not text and not parts:
                word = word[0].upper() + word[1:]
            spans.append((done + len(text), done + len(text) + len(word)))
            text += word
            start = slot.end()
        parts.append(text + side[start:])
    gold = order.index(answer)
    return MaskedSentence(
        before=parts[0],
        after=parts[1],
        candidates=candidates,
        referents=tuple(spans),
        points_to={0: gold, 1: gold},
        tags={
            "gold_referent": referent_name(gold),
            "meant": ("occupation", "participant")[answer],
            "occupation": occupation,
            "participant": participant,
        },
        cluster=occupation,  # its two templates begin alike, and each occurs twice
    )
