"""The scores of every position at every layer as a layered graph over the tokens (Abnar & Zuidema 2020, Figure 1)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from harness.report.figures.drawing import (
    ACCENT,
    INK,
    WIDTH,
    canvas,
    entitle,
    finished,
    layer_ticks,
    note_height,
    styled,
    title_height,
)
from harness.report.figures.lettering import LINE, label, sentence, widest

_STRONGEST, _FEWEST = 5, 2  # edges into one node; of a model with more than _DEEP layers
_DEEP = 12
_NEGATIVE = "#0072B2"
_NOTE = (
    "An edge from row j to position i at layer l is the score of token j for position i: for attention, j is a "
    "position one layer below; for other explainers it is an input token, so their edges do not form paths. Only the "
    "{strongest} strongest edges into each position are drawn, and none below the mean of all edges into it; width and "
    "opacity grow with the score, relative to the panel's largest."
)
_SIDES = (
    " The rule separates the source from the target's prefix. The encoder's layers come first, and its last states are "
    "what every layer of the decoder reads."
)
_SIGNED = " Negative scores are dashed blue."


@styled
def layer_graph(
    tokens: Sequence[str], maps: pd.DataFrame, *, position: int | None = None, title: str = "", source: int = 0
) -> Figure | None:
    """One panel per explainer: tokens down, layers across, an edge for each score; None without scores by layer.

    Weak edges are left out: of the edges into one node, the five strongest are drawn (two where there are more than 12
    layers), unless they are below the mean magnitude over all its keys, which is what uniform scores would have.
    The explained position is highlighted.

    Args:
        tokens: of the one example.
        maps: columns example, method, layer, head, query and scores, a list over keys; rows of layer 0 or of single
            heads are left out.
        position: the explained one, or None.
        title: task, model and example.
        source: how many of the tokens are a source, whose rows are scores in the encoder's layers: these are drawn
            first, and a rule separates the source from the target's prefix.

    Raises:
        ValueError: several examples, or scores that are not one for each token.
    """
    maps = maps[(maps["layer"] > 0) & (maps["head"] == 0)]
    if maps.empty:
        return None
    if maps["example"].nunique() > 1:
        raise ValueError(f"expected the maps of one example, got {maps['example'].nunique()}: choose one of them")
    methods = maps["method"].drop_duplicates().tolist()
    weights = {method: _weights(maps[maps["method"] == method], len(tokens)) for method in methods}
    if not any(np.isfinite(weight).any() for weight in weights.values()):
        return None
    signed = any((weight[np.isfinite(weight)] < 0).any() for weight in weights.values())
    encoder = int(maps.loc[maps["query"] < source, "layer"].max()) if (maps["query"] < source).any() else 0
    decoder = int(maps.loc[maps["query"] >= source, "layer"].max()) if (maps["query"] >= source).any() else 0
    layers = encoder + decoder
    texts = [label(token) for token in tokens]
    beside = max(widest(texts, bold=True) + 0.25, 0.45)
    columns = int(np.clip((WIDTH - beside) // max(1.25, 0.1 * layers), 1, len(methods)))
    rows = -(-len(methods) // columns)
    note = _NOTE.format(strongest=_strongest(layers)) + (_SIGNED if signed else "") + (_SIDES if source else "")
    tall = max(0.135 * len(tokens), 1.0)
    title = sentence(title, "" if position is None else f"explained position: {texts[position]} ({position})")
    figure = canvas(WIDTH, title_height(title, WIDTH) + note_height(note, WIDTH) + rows * (tall + 3.6 * LINE) + 0.1)
    panels = figure.subplots(rows, columns, squeeze=False)
    room = int((WIDTH - beside) / columns / 0.22)
    for axes in panels.ravel()[len(methods) :]:
        axes.axis("off")
    for index, (axes, method) in enumerate(zip(panels.ravel(), methods, strict=False)):
        _draw(axes, weights[method], position, source, encoder, decoder)
        if source:
            axes.axhline(source - 0.5, color=INK, linewidth=0.6, gid="source")
        axes.set_title(method)
        if encoder and decoder:
            first, second = layer_ticks(encoder, room // 2), layer_ticks(decoder, room // 2)
            axes.set_xticks([0, *first, *(encoder + layer for layer in second)], [0, *first, *second])
            axes.set_xlabel("encoder, then decoder")
        else:
            axes.set_xticks([0, *layer_ticks(layers, room)])
            axes.set_xlabel("layer (0: input)")
        axes.set_xlim(-0.25, layers + 0.25)
        axes.set_yticks(range(len(tokens)), texts if index % columns == 0 else [""] * len(tokens))
        axes.set_ylim(len(tokens) - 0.5, -0.5)
        axes.tick_params(left=False, pad=1)
        axes.spines[["left", "bottom"]].set_visible(False)
        if position is not None and index % columns == 0:
            axes.get_yticklabels()[position].set(fontweight="bold", color=ACCENT)
    entitle(figure, title, note)
    return finished(figure)


def _weights(maps: pd.DataFrame, n: int) -> np.ndarray:
    """Scores `[layer, query, key]`, NaN where there is no row."""
    weights = np.full((int(maps["layer"].max()), n, n), np.nan)
    for row in maps.to_dict("records"):
        layer, scores = row["layer"], row["scores"]
        if len(scores) != n:
            raise ValueError(f"expected scores of {n} tokens, got {len(scores)} of {row['method']}, layer {layer}")
        weights[layer - 1, row["query"]] = scores
    return weights


def _strongest(layers: int) -> int:
    return _STRONGEST if layers <= _DEEP else _FEWEST


def edges(weights: np.ndarray) -> list[tuple[int, int, int, float]]:
    """What is drawn of scores `[layer, query, key]`: layer from 1, query, key and score, weakest first."""
    drawn = []
    for layer, query in np.ndindex(*weights.shape[:2]):
        size = np.abs(weights[layer, query])
        known = np.isfinite(size)
        if not known.any():
            continue
        order = np.argsort(-np.where(known, size, -1.0), kind="stable")[: _strongest(len(weights))]
        least = size[known].mean() * (1 - 1e-9)  # so that rounding leaves out no uniform scores
        drawn += [
            (layer + 1, query, int(key), float(weights[layer, query, key]))
            for key in order
            if known[key] and size[key] >= least and size[key] > 0
        ]
    return sorted(drawn, key=lambda edge: abs(edge[3]))


def _draw(axes: Axes, weights: np.ndarray, position: int | None, source: int, encoder: int, decoder: int) -> None:
    layers, n = encoder + decoder, weights.shape[1]
    drawn = edges(weights)

    def ends(layer: int, query: int, key: int) -> list[tuple[int, int]]:
        """Where an edge begins and ends: in the encoder, in the decoder, or from the one's end to the other."""
        if query < source:
            return [(layer - 1, key), (layer, query)]
        return [(encoder if key < source else encoder + layer - 1, key), (encoder + layer, query)]

    fine = min(1.0, (12 / n) ** 0.5) * (1.0 if layers <= _DEEP else 0.6)  # thinner lines where many meet
    largest = max((abs(score) for *_, score in drawn), default=1.0)
    for explained in (False, True):
        chosen = [edge for edge in drawn if (edge[1] == position) == explained]
        strength = [abs(score) / largest for *_, score in chosen]
        least, most = (0.4 + 0.2 * fine, 1.7 * fine**0.5) if explained else (0.3 * fine, 1.5 * fine)
        ink = to_rgb(ACCENT if explained else "#3A3A3A")
        axes.add_collection(
            LineCollection(
                [ends(layer, query, key) for layer, query, key, _ in chosen],
                linewidths=[least + most * part for part in strength],
                colors=[
                    (
                        *(to_rgb(_NEGATIVE) if score < 0 else ink),
                        min(1.0, 0.45 + 0.55 * part if explained else 0.1 + 0.7 * part),
                    )
                    for part, (*_, score) in zip(strength, chosen, strict=True)
                ],
                linestyles=[(0, (3, 1.5)) if score < 0 else "-" for *_, score in chosen],
                zorder=3 if explained else 2,
                gid="explained" if explained else "others",
            )
        )
    for columns, tokens in ((range(encoder + 1), range(source)), (range(encoder, layers + 1), range(source, n))):
        across, down = np.meshgrid(columns, tokens)
        axes.plot(across.ravel(), down.ravel(), ".", color=INK, markersize=2.2, zorder=4)
    if position is not None:
        axes.plot(
            range(encoder + 1, layers + 1),
            [position] * decoder,
            "s",
            color=ACCENT,
            markersize=3.4,
            zorder=5,
            markeredgecolor=INK,
            markeredgewidth=0.5,
        )
