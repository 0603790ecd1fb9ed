"""The whole of Tables 1 and 2: 2,000 examples, three explainers and two floors, both references, by phase."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from tests.conftest import ROOT, SHARED

METHODS = "explainers=[random,position,attention,rollout,flow]"


def table() -> pd.DataFrame:
    """Seconds of each phase of a run in a process of its own, the model trained, and that process's peak memory."""
    published = SHARED / "data" / "linzen"
    sources = {"grammar": ["task=agreement"]}
    if published.exists():
        sources["Linzen et al."] = ["task=linzen", f"task.path={published}", "model=agreement_transformer_linzen"]
    lines = []
    for name, chosen in sources.items():
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "harness", *chosen, METHODS, "limit=2000", "include=all"]
            for number in (0, 1):  # the first one trains the model where it is not in the cache
                subprocess.run(
                    [*command, f"hydra.run.dir={folder}/{number}"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
                )
            manifest = json.loads((Path(folder) / "1" / "manifest.json").read_text())
        seconds = manifest["seconds"]
        explain = sum(value for phase, value in seconds.items() if not phase.startswith("phase "))
        lines.append(
            {"sentences": name, "total": round(explain + seconds["phase merge"], 1)}
            | {phase.removeprefix("phase "): round(value, 1) for phase, value in seconds.items()}
            | {"peak memory MiB": manifest["peak_memory_mib"]}
        )
    return pd.DataFrame(lines)
