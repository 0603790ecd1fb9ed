"""Seconds of whole runs on a device, and their share of its matrix-product rate: `python -m tests.benchmark.gpu`.

SST-2 with DistilBERT and indirect objects with SmolLM2-135M, all cheap methods: on a GPU in float32 and bfloat16,
without one on the processor. Folders of models and data can be given; otherwise the hub has them.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from torch import nn
from transformers import AutoConfig, AutoModel

from harness.results.run_folder import RunFolder
from tests.benchmark.blank_out import seconds
from tests.benchmark.machine import machine

EVERYWHERE = [
    *("random", "position", "attention", "rollout", "flow", "norm_based", "norm_residual", "norm_residual_layer_norm"),
    *("alti", "value_zeroing", "attention_x_gradient", "generic_relevance", "saliency", "input_x_gradient"),
    *("attn_lrp", "cp_lrp"),
]
TASKS = {
    "sst2": ["task=sst2", f"explainers=[{','.join([*EVERYWHERE, 'globenc'])}]"],
    "ioi": [
        "task=ioi",
        "model=smollm2_135m",
        f"explainers=[{','.join([*EVERYWHERE, 'recency', 'logit', 'alti_logit'])}]",
    ],
}
OPERATIONS = 2  # of a weight and a token in a pass, forward or back: weights are frozen, and have no gradient


def product_rate(device: str, dtype: str) -> float:
    """Floating-point operations per second of one large product."""
    size = 1024 if device == "cpu" else 8192
    left, right = (torch.randn(size, size, device=device).to(getattr(torch, dtype)) for _ in range(2))

    def product() -> None:
        torch.matmul(left, right)
        if device != "cpu":
            torch.cuda.synchronize()

    return 2 * size**3 / seconds(product, 3)


def weights(name: str) -> int:
    """Those of a model's layers: tables of embeddings are looked up, not multiplied."""
    with torch.device("meta"):
        body = AutoModel.from_config(AutoConfig.from_pretrained(name))
    tables = sum(one.weight.numel() for one in body.modules() if isinstance(one, nn.Embedding))
    return sum(one.numel() for one in body.parameters()) - tables


def measured(folder: Path, whole: float, rate: float) -> list[Mapping[str, object]]:
    """Seconds and texts a second of a run's phases and methods, and for those that run the model their share of a rate.

    The share counts every pass as a whole one, so it is too high where a causal model's prefix is kept.
    """
    run = RunFolder(folder)
    manifest, examples = run.manifest, run.table("examples")
    one_pass = OPERATIONS * weights(str(manifest.facts["name"])) * examples["tokens"].map(len).mean()
    lines: list[Mapping[str, object]] = [{"part": "the whole command", "seconds": round(whole, 1)}]
    for (kind, name), cost in sorted(manifest.costs.items(), key=lambda one: -one[1].seconds):
        passes = len(examples) if (kind, name) == ("phase", "trace") else cost.forward + cost.backward
        share = passes * one_pass / cost.seconds / rate if passes and cost.seconds else None
        lines.append(
            {
                "part": f"{kind} {name}",
                "seconds": round(cost.seconds, 2),
                "texts a second": round(len(examples) / cost.seconds) if cost.seconds else None,
                "share of the rate": None if share is None else round(share, 3),
            }
        )
    return lines


def run(arguments: Sequence[str], device: str, dtype: str) -> pd.DataFrame:
    """One run of `assay` in a process of its own.

    Raises:
        RuntimeError: it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        typed = [*arguments, f"device={device}", f"dtype={dtype}", "figures=false", f"hydra.run.dir={folder}/run"]
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "harness", *typed], capture_output=True, text=True, check=False)
        whole = time.perf_counter() - start
        if done.returncode:
            raise RuntimeError(f"assay {' '.join(typed)} failed: {done.stderr[-2000:]}")
        return pd.DataFrame(measured(Path(folder) / "run", whole, product_rate(device, dtype)))


def main() -> None:
    """Measure, and print a table for each task and type of number."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark.gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", nargs="+", help="float32 and bfloat16 on a GPU, float32 on a processor")
    parser.add_argument("--limit", type=int, nargs=2, default=(872, 500), help="texts of SST-2 and of indirect objects")
    for task in TASKS:
        parser.add_argument(
            f"--{task}", nargs="*", default=[], help=f"further settings, e.g. task.path= and model.path= of {task}"
        )
    chosen = parser.parse_args()
    screen = Console(width=160)
    card = torch.cuda.get_device_name() if chosen.device != "cpu" else "no GPU"
    screen.print(f"{card}; {machine()}\n", soft_wrap=True)
    for (task, settings), limit in zip(TASKS.items(), chosen.limit, strict=True):
        for dtype in chosen.dtype or (["float32"] if chosen.device == "cpu" else ["float32", "bfloat16"]):
            arguments = [*settings, f"limit={limit}", *getattr(chosen, task)]
            screen.print(f"## {task}, {limit} texts, {dtype} on {chosen.device}\n")
            screen.print(run(arguments, chosen.device, dtype).to_string(index=False, na_rep=""), "\n", soft_wrap=True)


if __name__ == "__main__":
    main()
