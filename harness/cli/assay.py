"""The command `assay`: from a command line to a run folder and its tables."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from harness.cli import help, listing, sweep
from harness.cli.configuration import experiment_of, offer_all, register_resolvers, threads, with_additions
from harness.cli.errors import CellsFailedError, message, print_error, print_warning
from harness.cli.interruptions import requeued
from harness.cli.progress import busy
from harness.cli.resuming import with_stored_overrides
from harness.cli.sweep import Sweep
from harness.results.provenance import elsewhere

# On import, as the processes of a sweep's jobs have no `main`
register_resolvers()
if not {"", str(Path.cwd())} & {*sys.path}:
    sys.path.append(str(Path.cwd()))  # a user's own methods, found by `python -m harness` too


def main() -> None:
    """Run the command line; an error is one sentence and a non-zero exit status."""
    arguments = sys.argv[1:]
    status = 0
    if {"--help", "-h"} & {*arguments}:
        help.print_help()
    elif "--version" in arguments:
        help.print_version()
    elif arguments[:1] == ["list"]:
        status = listing.print_list(arguments[1:])
    else:
        status = run(arguments)
    if status:
        sys.exit(status)


def run(arguments: Sequence[str]) -> int:
    """Run, resume or sweep as the arguments say; the exit status."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra passes its errors on instead of printing them
    Sweep.folder, Sweep.unbegun = None, []
    status = 0
    for sentence in elsewhere():
        print_warning(sentence)
    try:
        sys.argv[1:] = with_additions(with_stored_overrides(arguments))
        offer_all()
        # Not as a decorator: other processes find the function by its name, which must not be that of a wrapped one
        hydra.main(version_base="1.3", config_path="pkg://conf", config_name="config")(job)()
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, KeyboardInterrupt) and Sweep.folder is not None:
            error = sweep.stopped(Sweep.folder)
        status = print_error(error)
    if Sweep.folder is not None and status != 130:  # not in a callback, where Hydra swallows errors
        try:
            sweep.conclude_sweep(Sweep.folder)
        except (Exception, KeyboardInterrupt) as error:
            status = print_error(error)
    return status


def job(cfg: DictConfig) -> None:
    """One task and one model, all chosen methods."""
    running = HydraConfig.get()
    try:
        conduct(cfg)
    except KeyboardInterrupt as error:
        # A scheduler that ends a job may begin it again: without a result, submitit waits for what becomes of it
        if running.mode != RunMode.MULTIRUN or "submitit" in running.launcher._target_:
            sys.exit(print_error(error))
        raise  # to the process that started the sweep, which is to stop
    except Exception as error:
        if running.mode != RunMode.MULTIRUN:
            sys.exit(print_error(error))  # before Hydra prints its own account of it
        text = message(error)
        print_warning(f"assay: job {running.job.num}: {text}", style="red")
        if not isinstance(error, CellsFailedError):
            sweep.record_failure(Path(running.runtime.output_dir), text)


def conduct(cfg: DictConfig) -> None:
    """Build what the configuration names, and run it."""
    running = HydraConfig.get()
    chosen, typed = running.runtime.choices, running.overrides.task
    with busy("loading libraries, task and methods"):
        from harness.results.run_folder import RunFolder

        folder = RunFolder(Path(running.runtime.output_dir))
        further = [source.path for source in running.runtime.config_sources if source.provider == "command-line"]
        built = experiment_of(
            cfg, chosen["task"], chosen["model"], typed, threads(cfg.threads, running), next(iter(further), None)
        )
    built.run(folder, resume=cfg.resume is not None or (requeued() and folder.holds_a_run))
