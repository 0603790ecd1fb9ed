"""The machine that measures, in a sentence."""

import platform
from datetime import UTC, datetime
from pathlib import Path

import numba
import torch

from harness.results.provenance import surroundings


def processor() -> str:
    """The processor's name."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def machine() -> str:
    """Processor, cores, threads, versions, commit."""
    origin = surroundings()
    versions = ", ".join(f"{name} {version}" for name, version in origin["versions"].items())
    return (
        f"{processor()}, {origin['machine']['cores']} cores, {origin['machine']['system']}; "
        f"{torch.get_num_threads()} threads of torch, {numba.get_num_threads()} of numba; {versions}; "
        f"commit {origin['commit']}{' and changes' if origin['dirty'] else ''}; "
        f"{datetime.now(UTC).isoformat(timespec='minutes')}"
    )
