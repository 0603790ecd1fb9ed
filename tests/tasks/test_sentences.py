import pytest

from tasks.sentences import sentences


def words(text: str) -> list[tuple[int, int]]:
    """The characters of each word, with the space in front of it, as byte-level tokenizers cover it."""
    offsets, start = [], 0
    for index, character in enumerate(text):
        if character.isspace() and index > start:
            offsets.append((start, index))
            start = index
    return [*offsets, (start, len(text))]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("One two. Three!", [0, 0, 1]),
        ('He said "no." She left? Yes...', [0, 0, 0, 1, 1, 2]),
        ("a list\nof lines\n", [0, 0, 1, 1, 1]),
        ("It costs 3.5 euros", [0, 0, 0, 0]),
        ("No end", [0, 0]),
    ],
)
def test_a_sentence_ends_with_its_mark_or_its_line(text: str, numbers: list[int]):
    assert sentences(text, words(text)) == numbers


def test_a_token_without_characters_belongs_to_the_sentence_before_it():
    assert sentences("A. B", [(0, 0), (0, 2), (3, 4), (0, 0)]) == [0, 0, 1, 1]
