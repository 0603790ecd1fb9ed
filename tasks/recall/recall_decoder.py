"""The recall model: a small decoder, trained once and kept."""

import hashlib
import json
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from harness import check
from harness.contracts import Model, Progress
from harness.results.provenance import code_text
from tasks import small_decoder as decoders
from tasks import word_choice_model
from tasks.agreement.training import predict
from tasks.recall import recall, training
from tasks.recall.recall import Recall, encode
from tasks.recall.training import RecallTraining, fit, value_ids
from tasks.small_decoder import AtTheEnd, DecoderSizes, small_decoder
from tasks.trained import seeded, trained_folder
from tasks.word_choice_model import WordChoiceModel

WEIGHTS, FACTS = "model.safetensors", "facts.json"


@dataclass(frozen=True)
class RecallDecoder:
    """A small decoder that recalls, trained on sequences like the task's or read from a folder.

    Args:
        path: a folder that an earlier training wrote; None to train, or to reuse an identical training from the cache.
        kind: `llama` or `gpt2`.
        training: how to fit.
        seed: of the initial weights and the training sequences.
        threads: processor threads for training; None for those of the run.
    """

    path: str | None = None
    kind: str = "llama"
    layers: int = 4
    heads: int = 4
    hidden: int = 64
    training: RecallTraining = field(default_factory=RecallTraining)
    seed: int = 0
    threads: int | None = 1

    def __post_init__(self):
        check.choice("kind", self.kind, decoders.KINDS)
        for name in ("layers", "heads", "hidden"):
            check.count(name, getattr(self, name))
        check.count("seed", self.seed, low=0)
        if self.hidden % self.heads:
            raise ValueError(f"hidden is a multiple of heads, got hidden={self.hidden} and heads={self.heads}")

    def __call__(self, task: Recall, progress: Progress) -> Model:
        """The trained model; training calls `progress` at every step, and a second process waits for the first."""
        if not isinstance(task, Recall):
            raise ValueError(
                f"this model is trained for the recall task and cannot serve {type(task).__name__}: choose another "
                "model=..., see assay list models"
            )
        if self.path is not None:
            return self._load(Path(self.path).expanduser(), task)
        folder = trained_folder(self.key(task), lambda folder: self._train(task, folder, progress), progress)
        return self._load(folder, task)

    def key(self, task: Recall) -> str:
        """A hash of everything that the weights depend on: configuration, sequences and the training code."""
        modules = (decoders, word_choice_model, recall, training)
        settings = asdict(replace(self, path=None, threads=None))
        sequences = (task.version, task.fewest, task.most, task.vocabulary)
        content = json.dumps([settings, sequences, [code_text(Path(one.__file__ or "")) for one in modules]])
        return hashlib.sha256(content.encode()).hexdigest()[:24]

    def _train(self, task: Recall, folder: Path, progress: Progress) -> None:
        start = time.perf_counter()
        sizes = DecoderSizes(
            self.kind, len(task.tokens), 4 * task.most + 2, self.layers, self.heads, self.hidden
        )  # a training sequence has two tokens for each pair and for each pair asked for, <cls> and ;
        with seeded(self.seed, self.threads):
            model = small_decoder(sizes)
            learned = fit(model, task, self.training, self.seed, progress)
        facts = {
            "seconds": round(time.perf_counter() - start, 1),
            "steps until each number of pairs was learned": learned,
            "accuracy": _accuracy(model, task),
        }
        save_file(model.state_dict(), folder / WEIGHTS)
        (folder / FACTS).write_text(json.dumps({"architecture": asdict(sizes), **facts}, indent=2))

    def _load(self, folder: Path, task: Recall) -> Model:
        try:
            facts: dict[str, Any] = json.loads((folder / FACTS).read_text())
            sizes = DecoderSizes(**facts.pop("architecture"))
            with torch.random.fork_rng(devices=[]):  # its random weights are soon overwritten
                model = small_decoder(sizes)
            model.load_state_dict(load_file(folder / WEIGHTS))
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
            raise ValueError(
                f"{folder} holds no recall model that can be read ({type(error).__name__}: {error}): expected "
                f"{WEIGHTS} and {FACTS} of an earlier training. Delete the folder to train again, or give another with "
                "model.path=<folder>"
            ) from error
        if sizes.vocabulary != len(task.tokens):
            raise ValueError(
                f"{folder} was trained with {sizes.vocabulary} words, and the task has {len(task.tokens)}: set "
                "task.vocabulary to that of its training"
            )
        digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()[:24]
        identity = f"recall_{sizes.kind}@{digest}"
        return Model(model.eval().requires_grad_(False), task.tokens, identity, sizes.positions, facts=facts)


def _accuracy(model: WordChoiceModel, task: Recall) -> float:
    """The share of 1,000 sequences after which the right one of all values comes first."""
    task = replace(task, test=1000, seed=1)
    answers = torch.tensor([task.values.index(line.values[line.asked]) for line in task.lines])
    learner: Any = AtTheEnd(model, value_ids(task))
    predicted = predict(learner, [encode(line.words, task.tokens) for line in task.lines])
    return (predicted == answers).double().mean().item()
