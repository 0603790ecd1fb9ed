"""Reports of models with many layers."""

import re
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from harness.report.run_tables import RunTables
from harness.report.write import write_files, write_runs, write_sweep
from harness.results.run_folder import RunFolder
from tests.harness.report.run_folders import write_run


def run(path: Path, layers: int) -> RunFolder:
    """Eight examples; an explainer and a floor with layers, one of each without."""
    generator = np.random.default_rng(layers)
    ids = [f"{number:02d}" for number in range(8)]
    deep = range(1, layers + 1)
    cells = [*(("rollout", layer) for layer in deep), *(("shuffled_attention", layer) for layer in deep)]
    cells += [("saliency", 0), ("random", 0)]
    rows = pd.DataFrame(
        {"example": one, "explainer": name, "layer": layer, "head": 0, "reference": "blank_out"}
        for one in ids
        for name, layer in cells
    )
    floor = rows["explainer"].isin(["shuffled_attention", "random"])
    rows = rows.assign(kind=np.where(floor, "floor", "explainer"), rho=generator.uniform(-1, 1, len(rows)))
    examples = pd.DataFrame({"example": ids, "cluster": ids, "tokens": [list("abcde")] * 8, "ranked": [[True] * 5] * 8})
    config = {"seed": 0, "explainers": {name: {} for name, _ in cells}, "references": {"blank_out": {}}}
    name = f"of_{layers}"
    return write_run(path, rows.assign(model=name), examples, config=config, model=name, model_name=name)


def layers_in(text: str) -> list[int]:
    """The layers in the headings of tables in Markdown, or on the terminal."""
    headings = [line for line in text.splitlines() if re.match(r"\|? *(model .*)?explainer ", line)]
    return [int(layer) for line in headings for layer in re.findall(r"\bL(\d+)\b", line)]


@pytest.mark.parametrize("layers", [30, 80])
def test_the_leaderboard_of_a_deep_model_is_printed_in_blocks(tmp_path: Path, layers: int):
    folder, screen = run(tmp_path / "run", layers), StringIO()
    write_runs([RunTables(folder)], folder.path, None, Console(file=screen, width=120))
    printed = screen.getvalue().split("mean ± std")[1].split("ranked")[0]
    assert layers_in(printed) == list(range(1, layers + 1))
    tables = printed.split("bold:")[0].splitlines()
    assert max(map(len, tables)) <= 120
    assert sum("rollout" in line for line in tables) == sum("explainer" in line for line in tables) > layers // 8
    written = (folder.path / "leaderboard.md").read_text().split("\n### ")
    assert layers_in(written[1]) == list(range(1, layers + 1))
    board = pd.read_csv(folder.path / "leaderboard.csv")
    assert board.loc[board["explainer"] == "rollout", "layer"].tolist() == list(range(1, layers + 1))


def test_models_of_30_and_80_layers_stand_side_by_side_by_layer_and_by_relative_depth(tmp_path: Path):
    for layers in (30, 80):
        run(tmp_path / "sweep" / str(layers), layers)
    screen = StringIO()
    write_sweep([tmp_path / "sweep"], tmp_path / "out", Console(file=screen, width=120))
    by_layer, by_depth = screen.getvalue().split("by relative depth")
    assert layers_in(by_layer) == list(range(1, 81))
    headings = [line for line in by_depth.splitlines() if line.startswith(" model ")]
    assert re.findall(r"(\d+)/30", " ".join(headings)) == [str(step) for step in range(1, 31)]
    deepest = by_layer.split("L80")[1].split("explainer")[0]
    assert "of_80" in deepest
    assert "of_30" not in deepest


def test_a_heat_map_is_drawn_where_the_leaderboard_is_cut_into_blocks(tmp_path: Path):
    drawn = {}
    for layers in (12, 13):
        folder = run(tmp_path / str(layers), layers)
        write_files([RunTables(folder)], folder.path, 0)
        tables = (folder.path / "leaderboard.md").read_text().split("\n### ")[1].count("| explainer |")
        drawn[layers] = (tables > 1, (folder.path / "figures" / "rho_heat_map_blank_out.svg").is_file())
    assert drawn == {12: (False, False), 13: (True, True)}


def test_figures_of_several_runs_can_be_drawn_by_relative_depth(tmp_path: Path, assay_report):
    folders = [run(tmp_path / str(layers), layers).path for layers in (30, 80)]
    report = [*map(str, folders), "--pictured", "0", "--out"]
    assert assay_report(*report, str(tmp_path / "by_layer"))[0] == 0
    assert assay_report(*report, str(tmp_path / "by_depth"), "--relative-depth")[0] == 0
    for name in ("rho_by_layer_blank_out.svg", "rho_heat_map_blank_out.svg"):
        for layers in (30, 80):
            by_layer, by_depth = (
                (tmp_path / out / str(layers) / "figures" / name).read_text() for out in ("by_layer", "by_depth")
            )
            assert "<!-- layer -->" in by_layer  # matplotlib writes each text beside its outlines
            assert f"<!-- relative depth: layer / {layers} -->" in by_depth
