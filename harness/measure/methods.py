"""The methods that a run crosses, and those of them that can serve its model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
from torch import nn

from harness.contracts import ChecksModel, Explainer, Metric, Model, Reference
from harness.measure.protocol import EvaluationProtocol
from harness.tracing.batch import Example

Method = TypeVar("Method")
MINIMUM = 4  # tokens of an example on which methods are tried


@dataclass(frozen=True)
class Methods:
    """Explainers, references and metrics by name."""

    explainers: Mapping[str, Explainer]
    references: Mapping[str, Reference]
    metrics: Mapping[str, Metric] = field(default_factory=dict)

    def serving(self, model: nn.Module) -> tuple["Methods", dict[str, str]]:
        """The methods that can serve a model, and for each of the others why it cannot.

        Raises:
            ValueError: none of the explainers, references or metrics chosen can.
        """
        left_out: dict[str, str] = {}
        serving = Methods(
            _serving(self.explainers, model, left_out),
            _serving(self.references, model, left_out),
            _serving(self.metrics, model, left_out),
        )
        for group, before in (
            ("explainers", self.explainers),
            ("references", self.references),
            ("metrics", self.metrics),
        ):
            if before and not getattr(serving, group):
                raise ValueError(
                    f"none of the {group} chosen can serve this model: {'; '.join(left_out[name] for name in before)}"
                )
        return serving, left_out


def _serving(methods: Mapping[str, Method], model: nn.Module, left_out: dict[str, str]) -> dict[str, Method]:
    serving = {}
    for name, method in methods.items():
        try:
            if isinstance(method, ChecksModel):
                method.check_model(model)
        except ValueError as error:
            left_out[name] = str(error)
        else:
            serving[name] = method
    return serving


def able(
    methods: Methods,
    protocol: EvaluationProtocol,
    model: Model,
    examples: Sequence[Example],
    classes: Sequence[str],
    device: torch.device | str,
) -> tuple[Methods, dict[str, str]]:
    """As `Methods.serving`, for a model without attention weights, or whose head reads several positions.

    No method declares that it needs the one or the other: each is tried on a short example.
    """
    by_length = sorted(examples, key=lambda example: len(example.input_ids))
    short = next((example for example in by_length if len(example.input_ids) > MINIMUM), by_length[-1])
    try:
        trace = protocol.trace(model, [short], classes, device)
    except ValueError:
        return methods, {}  # of this example alone, or else the run says so
    if trace.lacks is None and trace.head_weights is None:
        return methods, {}
    kept, left_out = {}, {}
    for name, method in {**methods.explainers, **methods.references}.items():
        try:
            method(trace)
        except ValueError as error:
            left_out[name] = str(error)
    for group in ("explainers", "references"):
        kept[group] = {name: one for name, one in getattr(methods, group).items() if name not in left_out}
        if not kept[group]:
            raise ValueError(
                f"none of the {group} chosen can serve this model: {'; '.join(dict.fromkeys(left_out.values()))}. "
                "Methods that only take gradients or change the input can, e.g. 'explainers=[saliency,occlusion]'"
            )
    return replace(methods, **kept), left_out
