"""Names and texts from anywhere are data in every format: nothing of them is executed, interpreted or hidden."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.api.results import open_run
from harness.report.formats.csv import csv
from harness.report.formats.screen import printable
from harness.report.run_tables import RunTables
from harness.report.write import write_runs
from harness.tables import Method
from tests.harness.report.run_folders import write_run

HOSTILE = [
    "\x1b[2J\x1b[31mred",
    "[bold red]markup[/bold red]",
    "[/]",
    r"\input{/etc/passwd}",
    "a & b % c # d $x$ ^_{}~",
    "=cmd|' /C calc'!A0",
    "@SUM(A1)",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a | b",
    "two\nlines",
    "\u202eright to left",
    "../../outside",
    "a\tb",
    "`ls`",
    "x" * 300,
]


def run(path: Path, name: str):
    """A run whose task, model, explainer, tokens and warnings are all this text."""
    ids = [f"{number:02d}" for number in range(30)]
    rho = np.random.default_rng(0).normal(0.4, 0.1, 60)
    rows = pd.DataFrame(
        {"example": [*ids, *ids], "kind": "explainer", "explainer": [name] * 30 + ["rollout"] * 30, "rho": rho}
    ).assign(layer=1, head=0, reference="blank_out", rho_content=rho, rho_all=rho)
    examples = pd.DataFrame({"example": ids, "cluster": ids}).assign(
        tokens=[[name, "$a$", "b"]] * 30, ranked=[[True] * 3] * 30, logits=[[0.1, 0.2]] * 30
    )
    scores = pd.DataFrame({"example": ids, "kind": "explainer", "method": name, "layer": 1, "head": 0})
    scores["scores"] = [np.array([0.1, 0.3, 0.2])] * 30
    methods = {name: Method(name, name), "rollout": Method("Rollout()", "Rollout")}
    return write_run(
        path,
        rows,
        examples,
        scores=scores,
        explainers=methods,
        task=name,
        model_name=name,
        warnings=[name],
        left_out={name: name},
        classes=[name, "other"],
    )


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_text_is_data_in_every_format(tmp_path: Path, name: str, capsys):
    folder = run(tmp_path / "folder" / "run", name)
    write_runs([RunTables(folder)], folder.path, pictured=1)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    if name.startswith("["):
        assert name in printed
    assert {path.name for path in tmp_path.iterdir()} == {"folder"}
    assert {path.name for path in (tmp_path / "folder").iterdir()} == {"run"}
    tex = (folder.path / "leaderboard.tex").read_text()
    body = "\n".join(line for line in tex.split("\n") if not line.startswith("%"))
    assert r"\input" not in body
    assert not re.search(r"(?<!\\)&.*" + re.escape("b % c"), body)
    assert "\x1b" not in tex
    text = (folder.path / "leaderboard.md").read_text()
    assert "<script" not in text
    assert "<img" not in text
    assert "\x1b" not in text
    lines = [line for line in text.split("\n") if line.startswith("| ")]
    assert len({line.replace(r"\|", "").count("|") for line in lines[:3]}) == 1
    table = pd.read_csv(folder.path / "leaderboard.csv")
    assert not table["explainer"].str.startswith(("=", "+", "-", "@")).any()
    for path in (folder.path / "figures").glob("*.svg"):
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(path.read_text()).iter()}
        assert not tags & {"script", "img"}
    html = open_run(folder.path)._repr_html_()
    assert "<script" not in html
    assert "<img" not in html


def test_numbers_in_a_csv_are_as_they_were():
    table = pd.DataFrame({"name": ["a", None], "value": [-0.1, 1e-20], "whole": [-1, 2], "truth": [True, False]})
    assert csv(table) == table.to_csv(index=False)
    assert csv(table.assign(name=["-1", "b"])).splitlines()[1].startswith("'-1,")


def test_control_characters_are_written_out():
    assert printable("a\x1b[31m\u202e\x00b\n\tc") == "a\\x1b[31m\\u202e\\x00b\n\tc"
