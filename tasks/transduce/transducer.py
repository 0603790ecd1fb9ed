"""The transduce model: a small encoder-decoder, trained once and kept."""

import hashlib
import json
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from torch import random
from transformers import MarianConfig, MarianMTModel, PreTrainedModel, T5Config, T5ForConditionalGeneration

from harness import check
from harness.contracts import Model, Progress
from harness.results.provenance import code_text
from tasks import target_word_model
from tasks.target_word_model import TargetWordModel
from tasks.trained import seeded, trained_folder
from tasks.transduce import language, lexicon, tokenizer, training, transduce
from tasks.transduce.tokenizer import END, PAD, START
from tasks.transduce.training import TransducerTraining, accuracy, fit
from tasks.transduce.transduce import Transduce, texts

KINDS = ("marian", "t5")
WEIGHTS, FACTS = "model.safetensors", "facts.json"
POSITIONS = 64  # the longest source and the longest prefix together
MEASURED = 1000  # texts that the accuracy is measured on


@dataclass(frozen=True)
class TransducerSizes:
    """What a small encoder-decoder is built from; `layers` are those of each side."""

    kind: str
    vocabulary: int
    layers: int
    heads: int
    hidden: int


@dataclass(frozen=True)
class Transducer:
    """A small encoder-decoder that translates, trained on texts like the task's or read from a folder.

    Args:
        path: a folder that an earlier training wrote; None to train, or to reuse an identical training from the cache.
        kind: `marian`, with sinusoidal positions, or `t5`, with relative ones.
        layers: of the encoder, and of the decoder.
        training: how to fit.
        seed: of the initial weights and the training texts.
        threads: processor threads for training; None for those of the run.
    """

    path: str | None = None
    kind: str = "marian"
    layers: int = 3
    heads: int = 4
    hidden: int = 64
    training: TransducerTraining = field(default_factory=TransducerTraining)
    seed: int = 0
    threads: int | None = 1

    def __post_init__(self):
        check.choice("kind", self.kind, KINDS)
        for name in ("layers", "heads", "hidden"):
            check.count(name, getattr(self, name))
        check.count("seed", self.seed, low=0)
        if self.hidden % self.heads or self.hidden % 2:
            raise ValueError(
                f"hidden is a multiple of heads, and even, got hidden={self.hidden} and heads={self.heads}"
            )

    def __call__(self, task: Transduce, progress: Progress) -> Model:
        """The trained model; training calls `progress` at every step, and a second process waits for the first."""
        if not isinstance(task, Transduce):
            raise ValueError(
                f"this model is trained for the transduce task and cannot serve {type(task).__name__}: choose another "
                "model=..., see assay list models"
            )
        if self.path is not None:
            return self._load(Path(self.path).expanduser(), task)
        folder = trained_folder(self.key(task), lambda folder: self._train(task, folder, progress), progress)
        return self._load(folder, task)

    def key(self, task: Transduce) -> str:
        """A hash of everything that the weights depend on: configuration, texts and the training code."""
        modules = (lexicon, language, tokenizer, transduce, training, target_word_model)
        settings = asdict(replace(self, path=None, threads=None))
        content = json.dumps([settings, task.version, [code_text(Path(one.__file__ or "")) for one in modules]])
        return hashlib.sha256(content.encode()).hexdigest()[:24]

    def _train(self, task: Transduce, folder: Path, progress: Progress) -> None:
        start = time.perf_counter()
        sizes = TransducerSizes(self.kind, len(task.tokens), self.layers, self.heads, self.hidden)
        with seeded(self.seed, self.threads):
            model = small_transducer(sizes, attention="sdpa")
            fit(model, task.tokens, self.training, self.seed, progress)
        seconds = round(time.perf_counter() - start, 1)
        measured = accuracy(model, task.tokens, texts(MEASURED, f"accuracy {self.seed}", test=True))
        save_model(model, str(folder / WEIGHTS))
        facts = {"architecture": asdict(sizes), "seconds": seconds, **measured}
        (folder / FACTS).write_text(json.dumps(facts, indent=2))

    def _load(self, folder: Path, task: Transduce) -> Model:
        try:
            facts: dict[str, Any] = json.loads((folder / FACTS).read_text())
            sizes = TransducerSizes(**facts.pop("architecture"))
            with random.fork_rng(devices=[]):  # its random weights are soon overwritten
                model = small_transducer(sizes, attention="eager")
            load_model(model, folder / WEIGHTS)
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
            raise ValueError(
                f"{folder} holds no transduce model that can be read ({type(error).__name__}: {error}): expected "
                f"{WEIGHTS} and {FACTS} of an earlier training. Delete the folder to train again, or give another with "
                "model.path=<folder>"
            ) from error
        if sizes.vocabulary != len(task.tokens):
            raise ValueError(
                f"{folder} was trained with {sizes.vocabulary} words, and the task has {len(task.tokens)}: delete the "
                "folder to train again"
            )
        digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()[:24]
        module = TargetWordModel(model.eval().requires_grad_(False))
        return Model(module, task.tokens, f"transduce_{sizes.kind}@{digest}", POSITIONS, facts=facts)


def small_transducer(sizes: TransducerSizes, attention: str) -> PreTrainedModel:
    """A new model with random weights; `attention` is transformers' name of its implementation."""
    options = {
        "vocab_size": sizes.vocabulary,
        "d_model": sizes.hidden,
        "pad_token_id": PAD,
        "eos_token_id": END,
        "decoder_start_token_id": START,
        "attn_implementation": attention,
    }
    if sizes.kind == "t5":
        config = T5Config(
            d_kv=sizes.hidden // sizes.heads,
            d_ff=2 * sizes.hidden,
            num_layers=sizes.layers,
            num_heads=sizes.heads,
            dropout_rate=0.0,
            relative_attention_max_distance=POSITIONS,
            **options,
        )
        return T5ForConditionalGeneration(config)
    config = MarianConfig(
        encoder_layers=sizes.layers,
        decoder_layers=sizes.layers,
        encoder_attention_heads=sizes.heads,
        decoder_attention_heads=sizes.heads,
        encoder_ffn_dim=2 * sizes.hidden,
        decoder_ffn_dim=2 * sizes.hidden,
        max_position_embeddings=POSITIONS,
        scale_embedding=True,
        init_std=sizes.hidden**-0.5,
        dropout=0.0,
        bos_token_id=START,
        forced_eos_token_id=None,
        **options,
    )
    return MarianMTModel(config)
