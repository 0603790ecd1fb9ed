"""Fit an `Encoder` to labelled sentences: word dropout, early stopping, one progress bar."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness import check
from tasks.agreement.encoder import Encoder
from tasks.agreement.tokenizer import CLS, PAD, UNKNOWN, VERB


@dataclass(frozen=True)
class Labelled:
    """Encoded sentences with their labels and their weights in the loss."""

    ids: Sequence[Sequence[int]]
    labels: Sequence[int]
    weights: Sequence[float]


@dataclass(frozen=True)
class Training:
    """How to fit.

    Args:
        epochs: maximum number of epochs; the learning rate falls over them along a half cosine.
        patience: stop after this many epochs without a better validation accuracy; the best epoch's weights are kept.
        batch: sentences per step.
        word_dropout: each word is replaced by `<unk>` with this probability, so that blank-out later uses a vector that
            the model has seen; 0 as in the paper.
        reconstruct: weight of a second loss, predicting the dropped words from the rest of the sentence; it teaches a
            word's number from few labels. 0 as in the paper.
        natural_weight: weight of a sentence of the natural mix relative to one selected for its attractors.
    """

    epochs: int = 10
    patience: int = 3
    batch: int = 64
    learning_rate: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 0.01
    clip: float = 1.0
    word_dropout: float = 0.1
    reconstruct: float = 0.0
    label_smoothing: float = 0.0
    natural_weight: float = 1.0

    def __post_init__(self):
        for name in ("epochs", "patience", "batch"):
            check.count(name, getattr(self, name))
        for name in ("warmup", "word_dropout", "label_smoothing"):
            check.number(name, getattr(self, name), 0, 0.99)
        for name in ("learning_rate", "weight_decay", "clip", "reconstruct", "natural_weight"):
            check.number(name, getattr(self, name), 0, math.inf)


def batches(ids: Sequence[Sequence[int]], size: int, generator: torch.Generator | None) -> list[list[int]]:
    """Indices in batches of similar length; with a generator, in a new order each time."""
    lengths = torch.tensor([len(sentence) for sentence in ids], dtype=torch.float)
    if generator is not None:  # similar lengths together, but not always the same sentences
        lengths = lengths + torch.rand(len(ids), generator=generator)
    order = lengths.argsort(stable=True).tolist()
    groups = [order[start : start + size] for start in range(0, len(order), size)]
    if generator is not None:
        groups = [groups[index] for index in torch.randperm(len(groups), generator=generator).tolist()]
    return groups


def pad(ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Ids and mask `[batch, token]`, padded on the right."""
    width = max(len(sentence) for sentence in ids)
    padded = torch.tensor([[*sentence, *[PAD] * (width - len(sentence))] for sentence in ids])
    return padded, torch.tensor([[1] * len(sentence) + [0] * (width - len(sentence)) for sentence in ids])


@torch.no_grad()
def predict(encoder: Encoder, ids: Sequence[Sequence[int]], size: int = 512) -> Tensor:
    """The predicted class of each sentence, `[sentence]`."""
    encoder.eval()
    predicted = torch.empty(len(ids), dtype=torch.long)
    for group in batches(ids, size, None):
        predicted[group] = encoder(*pad([ids[index] for index in group])).logits.argmax(1)
    return predicted


def fit(
    encoder: Encoder,
    train: Labelled,
    validation: Labelled,
    training: Training,
    seed: int,
    progress: Callable[[int, int, str], None],
) -> list[dict[str, float]]:
    """Train in place, leave the encoder in eval mode with the best epoch's weights, and return a record per epoch.

    `progress(done, total, note)` is called after every step.
    """
    generator = torch.Generator().manual_seed(seed)
    decayed = [parameter for parameter in encoder.parameters() if parameter.dim() == 2]
    others = [parameter for parameter in encoder.parameters() if parameter.dim() != 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": training.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=training.learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )
    steps = training.epochs * math.ceil(len(train.ids) / training.batch)
    warmup = max(1, int(training.warmup * steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warmup, 0.5 * (1 + math.cos(math.pi * step / steps))),
    )
    loss_of = nn.CrossEntropyLoss(reduction="none", label_smoothing=training.label_smoothing)
    labels, weights = torch.tensor(train.labels), torch.tensor(train.weights)
    truth = torch.tensor(validation.labels)
    history: list[dict[str, float]] = []
    best = copy.deepcopy(encoder.state_dict())
    start, step, note = time.perf_counter(), 0, ""
    for epoch in range(1, training.epochs + 1):
        encoder.train()
        total = 0.0
        for group in batches(train.ids, training.batch, generator):
            ids, mask = pad([train.ids[index] for index in group])
            dropped = words_to_drop(ids, training.word_dropout, generator)
            result = encoder(ids.masked_fill(dropped, UNKNOWN), mask, output_hidden_states=True)
            loss = (loss_of(result.logits, labels[group]) * weights[group]).mean()
            if training.reconstruct and dropped.any():
                told = encoder.norm(result.hidden_states[-1][dropped]) @ encoder.words.weight.T  # [dropped, word]
                loss = loss + training.reconstruct * nn.functional.cross_entropy(told, ids[dropped])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(encoder.parameters(), training.clip)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(group)
            step += 1
            progress(step, steps, note)
        accuracy = (predict(encoder, validation.ids) == truth).double().mean().item()
        if not history or accuracy > max(record["accuracy"] for record in history):
            best = copy.deepcopy(encoder.state_dict())
        seconds = time.perf_counter() - start
        history.append({"epoch": epoch, "loss": total / len(train.ids), "accuracy": accuracy, "seconds": seconds})
        note = f"epoch {epoch}: validation accuracy {accuracy:.3f}"
        since = epoch - max(history, key=lambda record: record["accuracy"])["epoch"]
        if since >= training.patience:
            break
    encoder.load_state_dict(best)
    encoder.eval()
    return history


def words_to_drop(ids: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """True with probability `rate` at each word, never at a special token, `[batch, token]`."""
    special = (ids == PAD) | (ids == CLS) | (ids == VERB)
    return (torch.rand(ids.shape, generator=generator) < rate) & ~special
