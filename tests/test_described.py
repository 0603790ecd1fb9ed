"""What `assay list` and docs/methods.md say about methods, compared with the methods themselves."""

import subprocess
import sys

import pytest

from harness.cli import methods_page
from harness.cli.described import COSTS, METHODS, OTHERS, described
from harness.contracts import ChecksModel
from harness.tracing.batch import Batch
from harness.tracing.meter import Meter
from harness.tracing.run import Trace
from tests.conftest import ROOT
from tests.test_contracts import FILES, build

EVERY = [one for group in METHODS for one in described(group)]


def test_the_page_of_methods_is_up_to_date():
    assert (ROOT / "docs" / "methods.md").read_text() == methods_page.page(), "run make docs"


FLOORS = (
    "random",
    "position",
    "recency",
    "diagonal",
    "shuffled_attention",
    "shuffled_rollout",
)  # nobody published them


@pytest.mark.parametrize("one", EVERY, ids=lambda one: f"{one.group}-{one.name}")
def test_every_method_states_what_it_is_where_it_comes_from_and_what_it_costs(one):
    assert one.summary.endswith(".")
    assert one.cost in COSTS[1:]
    if one.group != "metrics" and one.name not in FLOORS:
        assert one.paper
        assert one.link.startswith("http")


@pytest.mark.parametrize("group", OTHERS)
def test_tasks_models_and_presets_say_what_they_are(group: str):
    assert [one.name for one in described(group) if not one.summary] == []


FREE = {"no pass": (0, 0), "layer arithmetic": (0, 0), "few passes": (4, 4)}
CHEAP = [one for one in EVERY if one.group in ("explainers", "references") and one.cost in FREE]
CHEAP = [one for one in CHEAP if one.models != "encoder-decoders"]


@pytest.mark.filterwarnings("ignore:layer gradient")
@pytest.mark.parametrize("one", CHEAP, ids=lambda one: f"{one.group}-{one.name}")
def test_cheap_methods_take_no_more_passes_than_they_state(model, batch: Batch, one):
    method = build(one.group, one.name)
    with Meter() as meter:
        trace = Trace(model.module, batch)
        with meter.of("phase", "method", alone=True):
            method(trace)
    cost, count = meter.costs["phase", "method"], len(batch.examples)
    forward, backward = FREE[one.cost]
    assert cost.forward <= forward * count
    assert cost.backward <= backward * count


def test_methods_that_work_with_any_model_check_no_layers():
    from tests.architectures import tiny

    albert = tiny("albert")
    for group, name in FILES:
        method = build(group, name)
        served = True
        if isinstance(method, ChecksModel):
            try:
                method.check_model(albert)
            except ValueError:
                served = False
        (one,) = [one for one in EVERY if (one.group, one.name) == (group, name)]
        assert served == one.models.startswith("any"), (group, name)


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["--help"], 0, "assay list [GROUP]"),
        (["--version"], 0, "assay 0."),
        (["list"], 0, "explainers: alti, alti_logit, attention"),
        (["list", "explainers"], 0, "Abnar & Zuidema 2020, equation 1"),
        (["list", "tasks"], 0, "sst2"),
        (["list", "explainer"], 1, "did you mean explainers?"),
        (["nonsense=1"], 1, "there is no setting 'nonsense'"),
    ],
)
def test_the_entry_point_is_fast(arguments: list[str], status: int, text: str):
    """It imports nothing heavy."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "harness", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == status, done.stderr
    said = done.stdout + "\n".join(line for line in done.stderr.splitlines() if "import time" not in line)
    assert text in said
    assert not [line for line in done.stderr.splitlines() if line.endswith((" torch", " transformers", " captum"))]
