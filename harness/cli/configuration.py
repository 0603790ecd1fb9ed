"""From a configuration to the objects that it names."""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import compose, initialize_config_module
from hydra.conf import HydraConf
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from harness import check
from harness.cli.groups import FOLDER, choices

if TYPE_CHECKING:
    from harness.cli.experiment import Experiment

GROUPS = ("explainers", "references", "metrics")  # of which a run takes several choices


def offer_all() -> None:
    """Make `explainers=all`, `references=all` and `metrics=all` mean every file of the group's folder."""
    for group in GROUPS:
        ConfigStore.instance().store(group=group, name="all", node={"defaults": choices(group)})


def method(group: str, name: str, parameters: Mapping[str, object] | None = None) -> Any:
    """The explainer, reference or metric that a group's file names, with other parameters where some are given.

    Raises:
        ValueError: there is no such file, or the method does not take such a parameter.
    """
    check.choice(group.removesuffix("s"), name, choices(group))
    node: Any = OmegaConf.merge({"seed": 0}, OmegaConf.load(FOLDER / group / f"{name}.yaml"))
    return _instance(node[name], parameters or {})


def task_or_model(group: str, name: str, parameters: Mapping[str, object] | None = None) -> Any:
    """The task or the source of a model that a file names, with other settings; errors as `method`."""
    check.choice(group, name, choices(group))
    with composing():
        node = compose("config", overrides=[f"{group}={name}"])[group]
        OmegaConf.set_struct(node, False)
        return _instance(node, parameters or {})


def _instance(node: Any, parameters: Mapping[str, object]) -> Any:
    """What a node names. Values go past OmegaConf, which would read `${...}` in a text; dotted keys name inner ones."""
    for key in (key for key in parameters if "." in key):
        OmegaConf.update(node, key, parameters[key])
    target = node["_target_"]
    try:
        return instantiate(node, _partial_=True)(**{key: value for key, value in parameters.items() if "." not in key})
    except TypeError as error:
        raise ValueError(f"{target.rpartition('.')[2]}: {str(error).partition('__init__() ')[2] or error}") from error


def model_name(choice: str, settings: Mapping[str, str | None]) -> str:
    """What tables call a model: its folder's name or its own where the configuration's would mislead."""
    if path := settings.get("path"):
        return Path(path).expanduser().resolve().name
    return (settings.get("name") or choice) if choice == "pretrained" else choice


def experiment_of(
    cfg: DictConfig,
    task: str,
    model: str,
    overrides: Sequence[str] = (),
    threads: int | None = None,
    config_dir: str | None = None,
) -> "Experiment":
    """Build what a configuration names; `task` and `model` are the choices of these groups."""
    from harness.cli.experiment import Experiment  # brings torch
    from harness.cli.settings import Settings
    from harness.measure.methods import Methods
    from harness.measure.protocol import EvaluationProtocol

    config = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(config, dict)
    config.pop("resume", None)
    # One by one: instantiating the group as a whole would turn the dataclasses back into configurations
    methods = {
        group: {name: instantiate(method) for name, method in (cfg.get(group) or {}).items()} for group in GROUPS
    }
    return Experiment(
        task=instantiate(cfg.task),
        source=instantiate(cfg.model),
        methods=Methods(**methods),
        protocol=EvaluationProtocol(
            cfg.target, cfg.output or "task", cfg.include, cfg.ranks, cfg.token_budget, cfg.removal or "task"
        ),
        settings=Settings(
            task=task,
            model=model_name(model, config["model"]),
            seed=cfg.seed,
            limit=cfg.limit,
            shard=cfg.shard,
            dtype=cfg.dtype,
            swaps=cfg.swaps,
            device=cfg.device,
            threads=threads,
            maps=cfg.maps,
            projections=cfg.projections,
            projection=cfg.projection,
            figures=cfg.figures,
            pictured=cfg.pictured,
            html=cfg.html,
            pairs=config["pairs"],
        ),
        config={str(key): value for key, value in config.items()},
        overrides=[override for override in overrides if not override.startswith("resume=")],
        config_dir=config_dir,
    )


def composed(overrides: Sequence[str]) -> "Experiment":
    """The experiment that these overrides would be on the command line."""
    with composing():
        cfg = compose("config", overrides=list(with_additions(overrides)), return_hydra_config=True)
        chosen = cfg.hydra.runtime.choices
        task, model = chosen["task"], chosen["model"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            OmegaConf.set_struct(cfg, False)
            cfg.pop("hydra")
        return experiment_of(cfg, task, model, overrides, cfg.threads)


@contextmanager
def composing() -> Iterator[None]:
    """Hydra set up for Assay's configuration; somebody else's set-up is put back."""
    instance = GlobalHydra.instance()
    before = instance.hydra
    instance.clear()
    offer_all()
    register_resolvers()
    try:
        with initialize_config_module("conf", version_base="1.3"):
            yield
    finally:
        instance.hydra = before


def register_resolvers(name: Callable[[str], str] = str) -> None:
    """Let the configuration choose the folder of a run or a sweep, and the GPUs of a cluster's job.

    `name` makes of a chosen name the folder's own.
    """

    def chosen(resume: str | None, fresh: str) -> str:
        return resume or name(fresh)

    OmegaConf.register_new_resolver("run_folder", chosen, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("gpus", lambda device: 1 if str(device).startswith("cuda") else None, replace=True)


def with_additions(arguments: Sequence[str]) -> list[str]:
    """`explainers=[a]` and `+explainers=[b]` in one command mean both; Hydra alone would silently drop b."""
    folded = list(arguments)
    for group in GROUPS:
        chosen = [index for index, argument in enumerate(folded) if argument.startswith(f"{group}=")]
        added = [index for index, argument in enumerate(folded) if argument.startswith(f"+{group}=")]
        if len(chosen) == 1 and added:
            names = [
                name for index in (chosen[0], *added) for name in folded[index].split("=", 1)[1].strip("[]").split(",")
            ]
            folded[chosen[0]] = f"{group}=[{','.join(names)}]"
            folded = [argument for index, argument in enumerate(folded) if index not in added]
    return folded


def threads(wanted: int | None, running: HydraConf) -> int | None:
    """Processor threads of a job: those of the configuration, or its share of the cores; None for all.

    Jobs that run side by side would otherwise each take all cores. joblib runs `n_jobs` at once (-1: one on every
    core). A job of submitit has `cpus_per_task`, on Slurm as granted; where none are asked for it gets one, since
    submitit_local starts all jobs of the sweep at once.
    """
    if wanted is not None or running.mode != RunMode.MULTIRUN:
        return wanted
    from harness.measure.processor import cores  # brings torch

    launcher = running.launcher
    if "joblib" in launcher["_target_"]:
        n_jobs = launcher.get("n_jobs") or 1
        return max(1, cores() // (n_jobs if n_jobs > 0 else max(1, cores() + 1 + n_jobs)))
    if "submitit" in launcher["_target_"]:
        granted = os.environ.get("SLURM_CPUS_PER_TASK") or launcher.get("cpus_per_task") or 1
        return min(cores(), int(granted))
    return None
