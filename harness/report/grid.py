"""Leaderboard lines to a grid of printed cells: explainers down, layers across."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SAME = "≡"
UNDEFINED = "–"
NOT_ABOVE = "°"
COUNTS = ("n", "undefined", "failed", "seconds")  # columns that are no layer
KINDS = ("explainer", "floor", "reference")  # in the order of their lines
BLOCK = 6  # layers side by side in the full layout


@dataclass(frozen=True)
class Grid:
    """A table ready to be printed in any form.

    Args:
        names: so many first columns are names, not numbers.
        bold: the cells, line and column, that stand out.
        rules: lines before which a rule is drawn.
    """

    task: str
    title: str
    columns: list[str]
    lines: list[list[str]]
    notes: list[str]
    names: int = 1
    bold: frozenset[tuple[int, int]] = frozenset()
    rules: tuple[int, ...] = ()


@dataclass
class Lines:
    """Lines of a grid as they are gathered, with what stands out in them."""

    lines: list[list[str]] = field(default_factory=list)
    bold: set[tuple[int, int]] = field(default_factory=set)
    rules: list[int] = field(default_factory=list)

    def add(self, line: Sequence[str], bold: Sequence[int] = ()) -> None:
        """One line, and which of its columns are bold."""
        self.bold |= {(len(self.lines), column) for column in bold}
        self.lines.append(list(line))

    def rule(self) -> None:
        """A rule before the next line, unless there is one or none before it."""
        if self.lines and self.rules[-1:] != [len(self.lines)]:
            self.rules.append(len(self.lines))

    def grid(self, task: str, title: str, columns: list[str], notes: list[str], names: int = 1) -> Grid:
        """The grid; a rule behind the last line is left out."""
        assert all(len(line) == len(columns) for line in self.lines), title
        rules = tuple(rule for rule in self.rules if rule < len(self.lines))
        return Grid(task, title, columns, self.lines, notes, names, frozenset(self.bold), rules)


def grids(board: Any, seconds: Mapping[str, float]) -> list[Grid]:
    """In the paper's layout, mean ± std, one grid per task, model, seed and reference of a leaderboard, a DataFrame.

    `seconds` are those of a run, by `explainer <name>`.
    """
    spent = {name.removeprefix("explainer "): value for name, value in seconds.items()}
    result = []
    for (task, model, seed, reference), part in tables(board):
        layers = sorted(part["layer"].unique())
        failed = bool(part["failed"].sum() > 0)
        lines = Lines()
        add_lines(lines, part, {layer: layer for layer in layers}, failed, spent)
        columns = ["explainer", *map(header, layers), *counts(failed), "seconds"]
        title = f"{task}, {model}, seed {seed}: {measure(part, reference)}, mean ± std"
        result.append(lines.grid(str(task), title, columns, [*marks(part), *cell_notes(part)]))
    return result


def full_grids(board: Any) -> list[Grid]:
    """The same in full: mean, 95 % interval of the mean, letters of the groups; a few layers to a grid."""
    result = []
    for (task, model, seed, reference), part in tables(board):
        layers = sorted(part["layer"].unique())
        inputs = [layer for layer in layers if layer == 0]
        deep = [layer for layer in layers if layer > 0]
        blocks = [deep[start : start + BLOCK] for start in range(0, len(deep), BLOCK)] or [[]]
        blocks[0] = [*inputs, *blocks[0]]
        for block in blocks:
            lines = Lines()
            for kind in KINDS:
                lines.rule()
                for (explainer, head), cells in grouped(part[part["kind"] == kind]):
                    by_layer = {cell.layer: cell for cell in cells.itertuples()}
                    if any(layer in by_layer for layer in block):
                        texts = [full_cell(by_layer.get(layer)) for layer in block]
                        lines.add([named(explainer, head, kind), *texts], _bold(by_layer, block))
            notes = [
                "in brackets the 95 % bootstrap interval of the mean over examples; cells of one column that share a "
                "letter cannot be told apart",
                *marks(part),
            ]
            title = f"{task}, {model}, seed {seed}: {measure(part, reference)}, mean, interval and group"
            if len(blocks) > 1:
                title += f", {header(block[0])} to {header(block[-1])}"
            result.append(lines.grid(str(task), title, ["explainer", *map(header, block)], notes))
    return result


def tables(board: Any) -> list[tuple[Any, Any]]:
    """The board's tables in their order, reliability apart: (task, model, seed, reference) and their lines."""
    held = board[board["kind"] != "reliability"]
    return list(held.groupby(["task", "model", "seed", "reference"], sort=False))


def measure(board: Any, reference: Any) -> str:
    """What a table's numbers are."""
    if board["higher"].isna().all():
        return f"Spearman's rho with {reference}"
    return f"{reference} ({'higher' if board['higher'].iloc[0] else 'lower'} is better)"


def add_lines(
    lines: Lines,
    board: Any,
    layers: Mapping[int, int],
    failed: bool,
    seconds: Mapping[str, float],
    before: Sequence[str] = (),
) -> None:
    """A line per explainer and head, floors and yardsticks behind rules; `layers` says which layer a column shows."""
    spread = board["seed_std"].notna().any()
    for kind in KINDS:
        lines.rule()
        for (explainer, head), cells in grouped(board[board["kind"] == kind]):
            by_layer = {cell.layer: cell for cell in cells.itertuples()}
            spent = seconds.get(explainer) if kind != "reference" else None
            counted = [span(cells[count]) for count in counts(failed)]
            time = "" if spent is None or head > 1 else f"{spent:.1f}"
            texts = [cell(by_layer.get(layer)) for layer in layers.values()]
            bold = [len(before) + column for column in _bold(by_layer, list(layers.values()))]
            lines.add([*before, named(explainer, head, kind), *texts, *counted, time], bold)
            if spread and kind != "reference":
                over = [_spread(by_layer.get(layer)) for layer in layers.values()]
                lines.add([*before, "  std of the seeds' means", *over, *[""] * (len(counted) + 1)])


def grouped(board: Any) -> Any:
    """Lines by explainer and head, in the board's order."""
    return board.groupby(["explainer", "head"], sort=False)


def named(explainer: Any, head: Any, kind: str = "explainer") -> str:
    """What a line is called."""
    if kind == "reference":
        return f"{explainer} (reference)"
    return f"{explainer} head {head}" if head else str(explainer)


def header(layer: int) -> str:
    """The column of a layer; 0 is of methods without layers."""
    return "input" if layer == 0 else f"L{layer}"


def counts(failed: bool) -> list[str]:
    """The columns behind the layers."""
    return ["n", "undefined", *(["failed"] if failed else [])]


def cell(cell: Any) -> str:
    """Mean ± std, and whether it is not above the floors."""
    if cell is None:
        return ""
    if cell.same:
        return SAME
    return UNDEFINED if cell.n == 0 else f"{cell.mean:z.2f} ± {cell.std:.2f}{_mark(cell)}"


def full_cell(cell: Any) -> str:
    """Mean, interval and group."""
    if cell is None:
        return ""
    if cell.same:
        return SAME
    if cell.n == 0:
        return UNDEFINED
    return f"{cell.mean:z.2f} {interval(cell.low, cell.high)} {cell.group}{_mark(cell)}".rstrip()


def interval(low: float, high: float) -> str:
    """An interval in brackets; nothing where there is none."""
    return "" if np.isnan(low) else f"[{low:z.2f}, {high:z.2f}]"


def span(counted: Any) -> str:
    """A count, or the least and the greatest of several layers."""
    low, high = counted.min(), counted.max()
    return str(low) if low == high else f"{low}–{high}"


def marks(board: Any) -> list[str]:
    """What bold and ° mean in a table."""
    lines = [
        "bold: the best mean of an explainer and all explainers that cannot be told from it (paired sign-flip tests, "
        "Holm over the table)"
    ]
    floors = board.loc[board["kind"] == "floor", "explainer"].drop_duplicates().tolist()
    if floors:
        lines.append(f"{NOT_ABOVE} not above every floor of its layer ({', '.join(floors)})")
    if (board["kind"] == "reference").any():
        lines.append("(reference): the yardstick, how far two references agree; no bound")
    return lines


def cell_notes(board: Any) -> list[str]:
    """Why cells are undefined."""
    notes = []
    if board["same"].any():
        notes.append(f"{SAME} the explainer's scores are the reference's own: nothing is compared")
    reasons = board.loc[board["reasons"] != "", ["explainer", "layer", "reasons"]]
    for reason, cells in reasons.groupby("reasons", sort=False):
        names = cells["explainer"].drop_duplicates().tolist()
        everyone = len(names) == board["explainer"].nunique()
        layers = sorted(cells["layer"].unique())
        where = "" if everyone or layers == [0] else f" in layer {', '.join(map(str, layers))}"
        notes.append(f"undefined for {'all' if everyone else ', '.join(names)}{where}: {reason}")
    return notes


def _mark(cell: Any) -> str:
    return NOT_ABOVE if cell.kind == "explainer" and not cell.above_floors else ""


def _bold(by_layer: Mapping[int, Any], layers: Sequence[int]) -> list[int]:
    """Columns of the best group, behind the name."""
    return [1 + column for column, layer in enumerate(layers) if layer in by_layer and by_layer[layer].best]


def _spread(cell: Any) -> str:
    return "" if cell is None or np.isnan(cell.seed_std) else f"{cell.seed_std:.3f}"
