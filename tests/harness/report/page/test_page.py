"""A page is one closed file: its policy fits it, no data stand in it as text, and its numbers are the tables'."""

import base64
import hashlib
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.report.page.sample import ROOM, kept_examples, kept_maps
from harness.report.page.write_page import write_run_page, write_sweep_page
from harness.report.pool_tables import PoolTables
from harness.report.run_tables import RunTables
from harness.report.write import write_files, write_sweep
from harness.results.pooled import found, pooled
from harness.results.run_folder import RunFolder
from harness.tables import MAPS
from tests.harness.report.page.large_runs import large_run
from tests.harness.report.page.unpacked import element, of_page
from tests.harness.report.run_folders import filled, rewrite

HOSTILE = "</script><img src=x onerror=alert(1)>{{script}}"
LIMIT = 6_000_000  # bytes of the page of 500 examples, 14 explainers and 6 layers


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return large_run(tmp_path / "run", examples=12, explainers=4, layers=2)


def sweep(folder: Path) -> PoolTables:
    return PoolTables(*pooled(found([folder])))


def equal(stored: dict[str, list], table: pd.DataFrame) -> None:
    """Columns of a page and a table read from CSV, where nothing and an empty text are the same."""
    ours = pd.DataFrame(stored).replace("", None)
    assert len(ours) == len(table) > 0
    for name in table:
        if pd.api.types.is_float_dtype(table[name]):
            np.testing.assert_allclose(ours[name].astype(float), table[name], rtol=1e-12)
        else:
            assert ours[name].fillna("-").astype(str).tolist() == table[name].fillna("-").astype(str).tolist(), name


def test_the_policy_allows_this_script_and_this_style_alone(folder: RunFolder, tmp_path: Path):
    html = write_run_page(RunTables(folder), tmp_path / "out").read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', html)
    assert policy
    rules = dict(rule.split(" ", 1) for rule in policy[1].split("; "))
    for rule, tag in (("script-src", "<script>"), ("style-src", "<style>")):
        digest = base64.b64encode(hashlib.sha256(element(html, tag).encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "unsafe" not in policy[1]
    assert "http" not in policy[1]
    assert not re.findall(r"<(?:script|link|img|iframe|a)\b[^>]*\b(?:src|href)=", html)
    assert "{{" not in html


def test_no_text_of_the_data_stands_in_the_page_but_encoded(tmp_path: Path):
    folder = large_run(tmp_path / HOSTILE.replace("/", "|"), 4, 3, 1, task=f"task{HOSTILE}", model_name=f"m{HOSTILE}")
    examples = folder.table("examples")
    examples["tokens"] = [[f"t{HOSTILE}" for _ in tokens] for tokens in examples["tokens"]]
    rewrite(folder, examples=examples)
    html = write_run_page(RunTables(folder), tmp_path / "out").read_text()
    assert "onerror" not in html
    content, _ = of_page(html)
    assert content["examples"][0]["tokens"][0] == f"t{HOSTILE}"
    assert content["title"].startswith(f"task{HOSTILE}, m{HOSTILE}")
    whole = write_sweep_page(sweep(folder.path), tmp_path / "swept").read_text()
    assert "onerror" not in whole
    assert of_page(whole)[0]["models"][0]["name"] == f"m{HOSTILE}"


def test_a_runs_page_holds_the_values_of_its_tables(folder: RunFolder, tmp_path: Path):
    run = RunTables(folder)
    write_files([run], tmp_path / "out", None)
    content, arrays = of_page(write_run_page(run, tmp_path / "out").read_text())
    equal(content["board"], pd.read_csv(tmp_path / "out" / "leaderboard.csv"))
    equal(content["ranking"], pd.read_csv(tmp_path / "out" / "ranking.csv"))
    assert content["sample"] == {"kept": 12, "of": 12, "maps": 0, "maps_of": 0}
    rows = folder.table("rows").set_index(["reference", "kind", "explainer", "head", "layer", "example"])["rho"]
    for line, cell in enumerate(pd.DataFrame(content["cells"]).itertuples(index=False)):
        for number, example in enumerate(content["examples"]):
            rho = rows[cell.measure, cell.kind, cell.explainer, cell.head, cell.layer, example["example"]]
            assert arrays["values"][line, number] == np.float32(rho)
    scores = folder.table("scores").set_index(["kind", "method", "layer", "head", "example"])["scores"]
    starts = np.cumsum([0, *(len(one["tokens"]) for one in content["examples"])])
    for line, cell in enumerate(pd.DataFrame(content["scored"]).itertuples(index=False)):
        for number, example in enumerate(content["examples"]):
            own = arrays["scores"][line, starts[number] : starts[number + 1]]
            assert np.array_equal(own, scores[(*cell, example["example"])])


def test_a_sweeps_page_holds_the_values_of_its_leaderboard_and_lists_lost_runs(tmp_path: Path):
    large_run(tmp_path / "swept" / "0", 12, 4, 2, model_name="shallow", model="a")
    large_run(tmp_path / "swept" / "1", 12, 4, 4, model_name="deep", model="b")
    lost = large_run(tmp_path / "swept" / "2", 4, 3, 1, model_name="broken", status="failed", error="no weights here")
    for path in lost.path.glob("*.parquet"):
        path.unlink()
    write_sweep([tmp_path / "swept"], tmp_path / "swept", html=True)
    content, arrays = of_page((tmp_path / "swept" / "report.html").read_text())
    table = pd.read_csv(tmp_path / "swept" / "leaderboard.csv")
    assert table["status"].tolist() == [*["ok"] * (len(table) - 1), "failed"]
    whole = table[table["status"] == "ok"].drop(columns=["status", "error", "shard"])
    equal(content["board"], whole.astype(dict.fromkeys(("layer", "head", "n", "undefined", "failed"), int)))
    assert [(one["name"], one["layers"]) for one in content["models"]] == [("shallow", 2), ("deep", 4)]
    assert [(one["model"], one["status"], one["error"], one["folder"]) for one in content["lost"]] == [
        ("broken", "failed", "no weights here", "2")
    ]
    assert [one["folder"] for one in content["runs"]] == ["0", "1"]
    assert [one["page"] for one in content["runs"]] == [None, None]
    assert set(pd.DataFrame(content["ranking"])["model"]) == {"shallow", "deep"}
    leaders = [line for line in content["answer"] if "compared with blank_out" in line]
    assert len(leaders) == 1
    assert sum(int(count) for count in re.findall(r"leads in (\d) of 2 models", leaders[0])) == 2
    assert arrays == {}


def test_a_sweep_without_results_has_a_page_of_its_lost_runs(tmp_path: Path):
    lost = large_run(tmp_path / "swept" / "0", 4, 3, 1, status="failed", error="no weights here")
    for path in lost.path.glob("*.parquet"):
        path.unlink()
    content, _ = of_page(write_sweep_page(sweep(tmp_path / "swept"), tmp_path / "swept").read_text())
    assert (content["models"], content["board"], content["answer"]) == ([], {}, [])
    assert [one["error"] for one in content["lost"]] == ["no weights here"]


def test_a_page_of_500_examples_14_explainers_and_6_layers_holds_them_all_below_its_limit(tmp_path: Path):
    folder = large_run(tmp_path / "run", examples=500, explainers=14, layers=6)
    page = write_run_page(RunTables(folder), tmp_path)
    assert page.stat().st_size <= LIMIT
    content, arrays = of_page(page.read_text())
    assert (content["sample"]["kept"], content["sample"]["of"]) == (500, 500)
    assert arrays["values"].shape[1] == len(content["examples"]) == 500


def test_a_page_of_many_examples_keeps_evenly_spaced_ones_and_says_how_many(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("harness.report.page.sample.ROOM", 40_000)
    folder = large_run(tmp_path / "run", examples=60, explainers=4, layers=2)
    run = RunTables(folder)
    content, arrays = of_page(write_run_page(run, tmp_path).read_text())
    kept = [int(one["example"].split(":")[1]) for one in content["examples"]]
    assert content["sample"] == {"kept": len(kept), "of": 60, "maps": 0, "maps_of": 0}
    assert 10 < len(kept) < 60
    assert (kept[0], kept[-1]) == (0, 59)
    assert np.ptp(np.diff(kept)) <= 1
    assert 0.8 * 40_000 < arrays["scores"].nbytes + arrays["values"].nbytes <= 40_000
    assert pd.DataFrame(content["board"])["n"].max() == 60  # tables are of all examples


def test_examples_with_maps_stay_and_maps_have_half_of_the_room(tmp_path: Path, monkeypatch):
    folder = large_run(tmp_path / "run", examples=30, explainers=4, layers=2)
    examples = folder.table("examples").set_index("example")["tokens"]
    chosen = ["validation:7", "validation:11", "validation:2"]
    maps = pd.DataFrame(
        {"example": name, "method": "explainer_0", "layer": 1, "query": query, "scores": [0.5] * len(examples[name])}
        for name in chosen
        for query in range(len(examples[name]))
    )
    folder.write_maps(filled(MAPS, maps))
    sizes = [4 * len(examples[name]) ** 2 for name in chosen]
    room = 2 * sum(sizes[:2])
    monkeypatch.setattr("harness.report.page.sample.ROOM", room)
    content, arrays = of_page(write_run_page(RunTables(folder), tmp_path).read_text())
    names = [one["example"] for one in content["examples"]]
    assert {names[one["example"]] for one in content["maps"]} == set(chosen[:2])
    assert (content["sample"]["maps"], content["sample"]["maps_of"]) == (2, 3)
    assert len(names) < 30
    assert arrays["maps"].nbytes == sum(sizes[:2])
    assert sum(array.nbytes for array in arrays.values()) <= room


def test_all_examples_stay_where_they_fit():
    examples = pd.DataFrame({"example": list("abc"), "tokens": [["x"] * 5] * 3})
    assert kept_examples(examples, 10, 10, {}) == [0, 1, 2]
    assert kept_examples(examples, ROOM, 10, {}) == [0]  # an example alone is kept, whatever its size
    assert kept_examples(examples, ROOM, 10, {"b": 100}) == [0, 1]
    assert kept_maps({"a": ROOM // 4, "b": ROOM // 4, "c": 1}) == ["a", "b"]
