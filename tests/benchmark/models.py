"""Trained models with a batch of real sentences each, for timing."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import transformers

from harness.batch import Batch, Example, Role, collate
from harness.progress import bar
from tasks.agreement.agreement import Agreement
from tasks.agreement.agreement_transformer import AgreementTransformer
from tasks.agreement.training import Training
from tests.conftest import SHARED


@dataclass(frozen=True)
class Subject:
    """A model and a batch of its task's sentences."""

    name: str
    module: torch.nn.Module
    batch: Batch


def agreement(examples: int) -> Subject:
    """The model of `make table`, trained now unless it is in the cache."""
    task = Agreement()
    with bar("training", "steps") as progress:
        model = AgreementTransformer(training=Training(epochs=1, batch=32), threads=1)(task, progress)
    chosen = task.examples(model)[:examples]
    return Subject("agreement", model.module, collate(chosen, "all", {"unk": 3, "mask": None, "pad": 0}))


def sst2(examples: int = 16) -> Subject | None:
    """The trained DistilBERT beside the project, on SST-2's development sentences; None where it is absent."""
    folder, sentences = SHARED / "checkpoints" / "distilbert-minilm-sst2", SHARED / "data" / "sst2" / "dev.tsv"
    if not folder.exists() or not sentences.exists():
        return None
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    module = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    chosen = []
    for number, line in enumerate(sentences.read_text().splitlines()[1 : examples + 1]):
        ids = tokenizer(line.split("\t")[0])["input_ids"]
        roles = [Role.CLS, *[Role.CONTENT] * (len(ids) - 2), Role.FINAL]
        chosen.append(Example(str(number), ids, roles, 0, int(line.split("\t")[1])))
    blanks = {"unk": tokenizer.unk_token_id, "mask": tokenizer.mask_token_id, "pad": tokenizer.pad_token_id}
    return Subject("DistilBERT, 384 wide, SST-2", module.eval().requires_grad_(False), collate(chosen, "all", blanks))


def subjects() -> Iterator[Subject]:
    """Each model that is here."""
    yield agreement(128)
    if (real := sst2()) is not None:
        yield real
