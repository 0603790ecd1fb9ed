"""What conf/ holds: its groups, the choices of each, and the settings of a run."""

from pathlib import Path

from omegaconf import OmegaConf

import conf

FOLDER = Path(conf.__file__ or "").parent


def groups() -> list[str]:
    """The names of the groups."""
    return sorted(path.name for path in FOLDER.iterdir() if any(path.glob("*.yaml")))


def choices(group: str) -> list[str]:
    """The names of a group's files; none for a group that does not exist."""
    return sorted(path.stem for path in (FOLDER / group).glob("*.yaml"))


def run_settings() -> list[str]:
    """The settings of a run that belong to no group, in the order of conf/config.yaml."""
    return [str(key) for key in OmegaConf.load(FOLDER / "config.yaml") if key not in ("defaults", "hydra")]
