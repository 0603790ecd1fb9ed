"""One experiment: load the data and the model, explain, conclude; it can be stopped and resumed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from uuid import uuid4

import pandas as pd
import torch

from harness.cli.chosen_examples import check_examples, clustered, limited, sharded
from harness.cli.conclusion import complete, explain_batches, misjudged
from harness.cli.errors import CellsFailedError, Stopped, print_warning
from harness.cli.interruptions import stoppable
from harness.cli.loaded import Loaded
from harness.cli.observed import noticed, timed
from harness.cli.progress import SCREEN, bar
from harness.cli.record import Record, counted, head_size, recorded
from harness.cli.settings import Settings, check_pairs
from harness.contracts import Source, Task
from harness.measure import processor
from harness.measure.methods import Methods, able
from harness.measure.protocol import EvaluationProtocol
from harness.measure.swaps import with_swaps
from harness.report import write
from harness.results.ownership import owned
from harness.results.provenance import code_digest, peak_memory, surroundings
from harness.results.run_folder import RunFolder
from harness.results.shell import argument
from harness.tables import METHOD_GROUPS, Costs, Manifest, RecordedProtocol
from harness.tracing.calls import exclusive_classes


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
            Stopped: on Ctrl-C, SIGTERM or SIGUSR2; the folder then holds the finished batches.
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
            pictured = self.settings.pictured if self.settings.figures else None
            write.write_runs([tables], folder.path, pictured, html=self.settings.html)
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

    def load(self) -> Loaded:
        """Read the data, load or train the model, and choose the methods that can serve it."""
        phases: dict[str, float] = {}
        protocol = self.protocol.of(self.task)
        with noticed() as caught:
            loaded = self._load(phases, protocol)
        for text in sorted(caught):
            print_warning(text)
        return replace(loaded, manifest=replace(loaded.manifest, warnings=sorted(caught)))

    def _load(self, phases: dict[str, float], protocol: EvaluationProtocol) -> Loaded:
        with timed(phases, "data"):
            digest = self.task.digest
        with timed(phases, "model"), bar("training", "steps") as progress:
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
        return Loaded(self.task, self.settings, model, examples, methods, protocol, manifest)

    @property
    def _measured(self) -> list[object]:
        """The objects on whose code the numbers depend."""
        methods = self.methods
        named = (methods.explainers, methods.references, methods.metrics)
        return [self.task, self.source, *(method for group in named for method in group.values())]


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
