"""How methods/ is laid out: which file may import which, and which method declares what."""

import ast
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

import conf
from harness import contracts
from tests.test_arrows import ROOT, imports, module_of

GROUPS = ("explainers", "references", "metrics")
METHODS = [path for group in GROUPS for path in sorted((ROOT / "methods" / group).glob("[!_]*.py"))]
HELPERS = sorted((ROOT / "methods").glob("*.py"))
CONF = Path(conf.__file__).parent
# A wrapper imports an explainer only as the default of `of`. A reference that is an explainer's scores says so.
SAME_SCORES = {"methods.references.integrated_gradients": "methods.explainers.integrated_gradients"}


def methods_in(path: Path) -> set[str]:
    """The files of methods that a file imports."""
    return {name for name in imports(path) if name.split(".")[:2] in [["methods", group] for group in GROUPS]}


def classes(path: Path) -> list[type]:
    """The methods in a file, at least one, whether they define or inherit their call."""
    module = import_module(module_of(path))
    named = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]
    found = [getattr(module, name) for name in named]
    methods = [one for one in found if any("__call__" in vars(each) for each in one.__mro__)]
    assert methods
    return methods


@pytest.mark.parametrize("path", HELPERS, ids=module_of)
def test_no_helper_imports_a_method(path: Path):
    assert not methods_in(path)


@pytest.mark.parametrize("path", METHODS, ids=module_of)
def test_no_method_imports_another_unless_it_wraps_it(path: Path):
    others = methods_in(path) - {SAME_SCORES.get(module_of(path), "")}
    if others:
        assert all("of" in {field.name for field in fields(one)} for one in classes(path)), f"imports {others}"


@pytest.mark.parametrize("path", METHODS, ids=module_of)
def test_a_method_inherits_from_nothing(path: Path):
    for one in classes(path):
        assert one.__bases__ == (object,)
        assert one.__module__ == module_of(path)


def with_capability(group: str, capability: type) -> set[str]:
    """The files of conf/GROUP whose method has a capability."""
    found = set()
    for path in (CONF / group).glob("*.yaml"):
        method = instantiate(OmegaConf.merge({"seed": 0}, OmegaConf.load(path))[path.stem])
        if isinstance(method, capability):
            found.add(path.stem)
    return found


FLOORS = {
    "random",
    "position",
    "recency",
    "shuffled_attention",
    "shuffled_rollout",
    "randomised_attention",
    "randomised_rollout",
    "randomised_flow",
    "randomised_saliency",
}


@pytest.mark.parametrize(
    ("group", "capability", "expected"),
    [
        ("explainers", contracts.Floor, FLOORS),
        ("explainers", contracts.SplitsHalves, {"flow_shapley"}),
        ("references", contracts.SplitsHalves, {"shapley", "blank_out", "deletion"}),
        ("explainers", contracts.HasUpperBound, {"flow", "flow_by_head"}),
        ("explainers", contracts.LeavesUnassigned, {"logit", "alti_logit"}),
        ("explainers", contracts.ReadsFiles, set()),  # both that read a file need a path, so neither has a yaml
        ("metrics", contracts.AsksExplainer, {"sensitivity_max"}),
        ("references", contracts.Reduces, {"input_gradient", "integrated_gradients"}),
    ],
)
def test_each_capability_is_declared_by_the_methods_that_have_it(group: str, capability: type, expected: set[str]):
    assert with_capability(group, capability) == expected
