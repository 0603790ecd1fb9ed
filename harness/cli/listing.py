"""The command `assay list`: what there is to choose from."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from harness import check
from harness.cli.errors import print_error
from harness.cli.groups import choices
from harness.report.formats.screen import Screen

GROUPS = {
    "explainers": "explainers",
    "references": "references",
    "metrics": "metrics",
    "tasks": "task",
    "models": "model",
    "experiments": "experiment",
}


def print_list(arguments: Sequence[str]) -> int:
    """Print what one group, or every group, holds; the exit status."""
    screen = Screen()
    if not screen.is_terminal:
        screen = Screen(width=160)
    try:
        if len(arguments) > 1:
            raise ValueError(f"assay list takes one group, one of {', '.join(GROUPS)}, got {' '.join(arguments)}")
        if not arguments:
            _print_names(screen)
            return 0
        check.choice("assay list's group", arguments[0], tuple(GROUPS))
    except ValueError as error:
        return print_error(error)
    _print_group(screen, GROUPS[arguments[0]])
    return 0


def _print_names(screen: Screen) -> None:
    for title, group in GROUPS.items():
        screen.print(f"[bold]{title}[/bold]: {escape(', '.join(choices(group)))}", soft_wrap=False, highlight=False)
    screen.print("\nassay list GROUP describes each of a group's choices.", highlight=False)


def _print_group(screen: Screen, group: str) -> None:
    from harness.cli.described import METHODS, described

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    is_method = group in METHODS
    for name in ("name", "what it is", *(("paper", "models", "cost") if is_method else ())):
        table.add_column(name, no_wrap=name == "name")
    entries = described(group)
    for one in entries:
        cells = [one.name, one.summary]
        if is_method:
            cells += [one.paper, "any" if one.models.startswith("any") else "known layers", one.cost]
        table.add_row(*map(escape, cells))
    screen.print(table)
    known = next((one.models for one in entries if one.models and not one.models.startswith("any")), "")
    if known:
        screen.print(f"known layers: {known}", highlight=False, markup=False)
