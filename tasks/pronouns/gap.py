"""GAP (Webster et al., 2018): paragraphs of Wikipedia with a pronoun and two names. https://arxiv.org/abs/1810.05201"""

import re
from dataclasses import dataclass
from typing import ClassVar

from harness import check
from tasks.download import local
from tasks.pronouns.lines import fields, malformed
from tasks.pronouns.sentence import GENDERED, MaskedSentence, referent_name

SPLITS = ("development", "validation", "test", "all")
HEADER = ("ID", "Text", "Pronoun", "Pronoun-offset", "A", "A-offset", "A-coref", "B", "B-offset", "B-coref", "URL")
# Words that follow an object or an independent pronoun, but not a possessive. Nouns that could be either are not here
# ("her back", "her home", "her leave"), nor are adverbs ("her highly praised book"); "his The Book" is a title.
FOLLOWERS = frozenset(
    """I a about after again against along alone also although an and are around as at because been before behind by
    down during for from had has have he here how i if in into is it just like not of off on or out over she since so
    some than that the there they through to too toward towards under until up via was we were what when where
    whether which while who why with without you yet but her his him""".split()  # noqa: SIM905
)
# End of the text, a mark that closes something, or a dash; an opening quotation mark (``) may follow a possessive.
ENDS = re.compile(r"\s*($|[.,;:?!)]|'|--)")
NEXT_WORD = re.compile(r"\s+([A-Za-z]+)\b(?!-)")


@dataclass(frozen=True)
class Gap:
    """The possessives of GAP.

    Args:
        path: the folder or URL of the published files.
        split: `development`, `validation`, `test` or `all`.
    """

    path: str
    split: str = "all"

    his_or_her: ClassVar[bool] = True

    def __post_init__(self):
        check.choice("split", self.split, SPLITS)

    def read(self, candidates: tuple[str, str]) -> tuple[list[MaskedSentence], dict[str, int]]:
        """The rows whose pronoun is a possessive his or her, in the case that the text has it.

        The right candidate is the text's own word, and only it points to a referent: the name it refers to, if any.
        The tag `gendered_elsewhere` counts the text's other gendered pronouns, which may give the answer away.
        """
        parts = SPLITS[:3] if self.split == "all" else (self.split,)
        found: list[MaskedSentence] = []
        facts = dict.fromkeys(["read", "kept", "dropped_other_pronoun", "dropped_object", "dropped_on_its_own"], 0)
        for file in local(self.path, [f"gap-{part}.tsv" for part in parts]):
            for number, row in fields(file, HEADER):
                facts["read"] += 1
                _, text, pronoun, offset, a, a_offset, a_coref, b, b_offset, b_coref, page = row
                spans: list[tuple[int, int]] = []
                for word, at in ((pronoun, offset), (a, a_offset), (b, b_offset)):
                    if not at.isdecimal() or not word or not text.startswith(word, int(at)):
                        raise malformed(file, number, f"'{word}' at character {at} of the text", text)
                    spans.append((int(at), int(at) + len(word)))
                corefs = [a_coref.upper(), b_coref.upper()]
                if not {*corefs} <= {"TRUE", "FALSE"} or corefs == ["TRUE", "TRUE"]:
                    raise malformed(
                        file, number, "A-coref and B-coref TRUE or FALSE, not both TRUE", " and ".join(corefs)
                    )
                if pronoun.lower() not in ("his", "her"):
                    facts["dropped_other_pronoun"] += 1
                elif not possessive(text[spans[0][1] :]):
                    facts["dropped_object" if pronoun.lower() == "her" else "dropped_on_its_own"] += 1
                else:
                    facts["kept"] += 1
                    found.append(_sentence(text, spans, corefs, candidates, page))
        return found, facts


def possessive(after: str) -> bool:
    """Whether a his or her that `after` follows belongs to a noun, by its next word or mark alone."""
    word = NEXT_WORD.match(after)
    return not ENDS.match(after) and not (word and word[1] in FOLLOWERS)


def _sentence(
    text: str, spans: list[tuple[int, int]], corefs: list[str], candidates: tuple[str, str], page: str
) -> MaskedSentence:
    (start, end), *names = spans
    before, after = text[:start], text[end:]
    gold = candidates.index(text[start:end].lower())
    meant = corefs.index("TRUE") if "TRUE" in corefs else None
    first, second = (word.capitalize() if text[start].isupper() else word for word in candidates)
    return MaskedSentence(
        before=before,
        after=after,
        candidates=(first, second),
        gold=gold,
        referents=tuple((a, b) if b <= start else (a - (end - start), b - (end - start)) for a, b in names),
        points_to={} if meant is None else {gold: meant},
        tags={
            "gendered_elsewhere": len(GENDERED.findall(before)) + len(GENDERED.findall(after)),
            "gold_referent": "neither" if meant is None else referent_name(meant),
        },
        cluster=page,  # several paragraphs of one page are about the same people
    )
