"""Assay's own sentences: a man, a woman and something that belongs to one of them, made from templates and names."""

import random
from dataclasses import dataclass, replace
from typing import ClassVar

from tasks.pronouns import marked
from tasks.pronouns.sentence import MaskedSentence

MEN = ("John", "David", "Peter", "Paul", "Robert", "Thomas", "Daniel", "Michael", "George", "Henry", "Simon", "Frank")
WOMEN = ("Mary", "Sarah", "Anna", "Emma", "Alice", "Susan", "Laura", "Helen", "Julia", "Jane", "Lucy", "Kate")
TEMPLATES = (
    "{first} asked {second} about [MASK] book.",
    "{first} told {second} that [MASK] train was late.",
    "{first} talked to {second} about [MASK] new job in the city.",
    "{first} met {second} at the station and carried [MASK] bag to the car.",
    "After dinner {first} showed {second} the photographs of [MASK] brother.",
    "{first} thanked {second} for the letter to [MASK] parents.",
    "{first} wrote to {second} when [MASK] mother was ill.",
    "{first} and {second} had lunch in [MASK] garden.",
    "When {first} visited {second} last summer, [MASK] house had just been painted.",
    "{first} waited for {second} in front of [MASK] office.",
    "{first} could not tell {second} where [MASK] keys were.",
    "{first} drove {second} home because [MASK] car had broken down.",
    "{first} borrowed a coat from {second} for [MASK] trip to the mountains.",
    "{first} laughed when {second} began to talk about [MASK] dog.",
    "{first} promised {second} to look after [MASK] cat for a week.",
    "{first} sent {second} a long message on [MASK] birthday.",
    "On Monday {first} and {second} moved the piano into [MASK] room.",
    "{first} reminded {second} that [MASK] sister was coming for the weekend.",
    "{first} agreed with {second} that [MASK] plan was better than the others.",
    "{first} sat next to {second} and read [MASK] report twice.",
    "It was {first} who introduced {second} to [MASK] friends from school.",
    "{first} helped {second} in the kitchen and then washed [MASK] hands.",
    "{first} lost the game against {second} in spite of [MASK] good start.",
    "Since [MASK] flight was cancelled, {first} stayed with {second} for two more days.",
)
EACH = 8  # sentences of each template: half with the man first


def texts(seed: int = 0) -> list[str]:
    """The sentences with their referents marked, in a random order; `seed` sets the names and the order."""
    chance = random.Random(seed)
    made: list[str] = []
    for template in TEMPLATES:
        pairs = zip(chance.sample(MEN, EACH), chance.sample(WOMEN, EACH), strict=True)
        for index, (man, woman) in enumerate(pairs):
            marks = [f"{{{man}|his}}", f"{{{woman}|her}}"]
            first, second = marks if index < EACH // 2 else reversed(marks)
            made.append(template.format(first=first, second=second))
    chance.shuffle(made)
    return made


@dataclass(frozen=True)
class Embedded:
    """The sentences of this file, with no path needed."""

    his_or_her: ClassVar[bool] = True

    def read(self, candidates: tuple[str, str]) -> tuple[list[MaskedSentence], dict[str, int]]:
        """The sentences, clustered by template; the names are always the same."""
        made = texts()
        found, facts = marked.sentences(made, candidates)
        templates = [marked.REFERENT.sub("{}", text) for text in made]
        return [replace(one, cluster=template) for one, template in zip(found, templates, strict=True)], facts
