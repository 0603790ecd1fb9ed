"""One experiment: load the data and the model, explain, conclude; it can be stopped and resumed."""

import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any
from uuid import uuid4

import pandas as pd
import torch

from harness.cli.chosen_examples import check_examples, clustered, limited, sharded
from harness.cli.errors import CellsFailedError, Stopped, Terminated, print_warning
from harness.cli.progress import SCREEN, bar
from harness.cli.record import Record, counted, head_size, recorded
from harness.cli.settings import Settings, check_pairs
from harness.contracts import Model, Source, Task
from harness.measure import processor
from harness.measure.evaluate import evaluate_batches
from harness.measure.maps import maps
from harness.measure.methods import Methods, able
from harness.measure.protocol import EvaluationProtocol
from harness.measure.swaps import with_swaps
from harness.report import write
from harness.report.run_tables import RunTables
from harness.results.ownership import owned
from harness.results.provenance import code_digest, peak_memory, surroundings
from harness.results.run_folder import RunFolder
from harness.results.shell import argument
from harness.statistics.accuracy import below_chance
from harness.tables import METHOD_GROUPS, NO_GOLD, STORED, Costs, Manifest, Part, RecordedProtocol
from harness.tracing.batch import Example, pack
from harness.tracing.calls import exclusive_classes
from harness.tracing.notices import Inexact, Notice, RoundingNoise


@dataclass(frozen=True)
class Experiment:
    """A task and the source of a model, crossed with methods.

    Args:
        config: the whole configuration, for the manifest.
        overrides: what was typed on the command line.
        config_dir: a folder of further configuration files, where one was given.
    """

    task: Task
    source: Source
    methods: Methods
    protocol: EvaluationProtocol
    settings: Settings
    config: Mapping[str, Any] = field(default_factory=dict)
    overrides: Sequence[str] = ()
    config_dir: str | None = None

    def __post_init__(self):
        for group in ("explainers", "references"):
            if not getattr(self.methods, group):
                raise ValueError(
                    f"no {group} chosen: give at least one, '{group}=[...]'; assay list {group} shows them"
                )
        check_pairs(self.settings.pairs, self.methods.explainers)

    def run(self, folder: RunFolder, resume: bool = False) -> None:
        """Fill the run folder, write its report, and print it.

        The folder is this process's own from before the data are read until the end.

        Raises:
            CellsFailedError: after everything else is computed and printed.
            Stopped: on Ctrl-C or SIGTERM; the folder then holds the finished batches.
            ValueError: the data, the model or the folder do not fit what was asked for, or another process is at work
                in the folder.
            OSError: the folder cannot be written any more; it then holds the finished batches.
        """
        with owned(folder.path), stoppable(), processor.settings(self.settings.threads):
            self._run(folder, resume)

    def _run(self, folder: RunFolder, resume: bool) -> None:
        again = f"continue with assay {argument('resume', folder.path)}"
        if not resume and folder.holds_a_run:
            raise ValueError(
                f"{folder.path} holds a run already: {again}, or choose another folder with hydra.run.dir=<folder>"
            )
        folder.open()
        record = Record(folder)
        record.claim(self.planned, resume)
        try:
            loaded = self.load()
            record.begin(loaded.manifest)
        except KeyboardInterrupt as interrupt:
            record.stop()
            raise Stopped(f"stopped before anything was explained: {again}") from interrupt
        except Exception:
            record.withdraw()
            raise
        try:
            stopped = None if folder.merged else explain_batches(loaded, record)
            tables = complete(loaded, record, stopped is not None)
            write.write_runs([tables], folder.path, self.settings.pictured if self.settings.figures else None)
        except OSError as error:
            raise OSError(
                f"{folder.path} cannot be written any more ({error.strerror or error}); finished batches are saved: "
                f"free some space or bring the folder back, then {again}"
            ) from error
        if stopped is not None:
            raise Stopped(f"stopped; finished batches are saved: {again}") from stopped
        if record.manifest.counts is not None and record.manifest.counts.failed:
            raise CellsFailedError(
                f"{record.manifest.counts.failed} rows failed: the errors are listed under the table and in "
                f"{folder.path}/rows.parquet, column error"
            )

    @property
    def planned(self) -> Manifest:
        """The manifest before data and model are loaded."""
        return Manifest(
            run=uuid4().hex,
            status="running",
            task=self.settings.task,
            model_name=self.settings.model,
            seed=self.settings.seed,
            shard=self.settings.shard,
            config=dict(self.config),
            overrides=list(self.overrides),
            config_dir=self.config_dir,
        )

    def load(self) -> "Loaded":
        """Read the data, load or train the model, and choose the methods that can serve it."""
        phases: dict[str, float] = {}
        protocol = self.protocol.of(self.task)
        with noticed() as caught:
            loaded = self._load(phases, protocol)
        for text in sorted(caught):
            print_warning(text)
        return replace(loaded, manifest=replace(loaded.manifest, warnings=sorted(caught)))

    def _load(self, phases: dict[str, float], protocol: EvaluationProtocol) -> "Loaded":
        with _timed(phases, "data"):
            digest = self.task.digest
        with _timed(phases, "model"), bar("training", "steps") as progress:
            model = self.source(self.task, progress)
        model.module.to(self.settings.device, getattr(torch, self.settings.dtype))
        every = clustered(self.task.examples(model))
        examples = sharded(limited(every, self.settings.limit), *self.settings.shard_of)
        examples = with_swaps(examples, every, self.settings.swaps)
        protocol = protocol.on(model)
        check_examples(examples, model)
        methods, left_out = self.methods.serving(model.module)
        methods, refused = able(methods, protocol, model, examples, self.task.classes, self.settings.device)
        left_out |= refused
        for name, reason in left_out.items():
            text = f"left out: {name} cannot serve this model: {reason}"
            SCREEN.print(text, style="yellow", highlight=False, markup=False, soft_wrap=True)
        manifest = replace(
            self.planned,
            task_version=self.task.version,
            protocol=RecordedProtocol(**asdict(protocol)),
            data=digest,
            model=model.identity,
            code=code_digest(self._measured),
            **{group: recorded(getattr(self.methods, group)) for group in METHOD_GROUPS},
            left_out=left_out,
            classes=list(self.task.classes),
            exclusive_classes=exclusive_classes(model.module),
            causal=model.causal,
            examples=len(examples),
            facts=dict(model.facts),
            data_facts=dict(self.task.facts),
            head_size=head_size(model),
            phases=phases,
            **surroundings(),
        )
        return Loaded(self, model, examples, methods, protocol, manifest)

    @property
    def _measured(self) -> list[object]:
        """The objects on whose code the numbers depend."""
        methods = self.methods
        named = (methods.explainers, methods.references, methods.metrics)
        return [self.task, self.source, *(method for group in named for method in group.values())]


@dataclass(frozen=True)
class Loaded:
    """An experiment with its model and its examples.

    Args:
        methods: those that can serve the model.
        protocol: with the task's own output where none was chosen.
        manifest: its state before the first batch.
    """

    experiment: Experiment
    model: Model
    examples: Sequence[Example]
    methods: Methods
    protocol: EvaluationProtocol
    manifest: Manifest

    @cached_property
    def run_columns(self) -> dict[str, str | int]:
        """The columns of rows and metrics that are the same throughout the run."""
        return {"task": self.manifest.task, "model": self.manifest.model_name, "seed": self.manifest.seed}

    @cached_property
    def batches(self) -> dict[int, list[str]]:
        """The ids of each batch's examples, by the number of its part."""
        groups = pack([len(example.input_ids) for example in self.examples], self.protocol.token_budget)
        return {number: [self.examples[index].id for index in group] for number, group in enumerate(groups)}

    def parts(self, done: Mapping[int, int]) -> Iterator[Part]:
        """Explain all batches except those `done` (the number of examples in each), showing progress."""
        before, total = sum(done.values()), len(self.examples)
        with bar("explaining", "examples") as progress:

            def working(method: str, share: float) -> None:
                progress(before + int(share * (total - before)), total, method)

            working("", 0.0)
            parts = evaluate_batches(
                self.examples,
                self.model,
                self.methods.explainers,
                self.methods.references,
                self.protocol,
                self.methods.metrics,
                self.experiment.task.classes,
                self.experiment.settings.device,
                done=set(done),
                working=working,
            )
            yield from parts
            progress(total, total, "")

    def whole(self, parts: Sequence[Part]) -> dict[str, pd.DataFrame]:
        """All parts as one table of each kind, as a run folder would hold them."""
        rank = {example.id: index for index, example in enumerate(self.examples)}
        tables = {}
        for name, schema in STORED.items():
            table: pd.DataFrame = pd.concat([getattr(part, name) for part in parts], ignore_index=True)
            if "task" in schema.columns:
                table = table.assign(**self.run_columns)[list(schema.columns)]
            table = table.sort_values("example", key=lambda column: column.map(rank), kind="stable")
            tables[name] = schema.check(table.reset_index(drop=True))
        return tables


def explain_batches(loaded: Loaded, record: Record) -> KeyboardInterrupt | None:
    """Write a part for each batch that has none yet; what cut it short, if anything did."""
    folder, stopped = record.folder, None
    folder.parts.keep(loaded.batches)
    record.earlier = sum(folder.finished().values())
    for problem in folder.problems:
        print_warning(problem)
    with noticed() as caught:
        try:
            for part in loaded.parts(folder.finished()):
                folder.write_part(part, loaded.run_columns)
        except KeyboardInterrupt as interrupt:
            stopped = interrupt
    status = record.manifest.status if stopped is None else "stopped"  # at once: a second signal may kill the process
    record.change(
        status=status, costs=folder.costs(), warnings=sorted({*record.manifest.warnings, *caught, *folder.problems})
    )
    if stopped is not None and not folder.finished():
        raise Stopped(
            f"stopped before a batch was finished: start again with assay {argument('resume', folder.path)}"
        ) from stopped
    return stopped


def complete(loaded: Loaded, record: Record, stopped: bool) -> RunTables:
    """Make one file of each table, keep the maps, and complete the manifest; returns the run's tables."""
    folder, phases, warned = record.folder, dict(record.manifest.phases), list(record.manifest.warnings)
    settings, tables = loaded.experiment.settings, None
    if not stopped and not folder.merged:
        with _timed(phases, "merge"):
            tables = folder.merge([example.id for example in loaded.examples])
    if settings.maps and not stopped:
        with _timed(phases, "maps"):
            chosen, explainers = loaded.examples[: settings.maps], loaded.methods.explainers
            classes = loaded.experiment.task.classes
            table, failed = maps(chosen, loaded.model, explainers, loaded.protocol, classes, settings.device)
            folder.write_maps(table)
        warned += [f"no maps of {name}: {why}" for name, why in failed.items()]
    tables = tables or {name: folder.table(name) for name in STORED}
    record.change(
        status="stopped" if stopped else "complete",
        phases=phases,
        peak_memory_mib=round(peak_memory()),
        warnings=list(dict.fromkeys([*warned, *misjudged(record.manifest, tables["examples"])])),
        counts=counted(tables, record.earlier),
    )
    return RunTables(folder, tables)


def misjudged(manifest: Manifest, examples: pd.DataFrame) -> list[str]:
    """A sentence where the model is right less often than guessing would be."""
    known = examples[(examples["gold"] != NO_GOLD) & (examples["predicted"] != NO_GOLD)]
    correct, classes = int((known["predicted"] == known["gold"]).sum()), len(manifest.classes)
    if not (manifest.exclusive_classes and classes > 1 and below_chance(correct, len(known), classes)):
        return []
    text = (
        f"the model is right on {correct} of {len(known)} explained examples, significantly less than chance: the "
        "data's classes are probably in another order than the model's. Check task.labels and task.values"
    )
    print_warning(text, style="bold red")
    return [text]


def in_memory(experiment: Experiment) -> tuple[Manifest, dict[str, pd.DataFrame]]:
    """The manifest and the tables that a run folder would hold, without one."""
    with processor.settings(experiment.settings.threads):
        loaded = experiment.load()
        with noticed() as caught:
            parts = list(loaded.parts({}))
    tables = loaded.whole(parts)
    manifest = replace(
        loaded.manifest,
        status="complete",
        costs=sum((part.costs for part in parts), start=Costs()),
        peak_memory_mib=round(peak_memory()),
        warnings=[*loaded.manifest.warnings, *sorted(caught), *misjudged(loaded.manifest, tables["examples"])],
        counts=counted(tables),
    )
    return manifest, tables


@contextmanager
def stoppable() -> Iterator[None]:
    """Make SIGTERM, with which clusters end a job, stop what is inside as Ctrl-C does; further ones are ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def noticed() -> Iterator[set[str]]:
    """The texts of Assay's own warnings inside; others stay silent. Complete once this is left."""
    texts: set[str] = set()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        for category in (RoundingNoise, Inexact, Notice):
            warnings.simplefilter("always", category)
        try:
            yield texts
        finally:
            texts.update(str(warning.message) for warning in caught)


@contextmanager
def _timed(phases: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    phases[name] = phases.get(name, 0.0) + time.perf_counter() - start
