"""An explainer's scores from every position of a sentence, for figures of whole layers."""

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd
import torch

from harness.contracts import Explainer, Layerless, Model
from harness.measure.protocol import EvaluationProtocol
from harness.tables import MAPS
from harness.tracing.batch import Example
from harness.tracing.steps import Side, encoder_steps


def maps(
    examples: Sequence[Example],
    model: Model,
    explainers: Mapping[str, Explainer],
    protocol: EvaluationProtocol,
    classes: Sequence[str] = (),
    device: torch.device | str = "cpu",
) -> tuple[pd.DataFrame, dict[str, str]]:
    """One row per example, explainer, layer, head and query: `scores`, a list over keys; and why an explainer has none.

    A query's row is what the explainer gives when that position is explained; explainers without layers have no maps.
    The model's head still reads the example's own position. In an encoder-decoder, the layers and heads of a row of the
    source are those of the encoder.
    """
    columns, failed = defaultdict(list), {}
    layered = {name: one for name, one in explainers.items() if not (isinstance(one, Layerless) and one.layerless)}
    for example in examples:
        trace = protocol.trace(model, [example], classes, device)
        batch = trace.batch
        for query in range(len(example.input_ids)):
            moved = copy.copy(trace)
            moved.batch = replace(batch, position=torch.full_like(batch.position, query))
            moved.by_position = True
            if batch.side[0, query] == Side.SOURCE:
                moved.steps = encoder_steps(trace.steps)
            moved.forget()  # what a method kept may depend on the position
            for name, explainer in layered.items():
                try:
                    scores = explainer(moved).detach().double().cpu()
                except Exception as error:  # the explainer's cells in the tables show it too
                    failed[name] = f"{type(error).__name__}: {error}"
                    continue
                by_head = scores.dim() == 4  # [batch, layer, (head,) token]
                if scores.shape[1] == 1 < trace.layers and not by_head:
                    continue
                for layer, cells in enumerate(scores[0].numpy(), start=1):
                    for head, row in enumerate(cells, start=1) if by_head else [(0, cells)]:
                        columns["example"].append(example.id)
                        columns["method"].append(name)
                        columns["layer"].append(layer)
                        columns["head"].append(head)
                        columns["query"].append(query)
                        columns["scores"].append(row)
    return pd.DataFrame(columns, columns=list(MAPS.columns)), failed
