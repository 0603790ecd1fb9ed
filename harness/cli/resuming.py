"""`resume=<folder>`: the overrides of an earlier run, and which code they may name.

A run folder can come from somebody else. Its overrides name classes, and instantiating a class runs its code: so they
may name Assay's own, and those of packages that the user allows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.utils import get_object
from omegaconf import OmegaConf

from harness.cli.configuration import composing
from harness.results.shell import argument, override_text

OURS = ("methods", "tasks", "harness")
OPTIONS = ("resume", "allow")


def with_stored_overrides(arguments: Sequence[str]) -> list[str]:
    """`resume=<folder>` alone means: with the overrides that the run was started with.

    `allow=[package]` beside it lets them name classes of that package.

    Raises:
        ValueError: they name code that is neither Assay's nor allowed.
        FileNotFoundError: the folder holds no run.
    """
    given = {one.partition("=")[0]: _value(one) for one in arguments if "=" in one}
    if "resume" not in given or not given.keys() <= set(OPTIONS) or len(given) < len(arguments):
        return list(arguments)
    from harness.results.run_folder import RunFolder  # brings pandas

    folder = Path(str(given["resume"])).expanduser()
    manifest = RunFolder(folder).manifest
    allowed = given.get("allow", [])
    packages = [str(name) for name in (allowed if isinstance(allowed, list) else [allowed])]
    _check(folder, manifest.overrides, manifest.config_dir, (*OURS, *packages))
    options = [] if manifest.config_dir is None else [f"--config-dir={manifest.config_dir}"]
    return [*options, *manifest.overrides, f"resume={override_text(str(folder))}"]


def _value(override: str) -> object:
    """The value of an override, with Hydra's quotes or without any."""
    try:
        return OverridesParser.create().parse_override(override).value()
    except HydraException:
        return override.partition("=")[2]


def _check(folder: Path, overrides: Sequence[str], config_dir: str | None, packages: Sequence[str]) -> None:
    """Raise ValueError where overrides change Hydra itself, or name code outside these packages."""
    for override in overrides:
        if not isinstance(override, str) or override.lstrip("+~").startswith(("-", "hydra")):
            raise ValueError(
                f"the manifest of {folder} asks for {override!r}, which a run does not record: it was changed by "
                "hand, and is not resumed. Type the run's overrides yourself, with resume= behind them"
            )
    further = [] if config_dir is None else [f"hydra.searchpath=[{override_text(f'file://{config_dir}')}]"]
    with composing():
        plain: Any = compose("config", return_hydra_config=True).hydra
        config: Any = compose("config", overrides=[*further, *overrides], return_hydra_config=True)
        known = {*_targets(OmegaConf.to_container(plain))}
        hydra_targets = {*_targets(OmegaConf.to_container(config.hydra))} - known
        OmegaConf.set_struct(config, False)
        config.pop("hydra")
        targets = {*_targets(OmegaConf.to_container(config))}
    foreign = sorted({*hydra_targets, *(target for target in targets if not _allowed(target, packages))})
    if foreign:
        package = foreign[0].partition(".")[0]
        raise ValueError(
            f"resuming {folder} would run {', '.join(foreign)}, which is not Assay's own code: if you trust it, say "
            f"so with assay {argument('resume', folder)} 'allow=[{package}]'"
        )


def _targets(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield str(node["_target_"])
        for value in node.values():
            yield from _targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value)


def _allowed(target: str, packages: Sequence[str]) -> bool:
    """Whether a name is of a package, and what it names is defined there; of Assay's own, only dataclasses are."""
    package = target.partition(".")[0]
    if package not in packages:
        return False
    if package not in OURS:
        return True
    try:
        found = get_object(target)
    except Exception:  # nothing is run that cannot be found
        return True
    return isinstance(found, type) and is_dataclass(found) and found.__module__.partition(".")[0] in OURS
