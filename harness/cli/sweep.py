"""The jobs of a sweep: where they go, what is kept of one that failed, and the one leaderboard at the end."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from harness.cli.configuration import model_name, register_resolvers
from harness.cli.errors import JobsFailedError, Stopped, print_error, print_warning
from harness.results.ownership import own_until_the_end, untaken
from harness.results.shell import argument, pasted

if TYPE_CHECKING:
    from harness.tables import Manifest

MANIFEST = "manifest.json"
KILLED = "its process ended before the job did: it was killed, or ran out of memory"


class Sweep(Callback):
    """Makes the folder of a run or a sweep this process's own before anything is written to it.

    Of a sweep, it remembers where the jobs go.
    """

    folder: ClassVar[Path | None] = None
    unbegun: ClassVar[list[str]] = []  # what was typed for jobs that were cancelled while they waited

    def on_run_start(self, config: DictConfig, **kwargs: object) -> None:
        """Own the folder of a run."""
        _own(config.hydra.run)

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        """Own the folder of a sweep, unless it holds runs; let submitit outlive a job that is killed."""
        folder = _own(config.hydra.sweep)
        if any(folder.rglob(MANIFEST)):
            error = ValueError(
                f"{folder} holds runs already: continue one with assay resume=<its folder>, "
                "or choose another folder for the sweep with hydra.sweep.dir=<folder>"
            )
            sys.exit(print_error(error))
        if "submitit" in config.hydra.launcher._target_:
            outlive_killed_jobs()
        print_warning(f"sweep: one job after another into folders of {folder}", style="")
        Sweep.folder = folder


def _own(node: DictConfig) -> Path:
    """The folder of a run or a sweep, owned until this process ends; a name chosen by default is a new folder's."""
    register_resolvers(untaken)  # only now: printing the configuration must not create a folder
    try:
        folder = Path(node.dir)  # kept by the configuration from here on
        own_until_the_end(folder)
    except (ValueError, OSError) as error:
        sys.exit(print_error(error))
    finally:
        register_resolvers()
    return folder


def outlive_killed_jobs() -> None:
    """Let submitit return nothing for a job that was killed: it would raise, and abandon the other jobs."""
    from submitit import Job  # of the extra `sweep`
    from submitit.core.utils import FailedJobError, UncompletedJobError

    results = Job.results
    if results.__name__ == "kept":
        return

    def kept(job: Any) -> list[Any]:
        try:
            return results(job)
        except (FailedJobError, UncompletedJobError):  # `conclude_sweep` finds it by its unfinished folder
            overrides, _, number, *_ = job.submission().args
            if Sweep.folder is not None and not (Sweep.folder / str(number)).is_dir():
                Sweep.unbegun.append(" ".join(pasted(one) for one in overrides))
            return [JobReturn(status=JobStatus.COMPLETED)]

    Job.results = kept  # pyright: ignore


def planned(folder: Path) -> "Manifest":
    """What a job was meant to do, from the files that Hydra writes before it starts."""
    from harness.tables import Manifest  # brings pandas

    hydra_node, config = (OmegaConf.load(folder / ".hydra" / name) for name in ("hydra.yaml", "config.yaml"))
    try:
        whole: Any = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException:  # the job may have failed because of just this
        whole = OmegaConf.to_container(config)
    whole.pop("resume", None)
    chosen = OmegaConf.select(hydra_node, "hydra.runtime.choices")
    return Manifest(
        run=uuid4().hex,
        status="failed",
        task=chosen["task"],
        model_name=model_name(chosen["model"], whole["model"]),
        seed=whole.get("seed"),
        shard=whole.get("shard"),
        config=whole,
        overrides=list(OmegaConf.load(folder / ".hydra" / "overrides.yaml")),
    )


def record_failure(path: Path, error: str) -> None:
    """Record in a job's folder that it failed: in the run's own manifest, or else in one of what it was to do."""
    from harness.results.run_folder import RunFolder

    folder = RunFolder(path)
    manifest = folder.manifest if folder.holds_a_run else planned(path)
    folder.write_manifest(replace(manifest, status="failed", error=error))


def stopped(folder: Path) -> Stopped:
    """The sentence after Ctrl-C in a sweep."""
    return Stopped(
        "the sweep was stopped; finished batches are saved: continue a job with assay resume=<its folder in "
        f"{folder}>, and make the table of what is there with assay-report {pasted(folder)}"
    )


def conclude_sweep(folder: Path) -> None:
    """Write and print the leaderboard of a sweep whose jobs have all ended.

    Raises:
        JobsFailedError: after that, where a job or some rows of it failed.
    """
    from harness.report import write
    from harness.results.pooled import found
    from harness.results.run_folder import RunFolder

    jobs = [RunFolder(path.parent) for path in folder.rglob(".hydra")]
    for job in jobs:
        if not job.holds_a_run or job.manifest.status == "running":
            record_failure(job.path, f"{KILLED}; continue with assay {argument('resume', job.path)}")
    manifests = [RunFolder(path).manifest for path in found([folder])] if jobs else []  # refused before the first job
    if manifests:
        html = any(manifest.config.get("html") is True for manifest in manifests)
        write.write_sweep([folder], folder, html=html)
    for typed in Sweep.unbegun:
        print_warning(f"this job ended before it began: assay {typed}", style="red")
    failed = sum(manifest.status != "complete" for manifest in manifests)
    partly = sum(manifest.counts is not None and manifest.counts.failed > 0 for manifest in manifests)
    if failed or partly or Sweep.unbegun:
        every, unbegun = len(manifests) + len(Sweep.unbegun), len(Sweep.unbegun)
        texts = [f"{failed} of {every} jobs failed"] * bool(failed)
        texts += [f"{unbegun} of {every} jobs did not begin"] * bool(unbegun)
        texts += [f"{partly} of {every} jobs have rows that failed"] * bool(partly)
        raise JobsFailedError(
            f"{' and '.join(texts)}: the errors are listed under the table; repeat a job with "
            f"assay resume=<its folder>, then make the whole table with assay-report {pasted(folder)}"
        )
