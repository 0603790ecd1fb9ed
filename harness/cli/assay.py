"""The command `assay`: from a configuration to a run folder and its tables. The only file that imports hydra."""

import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import conf
from harness.cli import sweep
from harness.cli.errors import CellsFailedError, account, complain
from harness.cli.experiment import Experiment, Settings
from harness.cli.progress import SCREEN
from harness.measure.evaluate import Protocol
from harness.results.run_folder import RunFolder

OmegaConf.register_new_resolver("run_folder", lambda resume, fresh: resume or fresh, replace=True)


def main() -> None:
    """Run the command line; an error is one sentence and a non-zero exit."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra hands its errors over instead of printing them
    Sweep.folder = None
    status = 0
    try:
        sys.argv[1:] = with_additions(with_stored_overrides(sys.argv[1:]))
        offer_all()
        # Not as a decorator: other processes find the function by its name, which must not be that of a wrapped one
        hydra.main(version_base="1.3", config_path="pkg://conf", config_name="config")(job)()
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, KeyboardInterrupt) and Sweep.folder is not None:
            error = sweep.stopped(Sweep.folder)
        status = complain(error)
    if Sweep.folder is not None and status != 130:  # not in a callback, where Hydra swallows errors
        try:
            sweep.conclude(Sweep.folder, told)
        except (Exception, KeyboardInterrupt) as error:
            status = complain(error)
    if status:
        sys.exit(status)


class Sweep(Callback):
    """Knows in the process that started a sweep where its jobs go."""

    folder: ClassVar[Path | None] = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse a folder that holds runs already; let submitit outlive a job that is killed."""
        folder = Path(config.hydra.sweep.dir)
        if any(folder.glob("*/manifest.json")):
            error = ValueError(
                f"{folder} holds runs already: go on with one by resume={folder}/<number>, "
                "or choose another folder for the sweep with hydra.sweep.dir=<folder>"
            )
            sys.exit(complain(error))
        if "submitit" in config.hydra.launcher._target_:
            outlive_killed_jobs()
        SCREEN.print(f"sweep: job by job into {folder}/0, 1, ...", highlight=False, soft_wrap=True)
        Sweep.folder = folder


def outlive_killed_jobs() -> None:
    """Have submitit hand over nothing for a job that was killed: by itself it would raise, and leave the rest alone."""
    from submitit import Job  # of the extra `sweep`
    from submitit.core.utils import FailedJobError, UncompletedJobError

    results = Job.results
    if results.__name__ == "kept":
        return

    def kept(job: Any) -> list[Any]:
        try:
            return results(job)
        except (FailedJobError, UncompletedJobError):  # sweep.conclude finds it by its unfinished folder
            return [JobReturn(status=JobStatus.COMPLETED)]

    Job.results = kept  # pyright: ignore


def offer_all() -> None:
    """Make `explainers=all`, `references=all` and `metrics=all` mean every file of the group's folder."""
    for group in ("explainers", "references", "metrics"):
        names = sorted(path.stem for path in (Path(conf.__file__).parent / group).glob("*.yaml"))
        ConfigStore.instance().store(group=group, name="all", node={"defaults": names})


def with_stored_overrides(arguments: Sequence[str]) -> list[str]:
    """`resume=<folder>` alone means: with the overrides that the run was started with."""
    if len(arguments) != 1 or not arguments[0].startswith("resume="):
        return list(arguments)
    folder = Path(arguments[0].removeprefix("resume=")).expanduser()
    return [*RunFolder(folder).manifest["overrides"], *arguments]


def with_additions(arguments: Sequence[str]) -> list[str]:
    """`explainers=[a]` and `+explainers=[b]` in one command mean both; Hydra alone would silently drop b."""
    folded = list(arguments)
    for group in ("explainers", "references", "metrics"):
        chosen = [index for index, argument in enumerate(folded) if argument.startswith(f"{group}=")]
        added = [index for index, argument in enumerate(folded) if argument.startswith(f"+{group}=")]
        if len(chosen) == 1 and added:
            names = [
                name for index in (chosen[0], *added) for name in folded[index].split("=", 1)[1].strip("[]").split(",")
            ]
            folded[chosen[0]] = f"{group}=[{','.join(names)}]"
            folded = [argument for index, argument in enumerate(folded) if index not in added]
    return folded


def job(cfg: DictConfig) -> None:
    """One task and one model, all chosen methods."""
    running = HydraConfig.get()
    try:
        conduct(cfg)
    except KeyboardInterrupt as error:
        if running.mode == RunMode.MULTIRUN:
            raise  # to the process that started the sweep, which is to stop
        sys.exit(complain(error))
    except Exception as error:
        if running.mode != RunMode.MULTIRUN:
            sys.exit(complain(error))  # before Hydra prints its own account of it
        message = account(error)
        SCREEN.print(
            f"assay: job {running.job.num}: {message}", style="red", highlight=False, markup=False, soft_wrap=True
        )
        if not isinstance(error, CellsFailedError):
            place = Path(running.runtime.output_dir)
            sweep.record_failure(RunFolder(place), told(place), message)


def told(folder: Path) -> dict[str, Any]:
    """What a job was to do, from the files that Hydra writes before it begins."""
    hydra_node, config = (OmegaConf.load(folder / ".hydra" / name) for name in ("hydra.yaml", "config.yaml"))
    try:
        whole: Any = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException:  # the job may have failed in just this
        whole = OmegaConf.to_container(config)
    whole.pop("resume", None)
    chosen = OmegaConf.select(hydra_node, "hydra.runtime.choices")
    return {
        "task": chosen["task"],
        "model_name": model_name(chosen["model"], whole["model"]),
        "seed": whole.get("seed"),
        "shard": whole.get("shard"),
        "config": whole,
        "overrides": list(OmegaConf.load(folder / ".hydra" / "overrides.yaml")),
    }


def model_name(choice: str, settings: Any) -> str:
    """What tables call a model: its folder's name or its own where the configuration's would mislead."""
    if settings.get("path"):
        return Path(settings["path"]).expanduser().resolve().name
    return (settings.get("name") or choice) if choice == "pretrained" else choice


def conduct(cfg: DictConfig) -> None:
    """Build what the configuration names, and run it."""
    running = HydraConfig.get()
    config = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(config, dict)
    config.pop("resume")
    folder = RunFolder(Path(running.runtime.output_dir))
    resume = cfg.resume is not None and not sweep.forget_failure(folder)
    experiment = Experiment(
        task=instantiate(cfg.task),
        source=instantiate(cfg.model),
        # one by one: instantiating the group as a whole would turn the dataclasses back into configurations
        explainers={name: instantiate(method) for name, method in (cfg.get("explainers") or {}).items()},
        references={name: instantiate(method) for name, method in (cfg.get("references") or {}).items()},
        metrics={name: instantiate(metric) for name, metric in (cfg.get("metrics") or {}).items()},
        protocol=Protocol(cfg.target, cfg.output or "task", cfg.include, cfg.ranks, cfg.token_budget),
        settings=Settings(
            task=running.runtime.choices["task"],
            model=model_name(running.runtime.choices["model"], config["model"]),
            seed=cfg.seed,
            limit=cfg.limit,
            shard=cfg.shard,
            dtype=cfg.dtype,
            device=cfg.device,
            threads=threads(cfg.threads, running),
            maps=cfg.maps,
            figures=cfg.figures,
            pictured=cfg.pictured,
            pairs=config["pairs"],
        ),
        config={str(key): value for key, value in config.items()},
        overrides=[override for override in running.overrides.task if not override.startswith("resume=")],
    )
    with warnings.catch_warnings():  # Captum, transformers and torch warn of what a user cannot mend
        warnings.simplefilter("ignore")
        experiment.conduct(folder, resume)


def threads(wanted: Any, running: Any) -> int | None:
    """Processor threads of a job: those of the configuration, or its share of the cores; None for all.

    Jobs that run beside each other would otherwise each take all cores. joblib runs `n_jobs` at once (-1: one on every
    core). A job of submitit has `cpus_per_task`, on Slurm as granted; where none are asked for it gets one, since
    submitit_local starts all jobs of the sweep at once.
    """
    if wanted is not None or running.mode != RunMode.MULTIRUN:
        return wanted
    cores, launcher = len(os.sched_getaffinity(0)), running.launcher
    if "joblib" in launcher["_target_"]:
        n_jobs = launcher.get("n_jobs") or 1
        return max(1, cores // (n_jobs if n_jobs > 0 else max(1, cores + 1 + n_jobs)))
    if "submitit" in launcher["_target_"]:
        granted = os.environ.get("SLURM_CPUS_PER_TASK") or launcher.get("cpus_per_task") or 1
        return min(cores, int(granted))
    return None
