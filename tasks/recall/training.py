"""Teach a decoder to recall, from two pairs at a time to many."""

from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor, nn

from harness import check
from harness.contracts import Progress
from tasks.agreement.tokenizer import SPECIALS, UNKNOWN
from tasks.recall.recall import END, Recall, encode
from tasks.word_choice_model import WordChoiceModel

GROWS = 0.9  # accuracy at which sequences get longer: a model that starts with long ones may never learn to look back


@dataclass(frozen=True)
class RecallTraining:
    """How to fit. A training sequence asks for as many of its keys as it has pairs, so that it teaches more.

    Args:
        steps: at most so many with growing sequences.
        dropout_steps: so many more, over which the learning rate falls to zero.
        word_dropout: in these, each word but the keys asked for is replaced by `<unk>` with this probability, so that
            a token that is blanked out is one that the model has seen.
        batch: sequences per step.
    """

    steps: int = 3000
    dropout_steps: int = 400
    word_dropout: float = 0.1
    batch: int = 64
    learning_rate: float = 1e-3
    warmup: int = 50
    weight_decay: float = 0.01

    def __post_init__(self):
        for name in ("steps", "dropout_steps", "batch", "warmup"):
            check.count(name, getattr(self, name))
        check.number("word_dropout", self.word_dropout, 0, 0.99)
        for name in ("learning_rate", "weight_decay"):
            check.number(name, getattr(self, name), 0, 1)


def fit(model: WordChoiceModel, task: Recall, training: RecallTraining, seed: int, progress: Progress) -> list[int]:
    """Train in place and leave the model in eval mode; returns the step at which each number of pairs was learned."""
    random, dice = Random(f"training {seed}"), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), training.learning_rate, betas=(0.9, 0.98), weight_decay=training.weight_decay, fused=True
    )
    values = torch.tensor(value_ids(task))
    learned: list[int] = []
    accuracy, pairs, step, left = 0.0, 2, 0, training.dropout_steps
    total = training.steps + training.dropout_steps
    model.train()
    while left > 0:
        growing = pairs <= task.most and step < training.steps
        ids, answers = _texts(task, random.randint(2, min(pairs, task.most)), training.batch, random)
        asked = answers >= 0
        if not growing:
            dropped = torch.rand(ids.shape, generator=dice) < training.word_dropout
            ids = ids.masked_fill(dropped & ~asked & (ids >= len(SPECIALS)), UNKNOWN)
            left -= 1
        rate = min(1.0, (step + 1) / training.warmup) * (left / training.dropout_steps)
        for group in optimizer.param_groups:
            group["lr"] = training.learning_rate * rate
        logits = model.inner(input_ids=ids, use_cache=False).logits[asked][:, values]  # [asked, value]
        loss = nn.functional.cross_entropy(logits, answers[asked])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        accuracy = 0.9 * accuracy + 0.1 * (logits.argmax(dim=1) == answers[asked]).double().mean().item()
        if growing and accuracy > GROWS:
            learned.append(step)
            pairs, accuracy = pairs + 1, 0.5
        progress(step if growing else total - left, total, f"{min(pairs, task.most)} pairs")
    model.eval()
    return learned


def value_ids(task: Recall) -> list[int]:
    """The ids of all values."""
    return task.tokens.encode(task.values)[1:-1]


def _texts(task: Recall, pairs: int, count: int, random: Random) -> tuple[Tensor, Tensor]:
    """Ids `[text, token]` of `k1 v1 ... ; k v k v ...`, and the index of the value asked for at each token, else -1."""
    ids: list[list[int]] = []
    answers: list[list[int]] = []
    for _ in range(count):
        keys, values = random.sample(task.keys, pairs), random.sample(range(task.vocabulary), pairs)
        asked = random.choices(range(pairs), k=pairs)
        words = [word for pair in range(pairs) for word in (keys[pair], task.values[values[pair]])]
        words += [END, *(word for pair in asked for word in (keys[pair], task.values[values[pair]]))]
        ids.append(encode(words, task.tokens))
        answers.append([*[-1] * (2 * pairs + 2), *(answer for pair in asked for answer in (values[pair], -1))])
    return torch.tensor(ids), torch.tensor(answers)
