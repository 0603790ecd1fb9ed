"""The layout of harness: which package may import which, and what each may pull in."""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.test_arrows import FILES, ROOT, imports, module_of

# What each package of harness may import, besides itself and what all may import
ROOMS = {
    "tracing": (),
    "statistics": (),
    "results": (),
    "measure": ("tracing", "statistics"),
    "report": ("statistics", "results"),
    "cli": ("tracing", "measure", "statistics", "results", "report"),
    "api": ("tracing", "measure", "statistics", "results", "report", "cli"),
}
FOR_ALL = ("check", "tables", "contracts")
HARNESS = [path for path in FILES if path.is_relative_to(ROOT / "harness")]


def room_of(module: str) -> str:
    """`harness.measure.rows` is in the package `measure`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "harness" else ""


def for_types_alone(path: Path) -> set[str]:
    """Modules of ours that a file imports for a type checker only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            found |= {str(one.module) for one in ast.walk(node) if isinstance(one, ast.ImportFrom)}
    return found


@pytest.mark.parametrize("path", HARNESS, ids=module_of)
def test_a_package_imports_only_what_lies_below_it(path: Path):
    room = room_of(module_of(path))
    if room not in ROOMS:
        return
    for name in imports(path):
        other = room_of(name)
        if name.split(".")[0] == "harness" and other and other != room:
            assert other in (*FOR_ALL, *ROOMS[room]), f"{module_of(path)} imports {name}"


@pytest.mark.parametrize("name", FOR_ALL)
def test_modules_that_all_may_import_import_nothing_of_ours_except_types(name: str):
    path = ROOT / "harness" / f"{name}.py"
    ours = {found for found in imports(path, top_level=True) if found.split(".")[0] == "harness"}
    assert ours <= {"harness.check", "harness.tables"}


def test_every_file_of_harness_is_in_a_package():
    loose = {path.name for path in (ROOT / "harness").glob("*.py")}
    assert loose == {"__init__.py", "__main__.py", *(f"{name}.py" for name in FOR_ALL)}
    assert {path.name for path in (ROOT / "harness").iterdir() if (path / "__init__.py").is_file()} == {*ROOMS}


def fresh(code: str) -> str:
    """What a new Python process prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("room", ["statistics", "results", "report"])
def test_reading_results_needs_no_torch(room: str):
    modules = [module_of(path) for path in HARNESS if path.is_relative_to(ROOT / "harness" / room)]
    code = "; ".join(f"import {module}" for module in modules)
    heavy = "[name for name in ('torch', 'transformers', 'datasets', 'captum') if name in sys.modules]"
    assert fresh(f"import sys; {code}; print({heavy})") == "[]"


@pytest.mark.parametrize(
    "code", ["import harness", "import harness.tables", "import harness.contracts", "import harness.cli.assay"]
)
def test_the_entry_points_load_without_torch_and_pandas(code: str):
    heavy = ["torch", "transformers", "datasets", "captum"] + ["pandas"] * (code in ("import harness",))
    assert fresh(f"import sys; {code}; print([name for name in {heavy} if name in sys.modules])") == "[]"


def test_importing_the_python_api_leaves_out_no_public_name():
    names = fresh("import harness; print(all(getattr(harness, name) is not None for name in harness.__all__))")
    assert names == "True"


def test_a_public_name_is_defined_once_in_harness():
    """This covers functions, classes and constants at the top of a file."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in HARNESS:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                places[node.name].append(module_of(path))
    twice = {name: where for name, where in places.items() if len(where) > 1 and not name.startswith("_")}
    mains = twice.pop("main", [])
    assert not twice
    assert {room_of(module) for module in mains} <= {"cli"}


def test_no_task_and_no_model_type_of_a_task_is_named_in_harness():
    for path in HARNESS:
        text = path.read_text()
        assert "agreement_encoder" not in text, path
        assert 'getattr(model, "inner")' not in text, path
        assert 'startswith("referent' not in text, path


READS_TEXT = {  # the names of files, arguments, and what must not be printed
    *(f"harness.results.{name}" for name in ("files", "parts", "pooled", "shell")),
    *("harness.report.formats.screen", "harness.report.formats.markdown", "harness.report.figures.drawing"),
}
WRITES_JSON = {"harness.report.page.packing"}  # and reads none


@pytest.mark.parametrize("room", ["tracing", "measure", "statistics", "results", "report"])
def test_no_stored_text_is_parsed_to_learn_a_fact(room: str):
    """Facts come from typed tables and the typed manifest; a regular expression would be reading them from a repr."""
    files = [path for path in HARNESS if path.is_relative_to(ROOT / "harness" / room)]
    for path in files:
        nodes = [*ast.walk(ast.parse(path.read_text()))]
        names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
        parses = names & {"re", "ast", "json"}
        may = {"re"} if module_of(path) in READS_TEXT else {"json"} if module_of(path) in WRITES_JSON else set()
        assert parses - may <= ({"json", "ast"} if room == "results" else set()), module_of(path)


def test_a_model_type_is_one_file_in_architectures():
    from harness.tracing.architectures import known

    for path in (ROOT / "harness" / "tracing" / "architectures").glob("[!_]*.py"):
        assert "MODEL_TYPES = {" in path.read_text(), path
    assert {"bert", "distilbert", "electra", "roberta", "xlm-roberta"} <= set(known())


def signatures(path: Path) -> list[str]:
    """The functions in a file with `Any` in their signature, `*args` and `**kwargs` included."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            each = [*node.args.args, *node.args.kwonlyargs, *node.args.posonlyargs, node.args.vararg, node.args.kwarg]
            annotations = [one.annotation for one in each if one is not None]
            texts = [ast.unparse(one) for one in [*annotations, node.returns] if one is not None]
            if any("Any" in text for text in texts):
                found.append(f"{module_of(path)}.{node.name}")
    return found


def test_few_signatures_in_harness_are_untyped():
    found = [name for path in HARNESS for name in signatures(path)]
    assert len(found) <= 20, found
