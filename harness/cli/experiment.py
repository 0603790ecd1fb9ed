"""One experiment: load or train, explain, correlate, write down; can be stopped and gone on with."""

import os
import re
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numba
import torch
import transformers
from threadpoolctl import threadpool_limits
from torch import nn

from harness import check
from harness.cli.errors import CellsFailedError, Stopped
from harness.cli.progress import SCREEN, bar
from harness.contracts import Explainer, Metric, Model, Reference, Source, Task
from harness.measure.evaluate import Protocol, evaluate
from harness.measure.maps import maps
from harness.report import write
from harness.report.layouts.costs import GROUPS, source_of
from harness.results.provenance import code_digest, peak_memory, provenance
from harness.results.run_folder import MUST_MATCH, RunFolder
from harness.statistics.pairs import check_pairs
from harness.tracing.batch import Example
from harness.tracing.model_parts import layer_parts
from harness.tracing.run import Inexact, RoundingNoise

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Settings:
    """What a run is called and where it runs.

    Args:
        limit: explain at most so many test examples (a whole number), or such a share (below 1.0); None for all.
        shard: `2/8` explains every eighth of them from the second on; None for all.
        threads: processor threads of torch and numba; None for all cores.
        maps: of so many of the first examples, keep the scores from every position.
        figures: whether to draw figures.
        pictured: so many of the first examples are drawn one by one.
        pairs: explainers to be held against each other, two names each.
    """

    task: str
    model: str
    seed: int = 0
    limit: int | float | None = None
    shard: str | None = None
    dtype: str = "float32"
    device: str = "cpu"
    threads: int | None = None
    maps: int = 0
    figures: bool = True
    pictured: int = 3
    pairs: Sequence[Sequence[str]] = ()

    def __post_init__(self):
        for name in ("seed", "maps", "pictured"):
            check.count(name, getattr(self, name), low=0)
        check.choice("dtype", self.dtype, tuple(DTYPES))
        if self.threads is not None:
            check.count("threads", self.threads)
        if isinstance(self.limit, float):
            if not 0 < self.limit < 1:
                raise ValueError(
                    f"limit is a whole number of examples or a share below 1.0, got {self.limit}: "
                    "leave it out for all examples"
                )
        elif self.limit is not None:
            check.count("limit", self.limit)
        self.shard_of  # noqa: B018  checked at once
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f"device={self.device} cannot be used here ({error}): set device=cpu") from error

    @property
    def shard_of(self) -> tuple[int, int]:
        """Which shard, from 1, and of how many; ValueError for anything else."""
        if self.shard is None:
            return 1, 1
        match = re.fullmatch(r"(\d+)/(\d+)", str(self.shard))
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise ValueError(f"shard is k/n with k from 1 to n, as in shard=2/8, got {self.shard!r}")
        return int(match[1]), int(match[2])


@dataclass(frozen=True)
class Experiment:
    """A task and a source of a model, crossed with explainers and references."""

    task: Task
    source: Source
    explainers: Mapping[str, Explainer]
    references: Mapping[str, Reference]
    metrics: Mapping[str, Metric]
    protocol: Protocol
    settings: Settings
    config: Mapping[str, Any] = field(default_factory=dict)
    overrides: Sequence[str] = ()

    def __post_init__(self):
        for group in ("explainers", "references"):
            if not getattr(self, group):
                raise ValueError(f"no {group} chosen: give at least one, '{group}=[...]'; assay --help lists them")
        check_pairs(self.settings.pairs, self.explainers)

    def conduct(self, folder: RunFolder, resume: bool = False) -> None:
        """Fill the run folder and show its tables.

        Raises:
            CellsFailedError: after everything else is computed and shown.
            Stopped: on Ctrl-C while explaining; the folder then holds the rows so far.
            ValueError: the data, the model or the folder do not fit what was asked for.
        """
        if not resume and folder.holds_a_run:
            raise ValueError(
                f"{folder.path} holds a run already: go on with it by resume={folder.path}, "
                "or choose another with hydra.run.dir=<folder>"
            )
        folder.open()
        protocol = self.protocol.of(self.task)
        seconds: dict[str, float] = defaultdict(float)
        threads = self.settings.threads or len(os.sched_getaffinity(0))
        torch.set_num_threads(threads)
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # pyright: ignore
        threadpool_limits(
            1, "blas"
        )  # of numpy and scipy: their matrices are small here, and waiting threads take a core
        transformers.utils.logging.set_verbosity_error()

        with _timed(seconds, "data"):
            digest = self.task.digest
        with _timed(seconds, "model"), bar("training", "steps") as progress:
            model = self.source(self.task, progress)
        model.module.to(self.settings.device, DTYPES[self.settings.dtype])
        examples = limited(self.task.examples(model), self.settings.limit)
        shard, shards = self.settings.shard_of
        examples = examples[shard - 1 :: shards]
        check_examples(examples, model)
        served, left_out = self._served(model)
        manifest = self._manifest(digest, model, examples, protocol) | {"left_out": left_out}
        if resume:
            _check_same(folder, manifest)
            if folder.merged:
                seconds.update(folder.manifest["seconds"])
                manifest["costs"] = folder.manifest["costs"]
        folder.write_manifest(manifest)

        before = len(examples) if folder.merged else sum(folder.finished().values())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            for category in (RoundingNoise, Inexact):
                warnings.simplefilter("always", category)
            stopped = not folder.merged and self._explain(folder, model, examples, protocol, served)
        if not folder.merged:
            costs = folder.costs()
            seconds.update({name: cost.seconds for name, cost in costs.items()})
            manifest["costs"] = {name: asdict(cost) for name, cost in costs.items()}
            manifest["seconds"] = dict(seconds)
        if not stopped and not folder.merged:
            folder.write_manifest(manifest)  # what merging takes apart, should it be the last that this process does
            with _timed(seconds, "merge"):
                folder.merge([example.id for example in examples])
        no_maps: dict[str, str] = {}
        if self.settings.maps and not stopped:
            with _timed(seconds, "maps"):
                chosen, methods = examples[: self.settings.maps], served["explainers"]
                table, no_maps = maps(chosen, model, methods, protocol, self.task.classes, self.settings.device)
                folder.write_maps(table)
        rows: Any = folder.measured()[["example", "status"]]
        manifest |= {
            "status": "stopped" if stopped else "complete",
            "seconds": dict(seconds),
            "peak_memory_mib": round(peak_memory()),
            "warnings": [
                *sorted({str(warning.message) for warning in caught}),
                *(f"no maps of {name}: {why}" for name, why in no_maps.items()),
            ],
            "counts": {
                "examples": rows["example"].nunique(),
                "computed_now": rows["example"].nunique() - before,
                "rows": len(rows),
                "undefined": int((~rows["status"].isin(["ok", "failed"])).sum()),
                "failed": int((rows["status"] == "failed").sum()),
            },
        }
        folder.write_manifest(manifest)
        write.runs([folder.path], folder.path, self.settings.pictured if self.settings.figures else None)
        if stopped:
            raise Stopped(f"stopped; what was computed is kept, and assay resume={folder.path} goes on")
        if manifest["counts"]["failed"]:
            raise CellsFailedError(
                f"{manifest['counts']['failed']} rows failed: what went wrong stands under the table "
                f"and in {folder.path}/rows.parquet, column error"
            )

    def _served(self, model: Model) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """The methods that can serve this model, by group, and why the others cannot; said before the run starts."""
        served, left_out = {}, {}
        for group in ("explainers", "references", "metrics"):
            methods = dict(getattr(self, group))
            for name, method in list(methods.items()):
                try:
                    getattr(method, "check_model", lambda module: None)(model.module)
                except ValueError as error:
                    left_out[name] = str(error)
                    del methods[name]
            served[group] = methods
        for name, reason in left_out.items():
            text = f"left out: {name} cannot serve this model: {reason}"
            SCREEN.print(text, style="yellow", highlight=False, markup=False, soft_wrap=True)
        for group, methods in served.items():
            if not methods and getattr(self, group):
                raise ValueError(f"none of the {group} chosen can serve this model: {'; '.join(left_out.values())}")
        return served, left_out

    def _explain(
        self,
        folder: RunFolder,
        model: Model,
        examples: Sequence[Example],
        protocol: Protocol,
        served: Mapping[str, Mapping[str, Any]],
    ) -> bool:
        """Write a part per batch, but those that are there; True where Ctrl-C cut it short."""
        done = folder.finished()
        names = {"task": self.settings.task, "model": self.settings.model, "seed": self.settings.seed}
        explained = sum(done.values())
        try:
            with bar("explaining", "examples") as progress:
                progress(explained, len(examples), "")
                parts = evaluate(
                    examples,
                    model,
                    served["explainers"],
                    served["references"],
                    protocol,
                    served["metrics"],
                    self.task.classes,
                    self.settings.device,
                    done=set(done),
                    working=lambda method: progress(explained, len(examples), method),
                )
                for part in parts:
                    folder.write_part(part, names)
                    explained += len(part.examples)
                    progress(explained, len(examples), "")
        except KeyboardInterrupt:
            if not folder.finished():
                raise
            return True
        return False

    def _manifest(self, digest: str, model: Model, examples: Sequence[Example], protocol: Protocol) -> dict[str, Any]:
        return {
            "status": "running",
            "task": self.settings.task,
            "task_version": self.task.version,
            "model_name": self.settings.model,
            "seed": self.settings.seed,
            "shard": self.settings.shard,
            "config": dict(self.config),
            "protocol": asdict(protocol),
            "overrides": list(self.overrides),
            "data": digest,
            "data_facts": dict(self.task.facts),
            "model": model.identity,
            "code": code_digest(),
            "explainers": {name: repr(method) for name, method in self.explainers.items()},
            "references": {name: repr(method) for name, method in self.references.items()},
            "metrics": {name: repr(metric) for name, metric in self.metrics.items()},
            "sources": {
                group: {name: source_of(method) for name, method in getattr(self, group).items()} for group in GROUPS
            },
            "classes": list(self.task.classes),
            "examples": len(examples),
            "facts": dict(model.facts),
            "head_size": head_size(model.module),
            "seconds": {},
            "costs": {},
            **provenance(),
        }


def head_size(model: nn.Module) -> int | None:
    """Dimensions of one attention head's values; None for a model whose layers cannot be taken apart."""
    try:
        layer = layer_parts(model)[0]
    except ValueError:
        return None
    return len(layer.value.weight) // layer.heads


def limited(examples: list[Example], limit: int | float | None) -> list[Example]:
    """The first so many, or such a share, of the examples, which stand in random order."""
    if not examples:
        raise ValueError("the task has no test examples: give more data")
    if limit is None:
        return examples
    return examples[: limit if isinstance(limit, int) else max(1, round(limit * len(examples)))]


def check_examples(examples: Sequence[Example], model: Model) -> None:
    """Raise ValueError where two examples have one id, or one is longer than the model takes."""
    if len({example.id for example in examples}) < len(examples):
        raise ValueError("two examples have the same id: the task must drop repeated sentences")
    longest = max(examples, key=lambda example: len(example.input_ids))
    limit = model.longest
    if limit is not None and len(longest.input_ids) > limit:
        too_long = sum(len(example.input_ids) > limit for example in examples)
        raise ValueError(
            f"{too_long} of {len(examples)} examples are longer than the {limit} tokens that the model takes "
            f"(example {longest.id} has {len(longest.input_ids)}): shorten them, by task.truncate=true where the task "
            "has it, or take a model with more positions"
        )


def _check_same(folder: RunFolder, manifest: Mapping[str, Any]) -> None:
    """Raise ValueError where the run to go on with had other config, data, model or code."""
    before = folder.manifest
    differs = [name for name in MUST_MATCH if before[name] != manifest[name]]
    if differs:
        raise ValueError(
            f"the run in {folder.path} cannot be gone on with: its {' and '.join(differs).replace('_', ' ')} "
            f"{'was' if len(differs) == 1 else 'were'} another. Run assay resume={folder.path} alone, on the same "
            "code and data, or start a new run"
        )


@contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[f"phase {phase}"] += time.perf_counter() - start
