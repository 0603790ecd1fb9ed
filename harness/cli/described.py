"""What the files of a configuration group configure, read from the source without importing it."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from omegaconf import OmegaConf

from harness.cli.groups import FOLDER, choices

ROOT = FOLDER.parent
METHODS = ("explainers", "references", "metrics")
OTHERS = ("task", "model", "experiment")
# Classes of cost, cheap ones first: passes of the whole model beside the trace's own, for each example
COSTS = (
    "",
    "no pass",
    "layer arithmetic",
    "few passes",
    "passes by step",
    "passes by token",
    "passes by step and layer",
    "passes by step and token",
    "passes by set of tokens",
)
READS_LAYERS = (
    "layer_parts",
    "model_layers",
    "logit_steps",
    "check_rules",
    "check_direct",
    "check_plain",
)  # what a check of known layers calls


@dataclass(frozen=True)
class Described:
    """One file of a group.

    Args:
        summary: one line.
        paper: for a method, who published it.
        link: to the paper.
        models: which models it serves.
        cost: for a method, the class of its cost.
    """

    group: str
    name: str
    summary: str
    paper: str = ""
    link: str = ""
    models: str = ""
    cost: str = ""


def described(group: str) -> list[Described]:
    """Every file of a group, by name."""
    return [_method(group, name) if group in METHODS else _other(group, name) for name in choices(group)]


def _method(group: str, name: str) -> Described:
    settings: Any = OmegaConf.to_container(OmegaConf.load(FOLDER / group / f"{name}.yaml"))
    module, definition = _definition(settings[name]["_target_"])
    text = " ".join((ast.get_docstring(module) or "").split())
    link = re.search(r"https?://\S+", text)
    paper = re.search(r"\(([^()]*\b(?:19|20)\d\d[^()]*)\)", text)
    inner = settings[name].get("of")
    models, cost = _models(definition), _constant(definition, "cost")
    summary = _first_sentence(definition)
    changed = ", ".join(f"{key}={value}" for key, value in _changed(settings[name], definition).items())
    if changed:
        summary = f"{summary.rstrip('.')} ({changed})."
    if isinstance(inner, Mapping):
        _, inner_definition = _definition(inner["_target_"])
        summary = f"{summary.rstrip('.')} (of {inner_definition.name})."
        models = max(models, _models(inner_definition), key=len)
        cost = max(cost, _constant(inner_definition, "cost"), key=COSTS.index)
    return Described(
        group, name, summary, paper[1] if paper else "", link[0].rstrip(".,;)") if link else "", models, cost
    )


def _other(group: str, name: str) -> Described:
    path = FOLDER / group / f"{name}.yaml"
    comments = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# @"):  # hydra's
            continue
        if not line.startswith("#"):
            break
        comments.append(line.lstrip("# "))
    settings: Any = OmegaConf.load(path)
    if not comments and "_target_" in settings:
        return Described(group, name, _first_sentence(_definition(settings["_target_"])[1]))
    text = " ".join(comments)
    return Described(group, name, re.split(r"(?<=[.?!])\s(?=[A-Z])", text)[0] if text else "")


@cache
def _definition(target: str) -> tuple[ast.Module, ast.ClassDef]:
    """The parsed file of a class, and the class in it."""
    module, _, name = target.rpartition(".")
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    return tree, next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)


def _changed(settings: Mapping[str, object], definition: ast.ClassDef) -> dict[str, object]:
    """The parameters of a file that differ from the class's defaults, except `of` and what follows the run's seed."""
    defaults = {
        getattr(node.target, "id", ""): node.value.value
        for node in definition.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Constant)
    }
    return {
        key: value
        for key, value in settings.items()
        if key in defaults and key != "of" and value != defaults[key] and not str(value).startswith("$")
    }


def _first_sentence(definition: ast.ClassDef) -> str:
    return " ".join((ast.get_docstring(definition) or "").split("\n\n")[0].split())


def _models(definition: ast.ClassDef) -> str:
    """Which models a method serves, from what its check of the model calls."""
    called = {
        getattr(call.func, "id", getattr(call.func, "attr", ""))
        for node in definition.body
        if isinstance(node, ast.FunctionDef) and node.name == "check_model"
        for call in ast.walk(node)
        if isinstance(call, ast.Call)
    }
    if "check_two_sided" in called:
        return "encoder-decoders"
    if called & {*READS_LAYERS}:
        return f"{', '.join(_families())}, and modules that declare their architecture"
    return "any model with attention weights"


@cache
def _families() -> list[str]:
    """The model types whose layers are known."""
    names: list[str] = []
    for path in sorted((ROOT / "harness" / "tracing" / "architectures").glob("[!_]*.py")):
        names += _keys(ast.parse(path.read_text(encoding="utf-8")))
    return names


def _keys(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "MODEL_TYPES":
            assert isinstance(node.value, ast.Dict)
            yield from (str(key.value) for key in node.value.keys if isinstance(key, ast.Constant))


def _constant(definition: ast.ClassDef, name: str) -> str:
    """The value of a class attribute that is written as a string."""
    for node in definition.body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(node, ast.Assign):
            target = node.targets[0]
        if getattr(target, "id", "") == name and isinstance(node.value, ast.Constant):  # pyright: ignore
            return str(node.value.value)  # pyright: ignore
    return ""
