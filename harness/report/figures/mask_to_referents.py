"""How much a masked pronoun attends to each candidate referent, by layer (Abnar & Zuidema 2020, Figure 4)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from harness.report.figures.drawing import (
    COLOURS,
    DASHES,
    LIGHT,
    MARKERS,
    WIDTH,
    canvas,
    entitle,
    finished,
    layer_ticks,
    note_height,
    styled,
    title_height,
)
from harness.report.figures.lettering import LINE, SMALL, label, sentence, widest

_COLUMNS = 4  # panels side by side
_ABOVE, _HIGH, _BELOW, _BESIDE = 0.36, 1.05, 0.4, 0.52  # inches: over, of, under and left of a panel
_ROW = _ABOVE + _HIGH + _BELOW
_HATCHES = ("", "/////", ".....", "xxxxx")
_NEITHER = "#9A9A9A"


@styled
def mask_to_referents(
    example_row: pd.Series, scores: pd.DataFrame, classes: Sequence[str], *, title: str = ""
) -> Figure | None:
    """The candidates' scores by layer, a panel per explainer, after the probabilities of the candidate words.

    A candidate's score is the mean over its tokens, NaN where one of them has none. A word's bar has the colour and
    hatch of the referent that the word refers to, and is grey where there is none. None without two referents.

    Args:
        example_row: a row of a run's table of examples: tokens, planted, referents, points_to, predicted,
            probabilities and position.
        scores: a run's table of scores; those of the example's explainers are drawn, without single heads.
        classes: the candidate words, in the order of the probabilities.
        title: task and model; the sentence is added.
    """
    planted = {entry["name"]: [int(index) for index in entry["indices"]] for entry in example_row["planted"]}
    candidates = set(example_row["referents"])
    spans = {name: indices for name, indices in planted.items() if name in candidates and indices}
    chosen = scores[(scores["example"] == example_row["example"]) & (scores["head"] == 0)]
    chosen = chosen[chosen["kind"] == "explainer"]
    if len(spans) < 2 or chosen.empty:
        return None
    tokens = [label(token) for token in example_row["tokens"]]
    methods = chosen["method"].drop_duplicates().tolist()
    curves = {method: _curves(chosen[chosen["method"] == method], list(spans.values())) for method in methods}
    if all(np.isnan(curve).all() for curve, _ in curves.values()):
        return None
    names = [f"{_joined([tokens[index] for index in span])} ({span[0]})" for span in spans.values()]
    text = f"“{_joined(tokens)}”"
    title = f"{sentence(title)}\n{text}" if title else text
    place = int(example_row["position"])
    note = (
        f"Scores for the explained position, {tokens[place]} ({place}): the mean over a candidate's tokens; each "
        "explainer has its own scale. Left: the model's probabilities of the candidate words, each drawn in the style "
        "of the referent that it refers to."
    )
    columns_of_names = max(1, min(len(names), int(WIDTH / (widest(names) + 0.7))))
    legend_height = 0.12 + LINE * -(-len(names) // columns_of_names)
    columns = max(1, min(_COLUMNS, len(methods) + 1, int(WIDTH / (widest(methods) + 0.08))))
    rows = -(-(len(methods) + 1) // columns)
    height = title_height(title, WIDTH) + note_height(note, WIDTH) + rows * _ROW + legend_height
    figure = canvas(WIDTH, height, by_hand=True)
    panels, pitch = [], WIDTH / columns
    wide = min(pitch - _BESIDE - 0.08, 1.6)
    for index in range(len(methods) + 1):
        row, column = divmod(index, columns)
        low = height - title_height(title, WIDTH) - row * _ROW - _ABOVE - _HIGH
        panels.append(figure.add_axes(((column * pitch + _BESIDE) / WIDTH, low / height, wide / WIDTH, _HIGH / height)))
    _draw_words(panels[0], example_row, classes, list(spans))
    for axes, method in zip(panels[1:], methods, strict=False):
        _draw_scores(axes, *curves[method], names)
        axes.set_title(method, fontsize=SMALL, x=(wide - _BESIDE) / 2 / wide)  # over the numbers too, as names are long
    handles = [
        panels[0].plot([], [], label=name, color=COLOURS[index], linestyle=DASHES[index], marker=MARKERS[index])[0]
        for index, name in enumerate(names)
    ]
    place = (0.5, note_height(note, WIDTH) / height)
    figure.legend(handles=handles, loc="lower center", bbox_to_anchor=place, ncols=columns_of_names)
    entitle(figure, title, note)
    return finished(figure)


def _joined(tokens: Sequence[str]) -> str:
    """Word pieces as words."""
    return " ".join(tokens).replace(" ##", "").removeprefix("##")


def _curves(cells: pd.DataFrame, spans: list[list[int]]) -> tuple[np.ndarray, bool]:
    """Mean scores of each referent, `[layer, referent]`, and whether there are layers."""
    layered = bool(cells["layer"].max() > 0)
    curves = np.full((int(cells["layer"].max()) if layered else 1, len(spans)), np.nan)
    for layer, scores in zip(cells["layer"], cells["scores"], strict=True):
        if layered == (layer > 0):
            values = np.asarray(scores, dtype=float)
            means = np.asarray([values[span].mean() for span in spans])
            curves[max(layer - 1, 0)] = np.where(np.isfinite(means), means, np.nan)
    return curves, layered


def _draw_words(axes: Axes, example_row: pd.Series, classes: Sequence[str], referents: list[str]) -> None:
    """A bar for each candidate word's probability; the predicted one is bold."""
    points_to = {entry["class"]: entry["name"] for entry in example_row["points_to"]}
    for index, probability in enumerate(example_row["probabilities"]):
        place = referents.index(points_to[index]) if points_to.get(index) in referents else None
        axes.bar(
            [index],
            [probability],
            width=0.6,
            gid="word",
            edgecolor="#222222",
            linewidth=0.6,
            facecolor=_NEITHER if place is None else COLOURS[place],
            hatch="" if place is None else _HATCHES[place],
        )
        axes.text(index, probability + 0.02, f"{probability:.2f}", ha="center", va="bottom")
    axes.set_xlim(-0.7, len(classes) - 0.3)
    axes.set_xticks(range(len(classes)), [label(name) for name in classes])
    axes.get_xticklabels()[int(example_row["predicted"])].set_fontweight("bold")
    axes.set_ylim(0, 1.18)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel("probability")


def _draw_scores(axes: Axes, curves: np.ndarray, layered: bool, names: list[str]) -> None:
    axes.axhline(0, color="#B0B0B0", linewidth=0.6, zorder=1)
    axes.grid(axis="y", color=LIGHT, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.ticklabel_format(axis="y", scilimits=(-3, 4))
    if layered:
        for index, name in enumerate(names):
            axes.plot(
                np.arange(1, len(curves) + 1),
                curves[:, index],
                color=COLOURS[index],
                linestyle=DASHES[index],
                marker=MARKERS[index],
                markersize=3.4 if len(curves) <= 12 else 2.2,
                gid=name,
            )
        axes.set_xlim(0.5, len(curves) + 0.5)
        axes.set_xticks(layer_ticks(len(curves), 6))
        axes.set_xlabel("layer", labelpad=1)
    else:
        for index, name in enumerate(names):
            axes.bar(
                [index],
                [curves[0, index]],
                width=0.6,
                facecolor=COLOURS[index],
                hatch=_HATCHES[index],
                gid=name,
                edgecolor="#222222",
                linewidth=0.6,
            )
        axes.set_xlim(-1, len(names))
        axes.set_xticks([])
        axes.set_xlabel("no layers", labelpad=3)
