"""A small agreement model, trained once for the whole suite, and its traces."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from threadpoolctl import threadpool_limits

from harness.cli import assay as command
from harness.cli import report
from harness.contracts import Model
from harness.tracing.batch import Batch, Example, collate
from harness.tracing.run import Trace
from tasks.agreement.agreement import Agreement
from tasks.agreement.agreement_transformer import AgreementTransformer
from tasks.agreement.grammar import Grammar
from tasks.agreement.training import Training

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("ASSAY_SHARED", ROOT.parent / "shared"))
BLANKS = {"unk": 3, "mask": None, "pad": 0}

# The small model, as command-line overrides and as objects: both have the same content key.
SMALL = [
    "task.grammar.train=6000",
    "task.grammar.validation=200",
    "task.grammar.test=400",
    "model.layers=3",
    "model.heads=4",
    "model.hidden=32",
    "model.training.epochs=3",
    "model.training.batch=32",
    "model.training.learning_rate=0.003",
    "figures=false",  # they have a test of their own
    "threads=1",  # tests already run on all cores
]


@pytest.fixture(scope="session", autouse=True)
def _one_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Models that tests train are kept for the session and shared by its workers."""
    base = tmp_path_factory.getbasetemp()
    cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    before = os.environ.get("ASSAY_CACHE")
    os.environ["ASSAY_CACHE"] = str(cache)
    torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)
    threadpool_limits(1, "blas")
    yield
    if before is None:
        del os.environ["ASSAY_CACHE"]
    else:
        os.environ["ASSAY_CACHE"] = before


@pytest.fixture(scope="session")
def task() -> Agreement:
    return Agreement(grammar=Grammar(train=6000, validation=200, test=400))


@pytest.fixture(scope="session")
def source() -> AgreementTransformer:
    return AgreementTransformer(layers=3, heads=4, hidden=32, training=Training(epochs=3, batch=32, learning_rate=3e-3))


@pytest.fixture(scope="session")
def model(task: Agreement, source: AgreementTransformer, _one_cache: None) -> Model:
    return source(task, lambda done, total, note: None)


@pytest.fixture(scope="session")
def examples(task: Agreement, model: Model) -> list[Example]:
    """Ten sentences of different lengths."""
    by_length = sorted(task.examples(model), key=lambda example: len(example.input_ids))
    return by_length[5::40]


@pytest.fixture
def batch(examples: list[Example]) -> Batch:
    return collate(examples, "all", BLANKS)


@pytest.fixture
def trace(model: Model, batch: Batch) -> Trace:
    return Trace(model.module, batch)


@pytest.fixture
def assay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture):
    """Run `assay` in this process: exit status, standard output, standard error.

    A run goes into the folder `run`, or the one given, unless the arguments say where.
    """
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, folder: str = "run") -> tuple[int, str, str]:
        places = ("resume=", "hydra.run.dir=", "hydra.sweep.dir=", "-m")
        if not any(argument.startswith(places) for argument in arguments):
            arguments = (f"hydra.run.dir={tmp_path / folder}", *arguments)
        return _typed(command.main, ["assay", *arguments], monkeypatch, capsys)

    return call


@pytest.fixture
def assay_report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Run `assay-report` in this process: exit status, standard output, standard error."""
    return lambda *arguments: _typed(report.main, ["assay-report", *arguments], monkeypatch, capsys)


def _typed(
    main: Callable[[], None], typed: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command as a user types it."""
    monkeypatch.setattr(sys, "argv", typed)
    status = 0
    try:
        main()
    except SystemExit as exited:
        status = int(exited.code or 0)
    return status, *capsys.readouterr()


def smollm2() -> Path:
    """The folder of a real causal language model, SmolLM2-135M; the test is skipped where there is none."""
    folder = os.environ.get("ASSAY_SMOLLM2", "")
    if not folder or not Path(folder, "model.safetensors").is_file():
        pytest.skip("no SmolLM2: set ASSAY_SMOLLM2 to the folder of HuggingFaceTB/SmolLM2-135M with its weights")
    return Path(folder)


def shared(*parts: str) -> Path:
    """A file or folder of the shared real data; the test is skipped if it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is absent: set ASSAY_SHARED to the folder of real data")
    return path
