"""All of Tables 1 and 2: 2,000 examples, three explainers, two floors and both references, by phase."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from harness.results.run_folder import RunFolder
from tests.conftest import ROOT, SHARED

METHODS = "explainers=[random,position,attention,rollout,flow]"


def table() -> pd.DataFrame:
    """Seconds of each phase of a run in its own process, the model already trained, and the process's peak memory."""
    published = SHARED / "data" / "linzen"
    sources = {"grammar": ["task=agreement"]}
    if published.exists():
        sources["Linzen et al."] = ["task=linzen", f"task.path={published}", "model=agreement_transformer_linzen"]
    lines = []
    for name, chosen in sources.items():
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "harness", *chosen, METHODS, "limit=2000", "include=all"]
            for number in (0, 1):  # the first one trains the model if it is not cached
                subprocess.run(
                    [*command, f"hydra.run.dir={folder}/{number}"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
                )
            manifest = RunFolder(Path(folder) / "1").manifest
        costs = {name: cost.seconds for (_, name), cost in manifest.costs.items()}
        lines.append(
            {"sentences": name, "total": round(sum(costs.values()) + manifest.phases["merge"], 1)}
            | {phase: round(seconds, 1) for phase, seconds in {**manifest.phases, **costs}.items()}
            | {"peak memory MiB": manifest.peak_memory_mib}
        )
    return pd.DataFrame(lines)
