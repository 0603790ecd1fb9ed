"""A source and its target, as examples of what an encoder-decoder writes next at each position of the target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from harness.tracing.batch import Example, Role, TwoSided, pack
from tasks.target_word_model import TargetWordModel

TOKENS = 4096  # of a batch when rivals are looked for


@dataclass(frozen=True)
class Pair:
    """One source and its target, encoded. Words are those of the alignment, numbered from 0 on each side.

    Args:
        id: stable across runs.
        source: ids of the whole source, special tokens included.
        source_roles: a `Role` for each.
        source_words: the word that each is a piece of, -1 for special tokens.
        start: ids that the prefix begins with and that are never explained: the start token, and a language's token.
        target: ids after those, up to the end token, which is included.
        target_words: the word that each is a piece of, -1 for the end token.
        sure: gold links, pairs of a source word and a target word; None where they are not known.
        possible: links that are neither right nor wrong.
        planted: for an index in `target`, what is known to matter there besides the aligned words: by name, indices in
            the source, or, counted on from its end, in the prefix.
        foils: for an index in `target`, the id of the wrong answer; elsewhere the strongest rival is one.
        tags: for an index in `target`, facts to group by.
    """

    id: str
    source: Sequence[int]
    source_roles: Sequence[int]
    source_words: Sequence[int]
    start: Sequence[int]
    target: Sequence[int]
    target_words: Sequence[int]
    sure: Sequence[tuple[int, int]] | None = None
    possible: Sequence[tuple[int, int]] = ()
    planted: Mapping[int, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    foils: Mapping[int, int] = field(default_factory=dict)
    tags: Mapping[int, Mapping[str, int | str]] = field(default_factory=dict)


def check_position(position: object) -> None:
    """Raise ValueError unless it is an index, from the end where it is negative, or None for all of them."""
    if position is not None and (isinstance(position, bool) or not isinstance(position, int)):
        raise ValueError(f"position is a whole number, or null for all of them, got {position!r}")


def examples_of(pairs: Sequence[Pair], model: TargetWordModel, position: int | None = None) -> list[Example]:
    """Each pair's target, teacher-forced: one example for each of its tokens, all in the pair's cluster.

    An example is the choice between the target's token, class 0, and a foil: the token that the model finds likeliest
    of all others, unless the pair gives one. With `position`, only that index of the target is explained, counted from
    its end where it is negative; a pair that is too short has no example.
    """
    _check_vocabulary(pairs, model)
    rivals = _rivals(pairs, model)
    examples: list[Example] = []
    for pair, found in zip(pairs, rivals, strict=True):
        size = len(pair.target)
        chosen = range(size) if position is None else [position % size] if -size <= position < size else []
        examples.extend(_example(pair, index, pair.foils.get(index, found[index])) for index in chosen)
    return examples


def _example(pair: Pair, index: int, foil: int) -> Example:
    ids = [*pair.source, *pair.start, *pair.target[:index]]
    roles = [*pair.source_roles, *[Role.CLS] * len(pair.start), *[Role.CONTENT] * index]
    roles[-1] = Role.PREDICTS
    words = [*pair.source_words, *[-1] * len(pair.start), *pair.target_words[:index]]
    next_word = pair.target_words[index]
    planted = dict(pair.planted.get(index, {}))
    aligned = {source for source, target in pair.sure or () if target == next_word}
    if aligned:
        planted["aligned"] = [place for place, word in enumerate(pair.source_words) if word in aligned]
    return Example(
        id=f"{pair.id}-{index}",
        input_ids=ids,
        roles=roles,
        position=len(ids) - 1,
        gold=0,
        planted=planted,
        tags={"target_position": index, **pair.tags.get(index, {})},
        candidates=[pair.target[index], foil],
        cluster=pair.id,
        sides=TwoSided(
            source=len(pair.source),
            target=len(pair.start) + len(pair.target),
            words=words,
            next_word=next_word,
            sure=pair.sure,
            possible=pair.possible,
        ),
    )


def _check_vocabulary(pairs: Sequence[Pair], model: TargetWordModel) -> None:
    """Raise ValueError where the tokenizer has tokens that the model does not have."""
    sides = [(model.embedding.source, [pair.source for pair in pairs])]
    sides.append((model.embedding.target, [[*pair.start, *pair.target] for pair in pairs]))
    for table, rows in sides:
        words, highest = getattr(table, "num_embeddings", None), max((max(row) for row in rows), default=0)
        if words is not None and highest >= words:
            raise ValueError(
                f"the texts have a token with the number {highest}, and the model's vocabulary ends at {words - 1}: "
                "model and tokenizer do not belong together, or tokens were added without resizing the model"
            )


@torch.no_grad()
def _rivals(pairs: Sequence[Pair], model: TargetWordModel) -> list[list[int]]:
    """At each index of each target, the token other than the target's own that the model finds likeliest."""
    device = next(model.parameters()).device
    found: list[list[int]] = [[] for _ in pairs]
    lengths = [len(pair.source) + len(pair.start) + len(pair.target) for pair in pairs]
    for group in pack(lengths, TOKENS):
        chosen = [pairs[one] for one in group]
        source, source_mask = _padded([pair.source for pair in chosen], device)
        target, target_mask = _padded([[*pair.start, *pair.target[:-1]] for pair in chosen], device)
        logits = model.inner(
            input_ids=source,
            attention_mask=source_mask,
            decoder_input_ids=target,
            decoder_attention_mask=target_mask,
            use_cache=False,
        ).logits
        for one, pair, each in zip(group, chosen, logits, strict=True):
            rows = each[len(pair.start) - 1 :][: len(pair.target)].clone()
            rows.scatter_(1, torch.tensor(pair.target, device=device)[:, None], -torch.inf)
            found[one] = rows.argmax(dim=1).tolist()
    return found


def _padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, `[batch, token]`; what stands in padding does not matter."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[row[-1]] * (width - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids, (torch.arange(width, device=device) < lengths[:, None]).long()
