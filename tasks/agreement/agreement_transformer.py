"""The agreement model, trained once and kept: a content key, a lock, safetensors."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from harness import check
from harness.contracts import Model, Progress
from harness.results.provenance import code_text
from tasks import cache
from tasks.agreement import encoder, tokenizer, training
from tasks.agreement.agreement import Agreement
from tasks.agreement.encoder import Encoder, Sizes
from tasks.agreement.sentence import Sentence
from tasks.agreement.tokenizer import WordTokenizer
from tasks.agreement.training import Labelled, Training, fit, predict

WEIGHTS, WORDS, FACTS = "model.safetensors", "vocabulary.json", "facts.json"


@dataclass(frozen=True)
class AgreementTransformer:
    """The paper's model, trained on a task's training part or read from a folder.

    Args:
        path: a folder that an earlier training wrote; None to train, or to reuse an identical training from the cache.
        positions: the longest input, CLS and `<?>` included.
        initializer_range: standard deviation of the initial weights.
        training: how to fit.
        seed: of the initial weights, the order of the sentences and the dropout.
        threads: processor threads for training; None for those of the run. With batches this small a second thread
            saves a third of the time on an idle machine and multiplies it on a busy one.
    """

    path: str | None = None
    positions: int = 64
    layers: int = 6
    heads: int = 8
    hidden: int = 128
    residual_dropout: float = 0.0
    embedding_dropout: float = 0.0
    attention_dropout: float = 0.0
    initializer_range: float = 0.02
    training: Training = field(default_factory=Training)
    seed: int = 0
    threads: int | None = None

    def __post_init__(self):
        for name in ("positions", "layers", "heads", "hidden"):
            check.count(name, getattr(self, name))
        for name in ("residual_dropout", "embedding_dropout", "attention_dropout"):
            check.number(name, getattr(self, name), 0, 0.99)
        check.count("seed", self.seed, low=0)
        if self.threads is not None:
            check.count("threads", self.threads)
        if self.hidden % self.heads:
            raise ValueError(f"hidden is a multiple of heads, got hidden={self.hidden} and heads={self.heads}")

    def __call__(self, task: Agreement, progress: Progress) -> Model:
        """The trained model; training calls `progress` at every step, and a second process waits for the first."""
        if not isinstance(task, Agreement):
            raise ValueError(
                f"this model is trained for the agreement task and cannot serve {type(task).__name__}: choose "
                "model=pretrained with model.path=<folder> or model.name=<owner/name>"
            )
        if self.path is not None:
            return self._load(Path(self.path).expanduser())
        folder = cache.folder("models") / self.key(task)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                f"the model cache {folder.parent} cannot be written ({error.strerror}): "
                "set the environment variable ASSAY_CACHE to a folder that can"
            ) from error
        lock = FileLock(folder.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress(0, 1, "waiting for another process, which trains this model")
            lock.acquire()
        with lock:
            lock.release()  # once less: it is held by `with`
            if not folder.is_dir():
                temporary = folder.with_suffix(f".{os.getpid()}")
                shutil.rmtree(temporary, ignore_errors=True)
                temporary.mkdir()
                try:
                    self._train(task, temporary, progress)
                    temporary.replace(folder)
                finally:
                    shutil.rmtree(temporary, ignore_errors=True)
        return self._load(folder)

    def key(self, task: Agreement) -> str:
        """A hash of everything that the weights depend on: configuration, data and the training code."""
        sources = [code_text(Path(module.__file__ or "")) for module in (encoder, tokenizer, training)]
        settings = asdict(replace(self, path=None))
        del settings["threads"]
        content = json.dumps([settings, task.digest, sources], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:24]

    def _train(self, task: Agreement, folder: Path, progress: Progress) -> None:
        start = time.perf_counter()
        parts = task.splits
        words = WordTokenizer.from_sentences(sentence.words for sentence in parts["train"])
        sizes = Sizes(
            vocabulary=len(words),
            **{name: getattr(self, name) for name in Sizes.__dataclass_fields__ if name != "vocabulary"},
        )
        with torch.random.fork_rng(devices=[]), _threads(self.threads):
            torch.manual_seed(self.seed)
            model = Encoder(sizes)
            data = {name: self._labelled(parts[name], words) for name in ("train", "validation")}
            history = fit(model, data["train"], data["validation"], self.training, self.seed, progress)
        facts = {
            "seconds": round(time.perf_counter() - start, 1),
            "sentences": {name: len(sentences) for name, sentences in parts.items()},
            "words": len(words),
            "history": history,
            **accuracy(model, parts["test"], words),
        }
        save_file(model.state_dict(), folder / WEIGHTS)
        (folder / WORDS).write_text(json.dumps(words.words))
        (folder / FACTS).write_text(json.dumps({"architecture": asdict(sizes), **facts}, indent=2))

    def _labelled(self, sentences: Sequence[Sentence], words: WordTokenizer) -> Labelled:
        ids = [words.encode(sentence.words) for sentence in sentences]
        longest = max(map(len, ids))
        if longest > self.positions:
            raise ValueError(
                f"a training sentence has {longest} tokens with CLS and <?>, the model takes at most {self.positions}: "
                f"set model.positions={longest}"
            )
        weights = [self.training.natural_weight if sentence.natural else 1.0 for sentence in sentences]
        mean = sum(weights) / len(weights)
        return Labelled(ids, [sentence.label for sentence in sentences], [weight / mean for weight in weights])

    def _load(self, folder: Path) -> Model:
        try:
            facts: dict[str, Any] = json.loads((folder / FACTS).read_text())
            words = WordTokenizer(tuple(json.loads((folder / WORDS).read_text())))
            with torch.random.fork_rng(
                devices=[]
            ):  # its random initialisation, soon overwritten, must not change the global random state
                model = Encoder(Sizes(**facts.pop("architecture")))
            model.load_state_dict(load_file(folder / WEIGHTS))
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
            raise ValueError(
                f"{folder} holds no agreement model that can be read ({type(error).__name__}: {error}): expected "
                f"{WEIGHTS}, {WORDS} and {FACTS} of an earlier training. Delete the folder to train again, "
                "or give another with model.path=<folder>"
            ) from error
        digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()[:24]
        return Model(
            model.eval().requires_grad_(False),
            words,
            f"agreement_transformer@{digest}",
            model.sizes.positions,
            facts=facts,
        )


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def accuracy(model: Encoder, sentences: Sequence[Sentence], words: WordTokenizer) -> dict[str, Any]:
    """Accuracy, overall and by number of attractors (`unknown` where the source does not give it)."""
    predicted = predict(model, [words.encode(sentence.words) for sentence in sentences])
    right = (predicted == torch.tensor([sentence.label for sentence in sentences])).double()
    groups: dict[str, list[int]] = {}
    for index, sentence in enumerate(sentences):
        count = sentence.attractor_count
        groups.setdefault("unknown" if count < 0 else str(count), []).append(index)
    return {
        "accuracy": right.mean().item(),
        "accuracy_by_attractors": {
            name: {"accuracy": right[groups[name]].mean().item(), "n": len(groups[name])} for name in sorted(groups)
        },
    }
