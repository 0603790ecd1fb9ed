"""Where a run's numbers come from: the code that measures, versions, commit, machine."""

import ast
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    *("captum", "datasets", "hydra-core", "networkx", "numba", "numpy"),
    *("pandas", "scipy", "torch", "transformers"),
)
# What measures, whatever the methods; each with all that it imports from these packages
MEASURING = ("harness.measure.evaluate", "harness.measure.maps", "harness.measure.projections")
OURS = ("harness", "methods", "tasks")
FAMILIES = ROOT / "harness" / "tracing" / "architectures"


def code_digest(objects: Iterable[object]) -> str:
    """A hash of the code on which a run's numbers depend.

    That is what measures, and the modules of the given objects (methods, task, source of the model), each with the
    modules of ours that it imports. Docstrings, comments and formatting do not count, nor do other methods, figures or
    reports.
    """
    names = {type(one).__module__ for whole in objects for one in (whole, *_parts(whole))}
    modules: set[str] = set()
    families = [f"harness.tracing.architectures.{path.stem}" for path in FAMILIES.glob("[!_]*.py")]  # imported by name
    for name in (*MEASURING, *families, *sorted(names)):
        _collect(name, modules)
    digest = hashlib.sha256()
    for name in sorted(modules):
        path = _file(name)
        if path is not None:
            digest.update(name.encode() + b"\0" + code_text(path).encode())
    return digest.hexdigest()


def _parts(whole: object) -> Iterator[object]:
    """The objects inside a method or a task, such as the explainer that it runs."""
    for value in getattr(whole, "__dict__", {}).values():
        if type(value).__module__ not in ("builtins", "functools"):
            yield value
            yield from _parts(value)


def _collect(name: str, modules: set[str]) -> None:
    if name in modules:
        return
    path = _file(name)
    if path is None:
        return
    modules.add(name)
    for imported in _imports(path):
        if imported.partition(".")[0] in OURS and not imported.startswith("harness.cli"):
            _collect(imported, modules)


@cache
def _file(name: str) -> Path | None:
    """The source file of a module; None where there is none, as for a class defined in a notebook."""
    module = sys.modules.get(name)
    origin = getattr(module, "__file__", None)
    if module is None:
        try:
            spec = util.find_spec(name)
        except (ImportError, ValueError):
            return None
        origin = spec.origin if spec is not None else None
    return Path(origin) if origin and origin.endswith(".py") else None


def _imports(path: Path) -> list[str]:
    """The modules that a file imports at any place; those for type checkers alone are left out."""
    found: list[str] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
            found.extend(f"{node.module}.{alias.name}" for alias in node.names)  # a module, or a name in one
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def code_text(path: Path) -> str:
    """A file's code without docstrings, comments and formatting."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            match node.body:
                case [ast.Expr(value=ast.Constant(value=str())), *rest]:
                    node.body = rest or [ast.Pass()]
    return ast.unparse(tree)


def surroundings() -> dict[str, Any]:
    """Time, package versions, commit and machine, as fields of a manifest."""
    commit = None
    # The commit of a checkout of our own: installed inside somebody else's, git would tell theirs
    if _git("rev-parse", "--show-toplevel") == str(ROOT):
        commit = _git("rev-parse", "HEAD")
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES},
        "commit": commit,
        "dirty": None if commit is None else bool(_git("status", "--porcelain")),
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
    }


def elsewhere() -> list[str]:
    """A sentence for each of our packages that Python takes from somewhere else, e.g. from the current folder."""
    sentences = []
    for name in ("conf", "methods", "tasks"):
        spec = util.find_spec(name)
        places = [Path(place).resolve() for place in (spec.submodule_search_locations or ())] if spec else []
        if places != [ROOT / name]:
            found = ", ".join(map(str, places)) or (spec.origin if spec and spec.origin else "nowhere")
            sentences.append(
                f"the package {name} comes from {found}, not from {ROOT / name}: a folder or file called {name} in the "
                "current folder hides Assay's own; start Assay from another folder, or rename it"
            )
    return sentences


def peak_memory() -> float:
    """The most memory that this process has held, in MiB."""
    import resource  # not on every system

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _git(*arguments: str) -> str | None:
    """What git says about the folder that holds this package; None where there is no git or no checkout."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
