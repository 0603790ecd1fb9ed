"""docs/adding.md, word for word: its files and commands in a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import ROOT, shared

PAGE = (ROOT / "docs" / "adding.md").read_text()
BLOCK = re.compile(r"`([\w/.]+\.(?:py|yaml))`:\n\n```(?:python|yaml)\n(.*?)```", re.DOTALL)
COMMANDS = re.findall(r"^```\n(assay .*?)\n```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with the page's files added."""
    folder = tmp_path_factory.mktemp("copy")
    for room in ("conf", "harness", "methods", "tasks"):
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    for path, content in BLOCK.findall(PAGE):
        assert not (folder / path).exists()
        (folder / path).write_text(content)
    return folder


def run(copy: Path, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *words],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_page_has_a_file_of_every_kind():
    assert [path for path, _ in BLOCK.findall(PAGE) if path.endswith(".py")] == [
        "methods/explainers/gradient_attention.py",
        "methods/references/gradient_x_embedding.py",
        "methods/metrics/concentration.py",
        "tasks/verdicts.py",
        "harness/tracing/architectures/camembert.py",
        "harness/tracing/architectures/starcoder2.py",
    ]


def test_the_commands_of_the_page_run_and_show_what_is_new(copy: Path):
    folder = shared("checkpoints", "distilbert-minilm-sst2")
    task, *methods = reversed(COMMANDS)
    whole = f"{task} {' '.join(command.removeprefix('assay ') for command in methods)}".replace("FOLDER", str(folder))
    words = [word.strip("'") for word in whole.split()[1:]]
    words[words.index("+explainers=[gradient_attention]")] = "explainers=[random,gradient_attention]"
    done = run(copy, "-m", "harness", *words, "figures=false", "threads=1", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    board = pd.read_csv(copy / "run" / "leaderboard.csv")
    assert {"blank_out", "gradient_x_embedding", "concentration"} == set(board["measure"])
    assert {"random", "gradient_attention"} <= set(board["explainer"])
    assert (board["failed"] == 0).all()
    listed = run(copy, "-m", "harness", "list", "tasks").stdout
    assert "Four verdicts on films" in listed


def test_the_new_decoder_works_with_methods_that_read_layers(copy: Path):
    code = """
import torch
from transformers import Starcoder2Config, Starcoder2ForCausalLM
from harness.tracing.batch import Example, Role, collate
from harness.tracing.run import Trace
from methods.explainers.alti_logit import AltiLogit
from methods.explainers.decompx import DecompX
from methods.logit_direction import terms
from tasks.word_choice_model import WordChoiceModel
config = Starcoder2Config(
    vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    intermediate_size=32, max_position_embeddings=40, attn_implementation="eager", initializer_range=0.3,
)
model = WordChoiceModel(Starcoder2ForCausalLM(config), causal=True).eval().requires_grad_(False)
roles = [Role.CONTENT, Role.CONTENT, Role.CONTENT, Role.PREDICTS]
example = Example("a", [5, 6, 7, 8], roles, 3, 0, candidates=[10, 11])
trace = Trace(model, collate([example], "prompt", {"pad": 0, "unk": None, "mask": None}), output="logit_difference")
for method in (AltiLogit(), DecompX()):
    method.check_model(model)
    method(trace)
assert torch.allclose(terms(trace).total, trace.output(trace.logits), atol=1e-4)
assert torch.allclose(DecompX()(trace).sum(), trace.output(trace.logits), atol=1e-4)
"""
    done = run(copy, "-c", code)
    assert done.returncode == 0, done.stderr


def test_the_new_model_type_works_with_methods_that_read_layers(copy: Path):
    code = """
import torch
from transformers import CamembertConfig, CamembertForSequenceClassification
from harness.tracing.batch import Example, Role, collate
from harness.tracing.run import Trace
from methods.explainers.decompx import DecompX
config = CamembertConfig(
    vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
    max_position_embeddings=40, attn_implementation="eager",
)
model = CamembertForSequenceClassification(config).eval().requires_grad_(False)
roles = [Role.CLS, Role.CONTENT, Role.CONTENT, Role.CONTENT, Role.FINAL]
trace = Trace(model, collate([Example("a", [5, 6, 7, 8, 9], roles, 0, 0)], "all", {"pad": 1, "unk": 3, "mask": 4}))
method = DecompX()
method.check_model(model)
assert torch.allclose(trace.by_logit.logits[0].max().double(), DecompX()(trace.by_logit).sum(), atol=1e-4)
"""
    done = run(copy, "-c", code)
    assert done.returncode == 0, done.stderr
