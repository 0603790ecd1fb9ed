"""Which rows of the Linzen data are for training, validation and test; the rule is described in `Linzen`."""

from __future__ import annotations

import numpy as np

SPLITS = ("train", "validation", "test")
LEFT_OUT = ("repeats", "conflicts", "leaks", "unused")


def divide(
    sentence: np.ndarray,  # [row] equal numbers for equal words
    label: np.ndarray,  # [row]
    source: np.ndarray,  # [row] file names
    *,
    full: bool,
    seed: int,
    test: int,
    validation: int,
    drop_repeats: bool,
) -> dict[str, np.ndarray]:
    """Row numbers by split, and of the rows left out by reason; each row is in exactly one.

    `repeats` occurred before; `conflicts` occur with both numbers; `leaks` are training rows with the words of a
    held-out one; `unused` are rows not needed because there is a published training file. Splits are in random order.
    """
    rows, published = np.arange(len(sentence)), source == "numpred.train"
    pool = np.ones(len(rows), bool) if full else natural_mix(source)
    eligible = pool | published if published.any() else np.ones(len(rows), bool)
    conflicts = eligible & both_numbers(sentence, label) & drop_repeats
    drawn, others = rows[eligible & ~conflicts & pool], rows[eligible & ~conflicts & ~pool]
    place = np.full(len(rows), "unused", dtype="<U10")
    place[conflicts] = "conflicts"
    if drop_repeats:
        place[drawn] = place[others] = "repeats"
        drawn = first_of_each(sentence, drawn)
        place[drawn] = "unused"
    if full:
        chosen = paper_split(drawn, seed)
    else:
        if len(drawn) < test + validation:
            raise ValueError(_too_few(len(drawn), test, validation))
        random = np.random.RandomState(seed)
        shuffled = random.permutation(drawn)
        held_out, left = shuffled[: test + validation], np.sort(shuffled[test + validation :])
        train = others[published[others]] if published.any() else np.concatenate([left, others])
        if drop_repeats:
            leaked = np.isin(sentence[train], sentence[held_out])
            place[train[leaked]] = "leaks"
            train = first_of_each(sentence, train[~leaked])
        chosen = {"train": random.permutation(train), "validation": held_out[test:], "test": held_out[:test]}
    if not all(len(chosen[name]) for name in SPLITS):
        raise ValueError(_too_few(len(drawn), test, validation, full))
    for name in SPLITS:
        place[chosen[name]] = name
    return chosen | {reason: rows[place == reason] for reason in LEFT_OUT}


def paper_split(rows: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Rows shuffled and cut into 10 % train, 1 % validation, 89 % test, as the paper's code does it."""
    shuffled = rows.copy()
    np.random.RandomState(seed).shuffle(shuffled)  # theirs: on the whole file, seed 42 gives the paper's own sentences
    train, validation = int(len(rows) * 0.1), int(len(rows) * 0.01)
    return dict(zip(SPLITS, np.split(shuffled, [train, train + validation]), strict=True))


def natural_mix(source: np.ndarray) -> np.ndarray:  # [row] -> [row]
    """True where held-out sentences may be drawn: numpred.val, else numpred.test, else everywhere."""
    for names in (("numpred.val", "numpred.valid"), ("numpred.test",)):
        if (drawn := np.isin(source, names)).any():
            return drawn
    return np.ones(len(source), bool)


def both_numbers(sentence: np.ndarray, label: np.ndarray) -> np.ndarray:  # [row], [row] -> [row]
    """True where the same words occur elsewhere with the other number."""
    plural = np.bincount(sentence, label)
    return ((plural > 0) & (plural < np.bincount(sentence)))[sentence]


def first_of_each(sentence: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The rows, in order, without those whose words occurred before."""
    _, first = np.unique(sentence[rows], return_index=True)
    return rows[np.sort(first)]


def _too_few(found: int, test: int, validation: int, full: bool = False) -> str:
    if full:
        return f"expected 100 different sentences or more for 10 % train, 1 % validation, 89 % test, got {found}"
    return (
        f"expected more than {test + validation} different sentences for test={test} and validation={validation}, "
        f"got {found}; make task.test and task.validation smaller or give more data"
    )
