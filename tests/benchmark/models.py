"""Trained models with a batch of real sentences each, for timing."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from harness.cli.progress import bar
from harness.tracing.batch import Batch, collate
from tasks.agreement.agreement import Agreement
from tasks.agreement.agreement_transformer import AgreementTransformer
from tasks.agreement.training import Training
from tasks.classification import Classification
from tasks.pretrained import Pretrained
from tests.conftest import SHARED


@dataclass(frozen=True)
class Subject:
    """A model and a batch of its task's sentences."""

    name: str
    module: torch.nn.Module
    batch: Batch


def agreement(examples: int) -> Subject:
    """The model of `make table`, trained now unless it is cached."""
    task = Agreement()
    with bar("training", "steps") as progress:
        model = AgreementTransformer(training=Training(epochs=1, batch=32), threads=1)(task, progress)
    chosen = task.examples(model)[:examples]
    return Subject("agreement", model.module, collate(chosen, "all", model.blank_ids))


def sst2(examples: int = 16) -> Subject | None:
    """The trained DistilBERT from the shared folder, on SST-2's development sentences; None if it is absent."""
    folder, sentences = SHARED / "checkpoints" / "distilbert-minilm-sst2", SHARED / "data" / "sst2"
    if not folder.exists() or not sentences.exists():
        return None
    task = Classification(["negative", "positive"], path=str(sentences), text="sentence", shuffle=False)
    model = Pretrained(path=str(folder))(task, lambda done, total, note: None)
    chosen = task.examples(model)[:examples]
    return Subject("DistilBERT, 384 wide, SST-2", model.module, collate(chosen, "all", model.blank_ids))


def subjects() -> Iterator[Subject]:
    """Every model that is available."""
    yield agreement(128)
    if (real := sst2()) is not None:
        yield real
