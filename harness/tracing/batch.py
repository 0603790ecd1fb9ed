"""Batches: tokens, and what is known about them; examples are packed into batches by length."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import torch
from torch import Tensor

from harness import check
from harness.tracing.steps import Side

INCLUDE = ("all", "no_cls", "prompt", "content", "source", "target")
WIDE = 128  # tokens of a text from which on a batch's pairs of tokens are bounded too
TEXT_WIDE = ("input_ids", "attention_mask", "token_type_ids", "side")  # inputs with an entry for each token


class Role(IntEnum):
    """What a token is: part of the text, the classifier's, the end, between two texts, the mask, or padding.

    `PREDICTS` is the last token of a causal model's text, whose state the next word is predicted from. `CLS` is the
    first token, which belongs to no text: a causal model's start of text too.
    """

    PADDING = -1
    CONTENT = 0
    CLS = 1
    FINAL = 2
    SEPARATOR = 3
    MASK = 4
    PREDICTS = 5


TEXT = (Role.CONTENT, Role.PREDICTS)  # the roles of the text's own tokens


@dataclass(frozen=True)
class TwoSided:
    """What is known of an example for an encoder-decoder, whose tokens are a source and a prefix of its target.

    Words are those of the alignment, numbered from 0 on each side; special tokens belong to none, -1.

    Args:
        source: tokens of the source; the rest are the prefix.
        target: tokens of the whole target, the start token included.
        words: `[token]`, the word of its side that each token is a piece of.
        next_word: the word of the target whose piece is predicted; -1 for the end of the target.
        sure: the sentence's gold alignment, pairs of a source word and a target word; None where it is not known.
        possible: further pairs, which are neither right nor wrong.
    """

    source: int
    target: int
    words: Sequence[int]
    next_word: int = -1
    sure: Sequence[tuple[int, int]] | None = None
    possible: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True)
class Example:
    """One encoded sentence.

    Args:
        id: stable across runs; seeds, resumed runs and scores files depend on it.
        input_ids: `[token]`.
        roles: `[token]`, a `Role` each.
        position: the token whose last state feeds the head.
        gold: the right class, or `tables.NO_GOLD` where the data do not give it.
        planted: token indices known to matter, by name, e.g. `subject`.
        tags: facts to group by, e.g. the number of attractors.
        token_types: `[token]`, which of two texts a token belongs to; None where the model does not use it.
        candidates: vocabulary ids, one per class, among which the model chooses at `position`; None for a classifier.
        points_to: for a class, the name of the planted tokens that a model choosing it is taken to rely on.
        referents: names in `planted` that are the candidates of referent agreement.
        swaps: other texts of the same length, `[draw, token]`, whose tokens can replace this text's one by one; a task
            that knows a counterfactual gives it here, and a run draws them from other examples where it gives none.
        sentence: `[token]`, the number of the sentence that each token belongs to; empty where the task does not say.
        cluster: what it shares with other examples that makes them dependent, e.g. a template: statistics resample
            clusters; None for an independent example.
        sides: of an example for an encoder-decoder; its tokens are the source and, after them, the prefix.
    """

    id: str
    input_ids: Sequence[int]
    roles: Sequence[int]
    position: int
    gold: int
    planted: Mapping[str, Sequence[int]] = field(default_factory=dict)
    tags: Mapping[str, int | str] = field(default_factory=dict)
    token_types: Sequence[int] | None = None
    candidates: Sequence[int] | None = None
    points_to: Mapping[int, str] = field(default_factory=dict)
    cluster: str | None = None
    referents: Sequence[str] = ()
    swaps: Sequence[Sequence[int]] = ()
    sentence: Sequence[int] = ()
    sides: TwoSided | None = None


@dataclass(frozen=True)
class Batch:
    """Examples side by side, padded on the right.

    `inputs` is what the model is called with, by keyword: `input_ids` and `attention_mask`, `[batch, token]`, and, if
    the examples have them, `token_type_ids` or `side`, `[batch, token]`, or `position`, `[batch]`, and `candidates`,
    `[batch, class]`.
    """

    examples: tuple[Example, ...]
    inputs: Mapping[str, Tensor]
    role: Tensor  # [batch, token]
    ranked: Tensor  # [batch, token]  True where scores enter the correlation
    position: Tensor  # [batch]
    gold: Tensor  # [batch]
    blank_ids: Mapping[str, int | None]  # unk, mask, pad: the ids that can replace a removed token
    swaps: Tensor | None = None  # [draw, batch, token]  other texts whose tokens can replace these

    @property
    def text(self) -> Tensor:
        """Whether a token is one of the text's own, `[batch, token]`."""
        return torch.isin(self.role, torch.tensor(TEXT, device=self.role.device))

    @property
    def input_ids(self) -> Tensor:
        """`[batch, token]`."""
        return self.inputs["input_ids"]

    @property
    def side(self) -> Tensor:
        """The `Side` of each token, `[batch, token]`; for a model with one axis, every token counts as a target's."""
        if "side" in self.inputs:
            return self.inputs["side"]
        return torch.where(self.role == Role.PADDING, Side.PADDING, Side.TARGET)

    @property
    def attention_mask(self) -> Tensor:
        """`[batch, token]`, 0 on padding."""
        return self.inputs["attention_mask"]

    @property
    def length(self) -> Tensor:
        """Tokens of each example without padding, `[batch]`."""
        return self.attention_mask.sum(dim=1)

    def at(self, index: Tensor) -> dict[str, Tensor]:
        """A copy of the inputs of examples `index`, `[variant]`: what a re-run changes."""
        return {name: value[index] for name, value in self.inputs.items()}


def collate(
    examples: Sequence[Example], include: str, blank_ids: Mapping[str, int | None], device: torch.device | str = "cpu"
) -> Batch:
    """Put examples side by side; `include` says which tokens are ranked.

    `all` of them, all except CLS (`no_cls`), those of the text alone (`prompt`), or those without the token that
    predicts the next word (`content`): in a causal model the residual connection makes it the strongest. For an
    encoder-decoder, `source` and `target` are those of `content` on one side.
    """
    check.choice("include", include, INCLUDE)
    width = max(len(example.input_ids) for example in examples)
    pad_id = blank_ids["pad"]

    def padded(rows: Iterator[Sequence[int]], filler: int) -> Tensor:  # [batch, token]
        return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows], device=device)

    role = padded((example.roles for example in examples), Role.PADDING)
    ranked = role != Role.PADDING if include in ("all", "no_cls", "prompt") else role == Role.CONTENT
    if include == "prompt":
        ranked = torch.isin(role, torch.tensor(TEXT, device=device))
    if include == "no_cls":
        ranked &= role != Role.CLS
    position = torch.tensor([example.position for example in examples], device=device)
    inputs = {
        "input_ids": padded((example.input_ids for example in examples), 0 if pad_id is None else pad_id),
        "attention_mask": (role != Role.PADDING).long(),
    }
    if any(example.token_types is not None for example in examples):
        inputs["token_type_ids"] = padded(
            (example.token_types or [0] * len(example.input_ids) for example in examples), 0
        )
    sided = [example.sides for example in examples if example.sides is not None]
    if sided:
        inputs["side"] = _side(examples, width, device)
    if include in ("source", "target"):
        if not sided:
            raise ValueError(
                f"include={include} ranks the tokens of one side of an encoder-decoder, and this model has one text: "
                "set include=content"
            )
        ranked &= inputs["side"] == Side[include.upper()]
    if any(example.candidates is not None for example in examples):
        inputs["position"] = position
        inputs["candidates"] = torch.tensor([example.candidates for example in examples], device=device)
    return Batch(
        examples=tuple(examples),
        inputs=inputs,
        role=role,
        ranked=ranked,
        position=position,
        gold=torch.tensor([example.gold for example in examples], device=device),
        blank_ids=blank_ids,
        swaps=_swaps(examples, padded),
    )


def _side(examples: Sequence[Example], width: int, device: torch.device | str) -> Tensor:  # [batch, token]
    lengths = [(0 if one.sides is None else one.sides.source, len(one.input_ids)) for one in examples]
    source, whole = torch.tensor(lengths, device=device).T[:, :, None]
    places = torch.arange(width, device=device)
    side = torch.where(places < source, Side.SOURCE, Side.TARGET)
    return torch.where(places < whole, side, Side.PADDING)


def _swaps(examples: Sequence[Example], padded: Callable[..., Tensor]) -> Tensor | None:
    """Texts to swap from, as many of each example; the fewer of one come several times."""
    draws = max(len(example.swaps) for example in examples)
    if not all(example.swaps for example in examples):
        return None
    return torch.stack([padded((one.swaps[draw % len(one.swaps)] for one in examples), 0) for draw in range(draws)])


def pack(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Indices of examples in groups of similar length, each of at most `token_budget` tokens with padding.

    Groups of examples longer than 128 tokens are smaller, so that they hold no more pairs of tokens than groups of that
    length: attention's maps then bound the memory. An example longer than the budget is a group by itself.
    """
    check.count("token_budget", token_budget)
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        size = lengths[index] * max(1, lengths[index] / WIDE)
        if groups and size * (len(groups[-1]) + 1) <= token_budget:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def without(inputs: Mapping[str, Tensor], token: Tensor) -> dict[str, Tensor]:
    """The inputs without token `token[variant]` of each variant; later tokens move up."""
    ids = inputs["input_ids"]
    positions = torch.arange(ids.shape[1], device=ids.device).expand(len(token), -1)
    source = (positions + (positions >= token[:, None])).clamp(max=ids.shape[1] - 1)
    shorter = dict(inputs) | {name: inputs[name].gather(1, source) for name in TEXT_WIDE if name in inputs}
    mask = inputs["attention_mask"]
    shorter["attention_mask"] = (positions < mask.sum(dim=1, keepdim=True) - 1).to(mask.dtype)
    if "position" in inputs:
        shorter["position"] = inputs["position"] - (token < inputs["position"]).long()
    return shorter
