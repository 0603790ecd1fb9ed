"""Teach an encoder-decoder to translate, first whole sentences, then sentences with blanks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from harness import check
from harness.contracts import Progress
from tasks.transduce.language import KINDS, Text
from tasks.transduce.lexicon import PRONOUNS
from tasks.transduce.tokenizer import PAD, SPECIALS, START, UNKNOWN, BothTokenizer
from tasks.transduce.transduce import texts

IGNORED = -100  # cross_entropy's own label for what is not counted


@dataclass(frozen=True)
class TransducerTraining:
    """How to fit.

    Args:
        texts: different texts to learn from.
        steps: of the training; the learning rate falls over them along a half cosine.
        word_dropout: in the last `dropout_steps`, each word of source and prefix is replaced by `<unk>` with this
            probability, so that a token that is blanked out is one that the model has seen.
        dropout_steps: the last of the steps.
        pronoun_weight: of a pronoun in the loss, where other words have 1: they are few, and learned last.
        batch: texts per step.
    """

    texts: int = 40000
    steps: int = 1500
    dropout_steps: int = 250
    word_dropout: float = 0.1
    pronoun_weight: float = 4.0
    batch: int = 64
    learning_rate: float = 4e-3
    warmup: int = 100
    weight_decay: float = 0.01

    def __post_init__(self):
        for name in ("texts", "steps", "batch", "warmup"):
            check.count(name, getattr(self, name))
        check.count("dropout_steps", self.dropout_steps, low=0)
        check.number("word_dropout", self.word_dropout, 0, 0.99)
        check.number("pronoun_weight", self.pronoun_weight, 0, math.inf)
        for name in ("learning_rate", "weight_decay"):
            check.number(name, getattr(self, name), 0, 1)
        if self.dropout_steps > self.steps:
            raise ValueError(f"dropout_steps are the last of steps={self.steps}, got {self.dropout_steps}")


def fit(
    model: PreTrainedModel, tokens: BothTokenizer, training: TransducerTraining, seed: int, progress: Progress
) -> None:
    """Train in place and leave the model in eval mode."""
    random, dice = Random(f"order {seed}"), torch.Generator().manual_seed(seed)
    encoded = [_encoded(one, tokens) for one in texts(training.texts, f"training {seed}", test=False)]
    optimizer = torch.optim.AdamW(
        model.parameters(), training.learning_rate, betas=(0.9, 0.98), weight_decay=training.weight_decay, fused=True
    )
    weights = torch.ones(len(tokens))  # [word]
    weights[tokens.encode([*PRONOUNS.values()])[:-1]] = training.pronoun_weight
    order: list[list[int]] = []
    running = math.nan
    model.train()
    for step in range(training.steps):
        if not order:
            order = _groups(encoded, training.batch, random)
        source, target = (_padded(rows) for rows in zip(*[encoded[index] for index in order.pop()], strict=True))
        prefix, labels = target[:, :-1], target[:, 1:].masked_fill(target[:, 1:] == PAD, IGNORED)
        rate = training.word_dropout if step >= training.steps - training.dropout_steps else 0.0
        for group in optimizer.param_groups:
            falling = 0.5 * (1 + math.cos(math.pi * step / training.steps))
            group["lr"] = training.learning_rate * min((step + 1) / training.warmup, falling)
        logits = model(
            input_ids=_with_blanks(source, rate, dice),
            attention_mask=(source != PAD).long(),
            decoder_input_ids=_with_blanks(prefix, rate, dice),
            use_cache=False,
        ).logits  # [text, token, word]
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), weights, ignore_index=IGNORED)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        running = loss.item() if math.isnan(running) else 0.98 * running + 0.02 * loss.item()
        progress(step + 1, training.steps, f"loss {running:.3f}")
    model.eval()


@torch.no_grad()
def accuracy(
    model: PreTrainedModel, tokens: BothTokenizer, chosen: Sequence[Text], size: int = 256
) -> dict[str, float]:
    """Shares of what a model writes right, teacher-forced: of tokens, of whole texts, and of tokens by their kind."""
    right: dict[str, int] = dict.fromkeys(KINDS, 0)
    counts: dict[str, int] = dict.fromkeys(KINDS, 0)
    whole = 0
    for start in range(0, len(chosen), size):
        part = chosen[start : start + size]
        source, target = (_padded(rows) for rows in zip(*[_encoded(one, tokens) for one in part], strict=True))
        logits = model(
            input_ids=source,
            attention_mask=(source != PAD).long(),
            decoder_input_ids=target[:, :-1],
            use_cache=False,
        ).logits  # [text, token, word]
        found = logits.argmax(dim=2) == target[:, 1:]  # [text, token]
        for one, row in zip(part, found.tolist(), strict=True):
            kinds = (*one.kinds, "end")
            whole += all(row[: len(kinds)])
            for kind, each in zip(kinds, row, strict=False):
                counts[kind] += 1
                right[kind] += each
    shares = {kind: round(right[kind] / counts[kind], 4) for kind in KINDS if counts[kind]}
    return {
        "accuracy": round(sum(right.values()) / sum(counts.values()), 4),
        "whole texts": round(whole / len(chosen), 4),
        **shares,
    }


def _encoded(one: Text, tokens: BothTokenizer) -> tuple[list[int], list[int]]:
    """Ids of the source, and of the target with its start."""
    return tokens.encode(one.source), [START, *tokens.encode(one.target)]


def _groups(encoded: Sequence[tuple[list[int], list[int]]], size: int, random: Random) -> list[list[int]]:
    """Indices in batches of similar length, in random order."""
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index][0]) + random.random() * 2)
    groups = [order[start : start + size] for start in range(0, len(order), size)]
    random.shuffle(groups)
    return groups


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Ids `[text, token]`."""
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[PAD] * (width - len(row))] for row in rows])


def _with_blanks(ids: Tensor, rate: float, dice: torch.Generator) -> Tensor:
    """Ids `[text, token]` with words replaced by `<unk>`, never a special token."""
    if not rate:
        return ids
    dropped = torch.rand(ids.shape, generator=dice) < rate  # [text, token]
    return ids.masked_fill(dropped & (ids >= len(SPECIALS)), UNKNOWN)
