"""Who may import whom."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("conf", "harness", "methods", "tasks")
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, top_level: bool = False) -> set[str]:
    """Modules of ours that a file imports, by full name."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level else ast.walk(tree)
    modules = {module_of(file) for file in FILES}
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules else str(node.module) for name in whole}
    return found


def test_harness_imports_no_method_or_task():
    for path in (ROOT / "harness").rglob("*.py"):
        assert not [name for name in imports(path) if name.split(".")[0] in ("methods", "tasks")], path


def test_methods_and_tasks_do_not_import_each_other():
    for room, other in (("methods", "tasks"), ("tasks", "methods")):
        for path in (ROOT / room).rglob("*.py"):
            assert not [name for name in imports(path) if name.split(".")[0] == other], path


def test_only_the_command_line_imports_hydra():
    for path in FILES:
        if path.parent != ROOT / "harness" / "cli":
            assert not [name for name in imports(path) if name.split(".")[0] in ("hydra", "omegaconf")], path


def test_no_import_is_circular():
    graph = {module_of(path): imports(path) for path in FILES}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail, module])
        if module in done or module not in graph:
            return
        for imported in graph[module]:
            visit(imported, (*trail, module))
        done.add(module)

    for module in graph:
        visit(module, ())
    assert done == set(graph)


def test_no_file_has_a_meaningless_name():
    for path in FILES:
        assert not {"utils", "util", "common", "base", "helpers", "helper", "misc"} & {path.stem, path.parent.name}
