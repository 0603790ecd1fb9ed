"""A trained transformers model, from a local folder or the Hugging Face hub."""

import hashlib
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES

from harness.contracts import Model, PreparesModel, Progress, Task
from harness.tracing.model_parts import first_position
from tasks import hub
from tasks.model_folder import BUFFERS, UNUSED, check_folder
from tasks.model_types import check_type

HEADS = {
    "classification": AutoModelForSequenceClassification,
    "masked_lm": AutoModelForMaskedLM,
    "causal_lm": AutoModelForCausalLM,
    "seq2seq_lm": AutoModelForSeq2SeqLM,
}
CAUSAL = ("ForCausalLM", "LMHeadModel")  # how transformers' classes of causal language models end
REMEDY = "choose a checkpoint that was trained for this task, with model.name=<owner/name> or model.path=<folder>"


@dataclass(frozen=True)
class Pretrained:
    """A checkpoint with the head that the task needs: float32, eager attention, safetensors, no code from the folder.

    Args:
        name: on the Hugging Face hub, `owner/name`.
        revision: its commit, so that the numbers stay the same; None for the newest.
        path: a local folder with `config.json`, `model.safetensors` and the tokenizer; it takes precedence over
            the name.
    """

    name: str | None = None
    revision: str | None = None
    path: str | None = None

    def __call__(self, task: Task, progress: Progress) -> Model:
        """Load model and tokenizer; ValueError or OSError with a remedy where they cannot serve the task."""
        head = _head(task)
        folder = self._folder()
        transformers.utils.logging.disable_progress_bar()
        transformers.utils.logging.set_verbosity_error()
        check_folder(folder)
        config = _config(folder)
        check_type(config, task.head)
        module, tokens = _loaded(folder, head, config)
        name = self.name if self.path is None else str(self.path)
        return _model(module.eval().requires_grad_(False), tokens, self._identity(folder), task, name)

    @staticmethod
    def of(module: nn.Module, tokens: Any, task: Task) -> Model:
        """A model and its tokenizer that are in memory already; neither is changed.

        Raises:
            ValueError: the model is in train mode, or cannot serve the task.
        """
        _head(task)
        if module.training:
            raise ValueError("the model is in train mode, where dropout makes every run different: call model.eval()")
        digest = hashlib.sha256()
        for name, parameter in module.state_dict().items():
            content = parameter.detach().cpu().contiguous().view(-1).view(torch.uint8)
            digest.update(name.encode() + b"\0" + content.numpy().tobytes())
        identity = f"{type(module).__name__}@{digest.hexdigest()[:24]}"
        return _model(module, tokens, identity, task, type(module).__name__)

    @property
    def suited_head(self) -> str:
        """The head that the checkpoint was saved with: see `saved_head`."""
        return self.saved_head(getattr(_config(self._folder()), "architectures", None) or ())

    @staticmethod
    def saved_head(classes: Sequence[str]) -> str:
        """The head of transformers' classes for a checkpoint: `seq2seq_lm`, `causal_lm`, or else `classification`."""
        if any(name in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES.values() for name in classes):
            return "seq2seq_lm"
        return "causal_lm" if any(name.endswith(CAUSAL) for name in classes) else "classification"

    def _folder(self) -> Path:
        if self.path is None:
            if self.name is None:
                raise ValueError("no model is named: set model.name=<owner/name> or model.path=<folder>")
            return hub.model_folder(self.name, self.revision)
        return Path(self.path).expanduser()

    def _identity(self, folder: Path) -> str:
        if self.path is None:
            return f"{self.name}@{folder.name}"  # the hub's cache names a snapshot after its commit
        digest = hashlib.sha256()
        for file in sorted({file for pattern in hub.NEEDED for file in folder.glob(pattern)}):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
        return f"{folder.name}@{digest.hexdigest()[:24]}"


def _head(task: Task) -> Any:
    """The transformers class that loads the head which a task needs."""
    if task.head not in HEADS:
        raise ValueError(
            f"the task {type(task).__name__} (head: {task.head}) is served only by its own model, and a pretrained one "
            f"serves tasks whose head is {' or '.join(HEADS)}: choose another model=..., see assay list models"
        )
    return HEADS[task.head]


def _model(module: nn.Module, tokens: Any, identity: str, task: Task, name: str | None) -> Model:
    config: Any = module.config
    check_type(config, task.head)
    if task.head == "classification":
        _check_classifier(config)
    facts = {
        "name": name,
        "model_type": config.model_type,
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
    }
    prepared = task.prepare_model(module) if isinstance(task, PreparesModel) else module
    classes = None
    if task.head == "classification":
        classes = tuple(str(config.id2label[index]) for index in range(config.num_labels))
    return Model(prepared, tokens, identity, longest(module, tokens), classes, facts)


def _check_classifier(config: Any) -> None:
    """Raise ValueError for a head whose outputs are no classes, or are not named."""
    if not getattr(config, "return_dict", True):
        raise ValueError("the model's configuration says return_dict=False: set model.config.return_dict = True")
    if config.problem_type == "regression" or config.num_labels < 2:
        raise ValueError(
            f"the model's head is a regression (problem_type {config.problem_type}, {config.num_labels} output"
            f"{'s' * (config.num_labels != 1)}), and Assay explains classes: {REMEDY}"
        )
    if sorted(config.id2label) != list(range(config.num_labels)):
        raise ValueError(
            f"id2label in config.json numbers the classes {', '.join(map(str, sorted(config.id2label)))}, and the "
            f"model numbers them 0 to {config.num_labels - 1}: correct config.json"
        )


def _config(folder: Path) -> Any:
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the library raises many kinds of errors for a user's files
        raise ValueError(
            f"{folder / 'config.json'} cannot be read ({type(error).__name__}: {_short(error)}): {REMEDY}"
        ) from error


def _loaded(folder: Path, head: Any, config: Any) -> tuple[Any, Any]:
    """Model and tokenizer from a folder; a head that would be randomly initialised is refused."""
    config.return_dict = True  # whatever the file says: results are read by name
    try:
        module, report = head.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            attn_implementation="eager",
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")  # Marian reads without it
            tokens = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except ImportError as error:
        raise ValueError(
            f"{folder} needs a package that is not installed: {_short(error)}. Install it (sentencepiece or tiktoken "
            "for most tokenizers), or save the model with a fast tokenizer (tokenizer.json)"
        ) from error
    except Exception as error:  # the library raises many kinds of errors for a user's files
        raise ValueError(
            f"{folder} cannot be loaded as {head.__name__} ({type(error).__name__}: {_short(error)}): {REMEDY}"
        ) from error
    missing = sorted(report["missing_keys"])
    mismatched = sorted(str(key) for key in report.get("mismatched_keys", []))
    if missing or mismatched:
        raise ValueError(
            f"{folder} has no weights of the right shape for {', '.join([*missing, *mismatched][:4])}, which would be "
            f"random numbers: {REMEDY}"
        )
    harmless = BUFFERS if head is AutoModelForSeq2SeqLM else UNUSED
    unused = sorted(key for key in report["unexpected_keys"] if not any(re.search(one, key) for one in harmless))
    if unused:
        raise ValueError(
            f"{folder} has weights that {head.__name__} leaves unused ({', '.join(unused[:4])}"
            f"{', ...' if len(unused) > 4 else ''}), so it would be another model than the one that was trained: check "
            "config.json, merge adapters such as LoRA into the model, or take the transformers version it was made with"
        )
    if not tokens.is_fast and head is not AutoModelForSeq2SeqLM:  # Marian's is slow
        raise ValueError(f"{folder} has no fast tokenizer (tokenizer.json), which says where words begin: {REMEDY}")
    return module, tokens


def longest(module: nn.Module, tokens: Any) -> int | None:
    """The maximum number of tokens of the model, special tokens included; None for any number."""
    config: Any = module.config
    limits = [getattr(config, "max_position_embeddings", None), tokens.model_max_length]
    if limits[0] is not None:
        limits[0] -= first_position(module)
    limits = [limit for limit in limits if limit is not None and 0 < limit < 10**9]
    return min(limits, default=None)


def _short(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")[:300]
