"""The command `assay`: from a configuration to a run folder and its tables. The only file that imports hydra."""

import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from harness.complaint import complain
from harness.evaluate import Protocol
from harness.experiment import Experiment, Settings
from harness.run_folder import RunFolder

OmegaConf.register_new_resolver("run_folder", lambda resume, fresh: resume or fresh, replace=True)


def main() -> None:
    """Run the command line; an error is one sentence and a non-zero exit."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra hands its errors over instead of printing them
    try:
        sys.argv[1:] = with_additions(with_stored_overrides(sys.argv[1:]))
        job()
    except (Exception, KeyboardInterrupt) as error:
        sys.exit(complain(error))


def with_stored_overrides(arguments: Sequence[str]) -> list[str]:
    """`resume=<folder>` alone means: with the overrides that the run was started with."""
    if len(arguments) != 1 or not arguments[0].startswith("resume="):
        return list(arguments)
    folder = Path(arguments[0].removeprefix("resume=")).expanduser()
    return [*RunFolder(folder).manifest["overrides"], *arguments]


def with_additions(arguments: Sequence[str]) -> list[str]:
    """`explainers=[a]` and `+explainers=[b]` in one command mean both; Hydra alone would silently drop b."""
    folded = list(arguments)
    for group in ("explainers", "references"):
        chosen = [index for index, argument in enumerate(folded) if argument.startswith(f"{group}=")]
        added = [index for index, argument in enumerate(folded) if argument.startswith(f"+{group}=")]
        if len(chosen) == 1 and added:
            names = [
                name for index in (chosen[0], *added) for name in folded[index].split("=", 1)[1].strip("[]").split(",")
            ]
            folded[chosen[0]] = f"{group}=[{','.join(names)}]"
            folded = [argument for index, argument in enumerate(folded) if index not in added]
    return folded


@hydra.main(version_base="1.3", config_path="pkg://conf", config_name="config")
def job(cfg: DictConfig) -> None:
    """One task and one model, all chosen methods."""
    try:
        conduct(cfg)
    except (Exception, KeyboardInterrupt) as error:  # before Hydra prints its own account of it
        sys.exit(complain(error))


def conduct(cfg: DictConfig) -> None:
    """Build what the configuration names, and run it."""
    running = HydraConfig.get()
    config = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(config, dict)
    config.pop("resume")
    experiment = Experiment(
        task=instantiate(cfg.task),
        source=instantiate(cfg.model),
        # one by one: instantiating the group as a whole would turn the dataclasses back into configurations
        explainers={name: instantiate(method) for name, method in (cfg.get("explainers") or {}).items()},
        references={name: instantiate(method) for name, method in (cfg.get("references") or {}).items()},
        protocol=Protocol(cfg.target, cfg.output, cfg.include, cfg.ranks, cfg.token_budget),
        settings=Settings(
            task=running.runtime.choices["task"],
            model=running.runtime.choices["model"],
            seed=cfg.seed,
            limit=cfg.limit,
            dtype=cfg.dtype,
            device=cfg.device,
            threads=cfg.threads,
        ),
        config={str(key): value for key, value in config.items()},
        overrides=[override for override in running.overrides.task if not override.startswith("resume=")],
    )
    with warnings.catch_warnings():  # Captum, transformers and torch warn of what a user cannot mend
        warnings.simplefilter("ignore")
        experiment.conduct(RunFolder(Path(running.runtime.output_dir)), resume=cfg.resume is not None)
