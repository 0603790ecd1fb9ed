"""Small real runs, one of each kind of model, and the pages of them."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd

from harness.report.page.write_page import write_run_page
from harness.report.run_tables import RunTables
from harness.results.run_folder import RunFolder
from harness.tables import STORED
from tests.conftest import ROOT, SHARED

SST2, MARIAN = SHARED / "checkpoints/distilbert-minilm-sst2", SHARED / "checkpoints/annalog-marian"
SMOLLM2 = os.environ.get("ASSAY_SMOLLM2", "")
ENCODER = [
    *("task=sst2", f"task.path={SHARED / 'data/sst2'}", f"model.path={SST2}", "limit=10", "maps=2", "projections=3"),
    "explainers=[random,position,attention,attention_by_head,rollout,saliency]",
]
REAL_DECODER = [
    *("task=ioi", f"task.path={SHARED / 'data/ioi/ioi.csv'}", "model=smollm2_135m", f"model.path={SMOLLM2}"),
    *("limit=3", "maps=1", "explainers=[random,recency,attention,attention_by_head,rollout]"),
    "references=[blank_out]",
]
SMALL_DECODER = [
    *("task=agreement", "model=agreement_decoder", "model.layers=2", "model.heads=2", "model.hidden=32"),
    *("task.grammar.train=2000", "task.grammar.validation=100", "task.grammar.test=100", "model.training.epochs=1"),
    *("limit=10", "maps=1", "explainers=[random,recency,attention,attention_by_head,rollout]"),
]
TWO_SIDED = [
    *("task=copying", "model=seq2seq_lm", f"task.path={MARIAN / 'molecules.txt'}", f"model.path={MARIAN}"),
    *("limit=30", "maps=1", "explainers=[random,diagonal,attention,attention_by_head,rollout]"),
    "references=[blank_out]",
]
RUNS = {"encoder": ENCODER, "decoder": REAL_DECODER if SMOLLM2 else SMALL_DECODER, "two-sided": TWO_SIDED}
PAGES = [*RUNS, "hostile", "sweep"]

HOSTILE = (
    '</script><img src=x onerror="window.hacked=1">',
    "<img src=x onerror=window.hacked=2>",
    "{{data}}",
    "{{script}}",
    "<!--",
    "-->",
    "</style><style>*{display:none}</style>",
    "\"'`${window.hacked=3}",
    "javascript:window.hacked=4",
    "&lt;b&gt; &amp;",
    "\u202eright to left\u202c",
    "שלום",
    "👩🏽‍🔬",
    "e\u0301\u0301\u0301",
    "\u2028",
    "constructor",
    "__proto__",
    "x" * 300,
    "",
)


def write_runs_with_pages(folder: Path, cache: Path) -> dict[str, Path]:
    """Each run's folder, with its page; they run side by side.

    Raises:
        RuntimeError: a run failed.
    """
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "ASSAY_CACHE": str(cache)}
    folders, running = {}, {}
    for name, given in RUNS.items():
        folders[name] = folder / name
        typed = [sys.executable, "-m", "harness", *given, "threads=1", "figures=false", "html=true"]
        running[name] = subprocess.Popen(
            [*typed, f"hydra.run.dir={folders[name]}"],
            cwd=ROOT,
            env=settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    printed = {name: process.communicate()[0] for name, process in running.items()}
    for name, process in running.items():
        if process.returncode:
            raise RuntimeError(f"the {name}'s run failed: {printed[name]}")
    return folders


def write_hostile_page(real: Path, folder: Path) -> Path:
    """The page of a run whose tokens, classes, warnings, task, model and one explainer are hostile texts."""
    run = RunFolder(real)
    tables = {name: run.table(name) for name in STORED}
    names = {"rollout": HOSTILE[0], "saliency": "__proto__"}
    tables["rows"] = tables["rows"].replace({"explainer": names})
    tables["scores"] = tables["scores"].replace({"method": names})
    tables["examples"] = _hostile(tables["examples"])
    manifest = run.manifest
    folder.mkdir(parents=True)
    changed = RunFolder(folder)
    changed.write_manifest(
        replace(
            manifest,
            task=HOSTILE[0],
            model_name=HOSTILE[1],
            classes=[HOSTILE[0], HOSTILE[7]],
            warnings=list(HOSTILE[:-1]),
            explainers={names.get(name, name): method for name, method in manifest.explainers.items()},
        )
    )
    maps = run.maps()
    assert maps is not None
    changed.write_maps(maps.replace({"method": names}))
    return write_run_page(RunTables(changed, tables), folder)


def _hostile(examples: pd.DataFrame) -> pd.DataFrame:
    """The examples with other tokens, as many; some example has each hostile text."""
    count, changed = 0, []
    for tokens in examples["tokens"]:
        changed.append([HOSTILE[(count + place) % len(HOSTILE)] for place in range(len(tokens))])
        count += len(tokens)
    return examples.assign(tokens=changed)
