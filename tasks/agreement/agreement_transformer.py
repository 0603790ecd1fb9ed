"""The agreement models, trained once and kept: the paper's encoder, and decoders for the same sentences."""

import hashlib
import json
import time
from collections.abc import Sequence
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
from tasks.agreement import encoder, tokenizer, training
from tasks.agreement.agreement import NUMBERS, Agreement, encode, number_ids
from tasks.agreement.encoder import Encoder, Sizes
from tasks.agreement.sentence import Sentence
from tasks.agreement.tokenizer import WordTokenizer
from tasks.agreement.training import Labelled, Training, fit, predict
from tasks.small_decoder import AtTheEnd, DecoderSizes, small_decoder
from tasks.trained import seeded, trained_folder
from tasks.word_choice_model import WordChoiceModel

KINDS = ("encoder", *decoders.KINDS)
WEIGHTS, WORDS, FACTS = "model.safetensors", "vocabulary.json", "facts.json"


@dataclass(frozen=True)
class AgreementTransformer:
    """The paper's model, trained on a task's training part or read from a folder.

    Args:
        path: a folder that an earlier training wrote; None to train, or to reuse an identical training from the cache.
        kind: the paper's `encoder`, or a decoder, `gpt2` or `llama`, which chooses between `<singular>` and `<plural>`
            after the last word.
        positions: the longest input, CLS and `<?>` included.
        initializer_range: standard deviation of the initial weights.
        training: how to fit.
        seed: of the initial weights, the order of the sentences and the dropout.
        threads: processor threads for training; None for those of the run. With batches this small a second thread
            saves a third of the time on an idle machine and multiplies it on a busy one.
    """

    path: str | None = None
    kind: str = "encoder"
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
        check.choice("kind", self.kind, KINDS)
        for name in ("positions", "layers", "heads", "hidden"):
            check.count(name, getattr(self, name))
        for name in ("residual_dropout", "embedding_dropout", "attention_dropout"):
            check.number(name, getattr(self, name), 0, 0.99)
        check.count("seed", self.seed, low=0)
        if self.threads is not None:
            check.count("threads", self.threads)
        if self.hidden % self.heads:
            raise ValueError(f"hidden is a multiple of heads, got hidden={self.hidden} and heads={self.heads}")
        if self.kind != "encoder" and self.training.reconstruct:
            raise ValueError("a decoder learns from the verb's number alone: set model.training.reconstruct=0")

    def __call__(self, task: Agreement, progress: Progress) -> Model:
        """The trained model; training calls `progress` at every step, and a second process waits for the first."""
        if not isinstance(task, Agreement):
            raise ValueError(
                f"this model is trained for the agreement task and cannot serve {type(task).__name__}: choose "
                "model=pretrained with model.path=<folder> or model.name=<owner/name>"
            )
        if self.path is not None:
            return self._load(Path(self.path).expanduser())
        folder = trained_folder(self.key(task), lambda folder: self._train(task, folder, progress), progress)
        return self._load(folder)

    def key(self, task: Agreement) -> str:
        """A hash of everything that the weights depend on: configuration, data and the training code."""
        modules = [encoder, tokenizer, training]
        settings = asdict(replace(self, path=None))
        del settings["threads"]
        if self.kind == "encoder":
            del settings["kind"]
        else:
            modules[0:1] = [decoders, word_choice_model]
        sources = [code_text(Path(module.__file__ or "")) for module in modules]
        content = json.dumps([settings, task.digest, sources], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:24]

    def _train(self, task: Agreement, folder: Path, progress: Progress) -> None:
        start = time.perf_counter()
        parts = task.splits
        words = WordTokenizer.from_sentences(sentence.words for sentence in parts["train"])
        if self.kind != "encoder":
            words = WordTokenizer(words.words + NUMBERS)
        with seeded(self.seed, self.threads):
            sizes = self._sizes(len(words))
            model = _built(sizes)
            learner: Any = _learner(model, words)
            data = {name: self._labelled(parts[name], words) for name in ("train", "validation")}
            history = fit(learner, data["train"], data["validation"], self.training, self.seed, progress)
        facts = {
            "seconds": round(time.perf_counter() - start, 1),
            "sentences": {name: len(sentences) for name, sentences in parts.items()},
            "words": len(words),
            "history": history,
            **accuracy(learner, parts["test"], words, self.kind != "encoder"),
        }
        save_file(model.state_dict(), folder / WEIGHTS)
        (folder / WORDS).write_text(json.dumps(words.words))
        (folder / FACTS).write_text(json.dumps({"architecture": asdict(sizes), **facts}, indent=2))

    def _sizes(self, vocabulary: int) -> Sizes | DecoderSizes:
        shared = {name: getattr(self, name) for name in Sizes.__dataclass_fields__ if name != "vocabulary"}
        if self.kind == "encoder":
            return Sizes(vocabulary=vocabulary, **shared)
        return DecoderSizes(kind=self.kind, vocabulary=vocabulary, **shared)

    def _labelled(self, sentences: Sequence[Sentence], words: WordTokenizer) -> Labelled:
        ids = [encode(sentence.words, words, self.kind != "encoder") for sentence in sentences]
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
                sizes = facts.pop("architecture")
                model = _built(DecoderSizes(**sizes) if "kind" in sizes else Sizes(**sizes))
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
            f"agreement_{sizes.get('kind', 'transformer')}@{digest}",
            sizes["positions"],
            facts=facts,
        )


def _built(sizes: Sizes | DecoderSizes) -> Encoder | WordChoiceModel:
    return Encoder(sizes) if isinstance(sizes, Sizes) else small_decoder(sizes)


def _learner(model: Encoder | WordChoiceModel, words: WordTokenizer) -> Encoder | AtTheEnd:
    """The model as it is called in training, with ids and mask alone."""
    return model if isinstance(model, Encoder) else AtTheEnd(model, number_ids(words))


def accuracy(learner: Any, sentences: Sequence[Sentence], words: WordTokenizer, causal: bool) -> dict[str, Any]:
    """Accuracy, overall and by number of attractors (`unknown` where the source does not give it)."""
    predicted = predict(learner, [encode(sentence.words, words, causal) for sentence in sentences])
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
