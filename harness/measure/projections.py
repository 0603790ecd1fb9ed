"""Queries and keys of a few examples, each head's in a plane of its own."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd
import torch

from harness.contracts import Model
from harness.measure.protocol import EvaluationProtocol
from harness.statistics.correlation import Values
from harness.statistics.plane import plane
from harness.tables import PLANES, PROJECTIONS
from harness.tracing.batch import Example
from harness.tracing.queries_keys import queries_keys
from harness.tracing.steps import Side, Step

_NOTICEABLE = 0.01  # of an attention weight


def projections(
    examples: Sequence[Example],
    model: Model,
    protocol: EvaluationProtocol,
    classes: Sequence[str] = (),
    device: torch.device | str = "cpu",
    how: str = "pca",
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Where the query and the key of each token lie in their head's plane, and what each plane shows.

    A head has one plane for all examples. The tables are `PROJECTIONS` and `PLANES`; `how` and `seed` as in `plane`.

    Raises:
        ValueError: queries and keys of this model cannot be found, or it cannot run an example.
    """
    runs = [queries_keys(protocol.trace(model, [example], classes, device)) for example in examples]
    points, planes = [], []
    for of_step, place in zip(zip(*runs, strict=True), _places([one.step for one in runs[0]]), strict=True):
        left_out = torch.stack([one.left_out[0] for one in of_step]).amax(dim=0)  # [head]
        tensors = [(one.queries[0], one.keys[0], one.visible[0]) for one in of_step]  # [head, ...]
        queries, keys, visible = ([one.cpu().numpy() for one in ones] for ones in zip(*tensors, strict=True))
        for head in range(len(left_out)):
            found = plane(*([one[head] for one in ones] for ones in (queries, keys, visible)), how=how, seed=seed)
            cell = {**place, "head": head + 1}
            planes.append({**cell, **found.shows, "left_out": left_out[head].item()})
            for index, example in enumerate(examples):
                points.append(_points(example, cell, "query", of_step[0].step.queries, found.queries[index]))
                points.append(_points(example, cell, "key", of_step[0].step.keys, found.keys[index]))
    rank = {example.id: index for index, example in enumerate(examples)}
    table = pd.concat(points)[list(PROJECTIONS.columns)]
    table = table.sort_values("example", key=lambda column: column.map(rank), kind="stable", ignore_index=True)
    return table, pd.DataFrame(planes)[list(PLANES.columns)]


def _points(example: Example, cell: Mapping[str, object], name: str, side: Side | None, places: Values) -> pd.DataFrame:
    """Rows of one head's queries or keys, `[token, 2]`; in an encoder-decoder the prefix comes after the source."""
    first = example.sides.source if side == Side.TARGET and example.sides is not None else 0
    tokens = range(first, first + len(places))
    return pd.DataFrame(
        {"example": example.id, **cell, "side": name, "token": tokens, "x": places[:, 0], "y": places[:, 1]}
    )


def beyond_products(planes: pd.DataFrame) -> str | None:
    """A sentence where attention is more than the softmax of queries and keys, as with a position bias or a cap."""
    most = planes["left_out"].max()
    if not most > _NOTICEABLE:
        return None
    return (
        f"projections: this model's attention is more than the softmax of queries and keys (a position bias, a cap of "
        f"logits or the like), which no plane shows; without it, weights differ by up to {most:.2f}"
    )


def _places(steps: Sequence[Step]) -> list[dict[str, object]]:
    """Each step's attention and its layer, from 1: see `PROJECTIONS`."""
    seen: Counter[str] = Counter()
    places: list[dict[str, object]] = []
    for step in steps:
        if step.queries is None:
            name = "self"
        elif step.crosses:
            name = "cross"
        else:
            name = "encoder" if step.queries == Side.SOURCE else "decoder"
        seen[name] += 1
        places.append({"attention": name, "layer": seen[name]})
    return places
